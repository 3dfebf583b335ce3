//! The laws of the MessagePack codec.

use proptest::prelude::*;
use tidegate_core::{ClientId, Reason, RequestId};

use super::*;

#[test]
fn several_requests_a_frame_back_to_back() {
    let id = RequestId::new(7).unwrap();
    let frames = [
        ClientFrame::Connect { id, token: Some("t".into()), client: ClientId::parse("c").ok() },
        ClientFrame::Subscribe { id, channel: "chat:1".parse().unwrap() },
        ClientFrame::Publish { id, channel: "chat:1".parse().unwrap(), data: Bytes::from_static(b"\xff") },
        ClientFrame::Publish {
            id,
            channel: "chat:1".parse().unwrap(),
            data: Bytes::from_static(b"{\"a\":1.50}"),
        },
    ];
    let bytes: Vec<u8> = frames.iter().flat_map(encode_client).collect();
    let decoded: Vec<_> = decode_client(&bytes).into_iter().map(Result::unwrap).collect();
    assert_eq!(decoded, frames);
}

#[test]
fn json_frames_say_the_same() {
    let id = RequestId::new(7).unwrap();
    let frame = ClientFrame::Publish {
        id,
        channel: "chat:1".parse().unwrap(),
        data: Bytes::from_static(b"{\"a\":1.50}"),
    };
    let json = crate::json::decode_client(crate::json::encode_client(&frame).as_bytes()).remove(0);
    assert_eq!(json.unwrap(), frame);
}

#[test]
fn data_of_another_type_is_named() {
    #[derive(serde::Serialize)]
    struct Publish {
        r#type: &'static str,
        id: u64,
        channel: &'static str,
        data: Vec<u64>,
    }
    let frame = Publish { r#type: "publish", id: 1, channel: "a", data: vec![1] };
    let bytes = rmp_serde::to_vec_named(&frame).unwrap();
    let malformed = decode_client(&bytes).remove(0).unwrap_err();
    assert_eq!(malformed.refusal.reason, Reason::BadRequest);
    assert!(malformed.refusal.message.contains("`data` as a string"), "{}", malformed.refusal.message);
}

#[test]
fn a_huge_declared_length_allocates_nothing_and_is_refused() {
    // {"type": str32 of 4 GiB
    let frames = decode_client(b"\x81\xa4type\xdb\xff\xff\xff\xffab");
    assert!(frames.len() == 1 && frames[0].is_err());
    let deep = vec![0x91; 60_000];
    assert!(decode_client(&deep)[0].is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_client(&bytes);
        let _ = decode_server(&bytes);
    }

    #[test]
    fn what_is_published_arrives(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut out = Vec::new();
        let event = Event::live(Payload::new(payload.clone().into()));
        write_event(&mut out, &"chat:1".parse().unwrap(), &event);
        let ServerFrame::Event(heard) = decode_server(&out).unwrap().remove(0) else { panic!() };
        match event.payload.kind() {
            PayloadKind::Text => {
                let text: String = serde_json::from_slice(heard.payload.bytes()).unwrap();
                prop_assert_eq!(text.into_bytes(), payload);
            }
            _ => prop_assert_eq!(&heard.payload.bytes()[..], &payload[..]),
        }
    }
}
