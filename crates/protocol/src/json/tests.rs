//! The laws of the JSON codec.

use proptest::prelude::*;
use tidegate_core::Reason;

use super::*;

fn refused(line: &str) -> (Option<u64>, Reason, String) {
    let malformed = decode_client(line.as_bytes()).remove(0).unwrap_err();
    (malformed.id.map(|id| id.get()), malformed.refusal.reason, malformed.refusal.message)
}

#[test]
fn several_requests_a_frame_one_a_line() {
    let frames = decode_client(b"{\"type\":\"ping\"}\n\n{\"type\":\"ping\",\"id\":7,\"new\":[1]}\n");
    assert_eq!(frames.len(), 2);
    assert!(
        matches!(frames[1], Ok(ClientFrame::Ping { id: Some(id) }) if id.get() == 7),
        "unknown fields are ignored"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (line, id, reason, words) in [
        ("{", None, Reason::BadRequest, "one JSON object a line"),
        ("[1]", None, Reason::BadRequest, "one JSON object a line"),
        ("{\"id\":1}", Some(1), Reason::BadRequest, "`type`"),
        ("{\"type\":7}", None, Reason::BadRequest, "`type` must be a string"),
        ("{\"type\":\"dance\",\"id\":3}", Some(3), Reason::UnknownType, "dance"),
        ("{\"type\":\"subscribe\",\"channel\":\"a\"}", None, Reason::BadRequest, "needs an `id`"),
        ("{\"type\":\"subscribe\",\"id\":0,\"channel\":\"a\"}", None, Reason::BadRequest, "not 0"),
        ("{\"type\":\"subscribe\",\"id\":\"1\"}", None, Reason::BadRequest, "`id` must be an integer"),
        ("{\"type\":\"subscribe\",\"id\":-1}", None, Reason::BadRequest, "not -1"),
        ("{\"type\":\"subscribe\",\"id\":9007199254740992}", None, Reason::BadRequest, "9007199254740991"),
        ("{\"type\":\"subscribe\",\"id\":1}", Some(1), Reason::BadRequest, "needs a `channel`"),
        (
            "{\"type\":\"subscribe\",\"id\":1,\"channel\":7}",
            Some(1),
            Reason::BadRequest,
            "`channel` must be a string",
        ),
        (
            "{\"type\":\"subscribe\",\"id\":1,\"channel\":\"a b\"}",
            Some(1),
            Reason::BadChannel,
            "must not contain ' '",
        ),
        (
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"a\"}",
            Some(1),
            Reason::BadRequest,
            "either `data` or `data_base64`",
        ),
        (
            "{\"type\":\"publish\",\"id\":1,\"channel\":\"a\",\"data_base64\":\"*\"}",
            Some(1),
            Reason::BadRequest,
            "base64",
        ),
        ("{\"type\":\"connect\",\"id\":1,\"client\":\"\"}", Some(1), Reason::BadRequest, "`client`"),
    ] {
        let (given_id, given_reason, message) = refused(line);
        assert_eq!((given_id, given_reason), (id, reason), "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
    let deep = format!(
        "{{\"type\":\"publish\",\"id\":1,\"channel\":\"a\",\"data\":{}{}}}",
        "[".repeat(9999),
        "]".repeat(9999)
    );
    assert!(refused(&deep).2.contains("128"), "{}", refused(&deep).2);
}

#[test]
fn data_passes_untouched() {
    let frames = decode_client(
        br#"{"type":"publish","id":1,"channel":"a","data": {"b":1.50,"a":"\u00e9",  "n":null} }"#,
    );
    match frames[0].as_ref().unwrap() {
        ClientFrame::Publish { data, .. } => assert_eq!(&data[..], br#"{"b":1.50,"a":"\u00e9",  "n":null}"#),
        other => panic!("{other:?}"),
    }
    let null = decode_client(br#"{"type":"publish","id":1,"channel":"a","data":null}"#).remove(0).unwrap();
    assert!(matches!(null, ClientFrame::Publish { data, .. } if &data[..] == b"null"));
}

#[test]
fn an_event_is_one_line_whatever_it_carries() {
    let channel: ChannelName = "chat:\"1\"".parse().unwrap();
    for (payload, expected) in [
        (&b"{\"a\":\r\n1}"[..], r#"{"type":"event","channel":"chat:\"1\"","data":{"a":  1}}"#),
        (b"two\nlines", r#"{"type":"event","channel":"chat:\"1\"","data":"two\nlines"}"#),
        (b"\xff\x00", r#"{"type":"event","channel":"chat:\"1\"","data_base64":"/wA="}"#),
    ] {
        let mut out = Vec::new();
        write_event(&mut out, &channel, &Event::live(Payload::new(Bytes::copy_from_slice(payload))));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for frame in decode_client(&bytes) {
            if let Err(malformed) = frame {
                prop_assert!(!malformed.refusal.message.is_empty());
            }
        }
        let _ = decode_server(&bytes);
    }

    #[test]
    fn what_is_published_arrives(payload in prop::collection::vec(any::<u8>(), 0..100), from in prop::option::of(".{0,20}")) {
        let channel: ChannelName = "chat:1".parse().unwrap();
        let mut event = Event::live(Payload::new(payload.clone().into()));
        event.from = from.clone().map(Into::into);
        let mut out = Vec::new();
        write_event(&mut out, &channel, &event);
        prop_assert!(!out.contains(&b'\n'));
        let frame = decode_server(&out).unwrap().remove(0);
        prop_assert_eq!(encode_server(&frame).into_bytes(), out.clone(), "the fast and the plain way agree");
        let ServerFrame::Event(heard) = frame else { panic!() };
        prop_assert_eq!(heard.from, from);
        match event.payload.kind() {
            PayloadKind::Text => {
                let text: String = serde_json::from_slice(heard.payload.bytes()).unwrap();
                prop_assert_eq!(text.into_bytes(), payload);
            }
            PayloadKind::Binary => prop_assert_eq!(&heard.payload.bytes()[..], &payload[..]),
            PayloadKind::Json => {
                let parse = |b: &[u8]| serde_json::from_slice::<serde_json::Value>(b).ok();
                prop_assert_eq!(parse(heard.payload.bytes()), parse(&payload));
            }
        }
    }
}
