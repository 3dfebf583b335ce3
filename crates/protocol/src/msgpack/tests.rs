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
    assert!(
        malformed
            .refusal
            .message
            .contains("`data` must be a string (JSON or other text) or binary, not a list"),
        "{}",
        malformed.refusal.message
    );
}

fn refused(bytes: &[u8]) -> (Option<u64>, String) {
    let malformed = decode_client(bytes).remove(0).unwrap_err();
    (malformed.id.map(RequestId::get), malformed.refusal.message)
}

/// `{"id": 7, "type": "ping", …}` with `fields` in all.
fn ping(fields: u8, rest: &[u8]) -> Vec<u8> {
    [&[0x80 | fields][..], b"\xa2id\x07\xa4type\xa4ping", rest].concat()
}

#[test]
fn a_request_that_cannot_be_decoded_is_refused_with_its_id() {
    let (seven, none) = (Some(7), None);
    for (what, bytes, id, words) in [
        ("nothing behind the map's head", b"\x82".to_vec(), none, "one MessagePack map"),
        ("a map of 2^32-1 entries", b"\xdf\xff\xff\xff\xff\xa2id\x07".to_vec(), seven, "one MessagePack map"),
        ("an array of 2^32-1 items", ping(3, b"\xa5later\xdd\xff\xff\xff\xff"), seven, "one MessagePack map"),
        ("4 GiB of text", ping(3, b"\xa7channel\xdb\xff\xff\xff\xffab"), seven, "one MessagePack map"),
        ("4 GiB of bytes", ping(3, b"\xa4data\xc6\xff\xff\xff\xffab"), seven, "one MessagePack map"),
        (
            "4 GiB of an extension",
            ping(3, b"\xa5later\xc9\xff\xff\xff\xff\x01ab"),
            seven,
            "one MessagePack map",
        ),
        ("10,000 levels", ping(3, &[&b"\xa5later"[..], &[0x91; 10_000]].concat()), seven, "depth"),
        ("10,000 levels at once", vec![0x91; 10_000], none, "one MessagePack map"),
        ("10,000 maps as keys", [&[0x81; 10_000][..], b"\xc0"].concat(), none, "depth"),
        ("an array", b"\x97\xa4ping\x07\xc0\xc0\xc0\xc0\xc0".to_vec(), none, "a map with `type` and `id`"),
        ("a number", b"\x07".to_vec(), none, "a map with `type` and `id`"),
        ("the byte that never is", b"\xc1".to_vec(), none, "one MessagePack map"),
        ("the key `id` twice", ping(3, b"\xa2id\x08"), none, "`id` is there twice"),
        ("the key `type` twice", ping(3, b"\xa4type\xa4ping"), seven, "`type` is there twice"),
        ("numbers for keys", b"\x82\x00\xa4ping\x01\x07".to_vec(), none, "needs a `type`"),
        (
            "a float for an id",
            b"\x82\xa2id\xcb\x40\x1c\0\0\0\0\0\0\xa4type\xa4ping".to_vec(),
            none,
            "not 7.0",
        ),
        ("a negative id", b"\x82\xa2id\xff\xa4type\xa4ping".to_vec(), none, "not -1"),
        ("an id of 0", b"\x82\xa2id\x00\xa4type\xa4ping".to_vec(), none, "not 0"),
        (
            "a huge id",
            b"\x82\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa4type\xa4ping".to_vec(),
            none,
            "not 18446744073709551615",
        ),
        (
            "bytes for a type",
            b"\x82\xa2id\x07\xa4type\xc4\x04ping".to_vec(),
            seven,
            "`type` must be a string, not 4 bytes",
        ),
        (
            "text that is no UTF-8",
            b"\x82\xa2id\x07\xa4type\xa1\xff".to_vec(),
            seven,
            "`type` must be a string",
        ),
        (
            "a nil channel",
            b"\x83\xa2id\x07\xa4type\xa9subscribe\xa7channel\xc0".to_vec(),
            seven,
            "needs a `channel`",
        ),
        (
            "an extension",
            ping(3, b"\xa7channel\xd4\x05\x01"),
            seven,
            "`channel` must be a string, not an extension",
        ),
        (
            "an extension for data",
            b"\x84\xa2id\x07\xa4type\xa7publish\xa7channel\xa1a\xa4data\xd4\x05\x01".to_vec(),
            seven,
            "not an extension",
        ),
        (
            "a map for data",
            b"\x84\xa2id\x07\xa4type\xa7publish\xa7channel\xa1a\xa4data\x80".to_vec(),
            seven,
            "binary, not a map",
        ),
    ] {
        let (given, message) = refused(&bytes);
        assert!(given == id && message.contains(words), "{what}: {given:?} {message}");
    }
}

#[test]
fn cut_at_any_byte_it_is_refused_and_long_enough_with_its_id() {
    let whole = ping(3, b"\xa5later\x93\x01\xc4\x02ab\xd4\x05\x01");
    for cut in 1..whole.len() {
        let (id, _) = refused(&whole[..cut]);
        assert_eq!(id, (cut >= 5).then_some(7), "cut at {cut}");
    }
    assert!(decode_client(&whole)[0].is_ok());
}

#[test]
fn a_wrong_field_spoils_its_request_only() {
    let wrong = ping(3, b"\xa7channel\x91\x01");
    let frames = decode_client(&[wrong, ping(2, b""), b"\xc1".to_vec(), ping(2, b"")].concat());
    assert_eq!(frames.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn what_a_refusal_repeats_is_cut() {
    let text = [&b"\xda\xea\x60"[..], &[b'x'; 60_000]].concat();
    assert!(refused(&text).1.len() < 400);
    assert!(refused(&ping(3, &[b"\xa7channel\x81", &text[..], b"\x01"].concat())).1.len() < 400);
}

/// Names and values that requests have, and some that they do not.
const NAMES: [&str; 9] =
    ["type", "id", "token", "client", "channel", "data", "data_base64", "later", "limits"];
const VALUES: [&[u8]; 16] = [
    b"\xa7connect",
    b"\xa9subscribe",
    b"\xabunsubscribe",
    b"\xa7publish",
    b"\xa4ping",
    b"\xa1a",
    b"\xa0",
    b"\xa4AAA=",
    b"\x07",
    b"\xff",
    b"\xc0",
    b"\xc4\x02\xff\x00",
    b"\x92\x01\x90",
    b"\x81\xa1a\x01",
    b"\xd4\x05\x01",
    b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00",
];

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for frame in decode_client(&bytes).into_iter().flatten() {
            prop_assert_eq!(decode_client(&encode_client(&frame)).remove(0), Ok(frame));
        }
        let _ = decode_server(&bytes);
    }

    #[test]
    fn requests_of_any_shape_are_decoded_or_refused(
        fields in prop::collection::vec((0usize..NAMES.len(), 0usize..VALUES.len()), 0..8), cut in 0usize..200,
    ) {
        let mut bytes = vec![0x80 | fields.len() as u8];
        for (name, value) in fields {
            bytes.push(0xa0 | NAMES[name].len() as u8);
            bytes.extend_from_slice(NAMES[name].as_bytes());
            bytes.extend_from_slice(VALUES[value]);
        }
        for bytes in [&bytes[..cut.min(bytes.len())], &bytes] {
            for frame in decode_client(bytes) {
                match frame {
                    Ok(frame) => prop_assert_eq!(decode_client(&encode_client(&frame)).remove(0), Ok(frame)),
                    Err(malformed) => {
                        let length = malformed.refusal.message.len();
                        prop_assert!((10..400).contains(&length), "{}", malformed.refusal.message);
                    }
                }
            }
            let _ = decode_server(bytes);
        }
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
