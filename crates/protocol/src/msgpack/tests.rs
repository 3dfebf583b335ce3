//! The laws of the MessagePack codec.

use proptest::prelude::*;
use tidegate_core::{ChannelName, ClientId, Event, Position, Reason, RequestId};

use super::*;

#[test]
fn several_requests_a_frame_back_to_back() {
    let id = RequestId::new(7).unwrap();
    let since: Position = "1763700000000000001-9007199254740991".parse().unwrap();
    let frames = [
        ClientFrame::Connect { id, token: Some("t".into()), client: ClientId::parse("c").ok() },
        ClientFrame::Subscribe { id, channel: "chat:1".parse().unwrap(), since: None, last: None },
        ClientFrame::Subscribe { id, channel: "chat:1".parse().unwrap(), since: Some(since), last: None },
        ClientFrame::Subscribe { id, channel: "chat:1".parse().unwrap(), since: None, last: Some(0) },
        ClientFrame::History { id, channel: "chat:1".parse().unwrap(), since: None, limit: Some(u32::MAX) },
        ClientFrame::History { id, channel: "chat:1".parse().unwrap(), since: Some(since), limit: None },
        ClientFrame::Publish {
            id,
            channel: "chat:1".parse().unwrap(),
            data: Bytes::from_static(b"\xff"),
            key: Some("k".into()),
        },
        ClientFrame::Publish {
            id,
            channel: "chat:1".parse().unwrap(),
            data: Bytes::from_static(b"{\"a\":1.50}"),
            key: None,
        },
    ];
    let bytes: Vec<u8> = frames.iter().flat_map(encode_client).collect();
    let decoded: Vec<_> = decode_client(&bytes).into_iter().map(Result::unwrap).collect();
    assert_eq!(decoded, frames);
    for frame in frames {
        let json = crate::json::encode_client(&frame);
        assert_eq!(crate::json::decode_client(json.as_bytes()).remove(0), Ok(frame), "JSON says the same");
    }
}

#[test]
fn json_frames_say_the_same() {
    let id = RequestId::new(7).unwrap();
    let frame = ClientFrame::Publish {
        id,
        channel: "chat:1".parse().unwrap(),
        data: Bytes::from_static(b"{\"a\":1.50}"),
        key: Some("k".into()),
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
        ("a number for a position", ping(3, b"\xa5since\x07"), seven, "`since` must be a map with"),
        ("a position of nothing", ping(3, b"\xa5since\x80"), seven, "`since` needs an `epoch`"),
        (
            "a number for an epoch",
            ping(3, b"\xa5since\x82\xa5epoch\x01\xa6offset\x01"),
            seven,
            "`since.epoch` must be a string of 19 digits, not 1",
        ),
        (
            "a negative offset",
            ping(3, b"\xa5since\x82\xa5epoch\xb31763700000000000001\xa6offset\xff"),
            seven,
            "`since.offset` must be an integer from 0 to 9007199254740991, not -1",
        ),
        (
            "a position of 2^32-1 entries",
            ping(3, b"\xa5since\xdf\xff\xff\xff\xff\xa5epoch"),
            seven,
            "one MessagePack map",
        ),
        (
            "10,000 positions",
            ping(3, &[&b"\xa5since"[..], &b"\x81\xa5epoch".repeat(10_000)].concat()),
            seven,
            "depth",
        ),
        ("bytes for a key", ping(3, b"\xa3key\xc4\x01k"), seven, "`key` must be a string, not 1 bytes"),
        ("a huge count", ping(3, b"\xa4last\xcf\0\0\0\x01\0\0\0\0"), seven, "not 4294967296"),
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
const NAMES: [&str; 13] = [
    "type",
    "id",
    "token",
    "client",
    "channel",
    "data",
    "data_base64",
    "since",
    "last",
    "limit",
    "key",
    "later",
    "limits",
];
const VALUES: [&[u8]; 18] = [
    b"\xa7history",
    b"\x82\xa5epoch\xb31763700000000000001\xa6offset\x03",
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

#[test]
fn frames_of_the_history_say_what_json_says() {
    let channel: ChannelName = "chat:1".parse().unwrap();
    let at: Position = "1763700000000000001-3".parse().unwrap();
    let (mut packed, mut json) = (Vec::new(), Vec::new());
    write_position(&mut packed, &channel, at);
    write_gap(&mut packed, &channel, at, "why");
    write_subscribed(&mut packed, RequestId::new(7).unwrap(), &channel, None, None, &[]);
    crate::json::write_position(&mut json, &channel, at);
    json.push(b'\n');
    crate::json::write_gap(&mut json, &channel, at, "why");
    json.push(b'\n');
    crate::json::write_subscribed(&mut json, RequestId::new(7).unwrap(), &channel, None, None, &[]);
    let frames = decode_server(&packed).unwrap();
    assert_eq!(frames, crate::json::decode_server(&json).unwrap());
    assert_eq!(frames.iter().flat_map(encode_server).collect::<Vec<_>>(), packed, "both ways agree");
}

proptest! {
    #[test]
    fn what_a_history_holds_arrives(
        events in crate::json::tests::logged(), recovered in any::<Option<bool>>(),
    ) {
        let channel: ChannelName = "chat:1".parse().unwrap();
        let at: Position = "1763700000000000001-3".parse().unwrap();
        let id = RequestId::new(7).unwrap();
        let mut out = Vec::new();
        write_subscribed(&mut out, id, &channel, Some(at), recovered, &events);
        write_history(&mut out, id, &channel, at, recovered, &events);
        for event in &events {
            write_event(&mut out, &channel, event);
        }
        let frames = decode_server(&out).unwrap();
        prop_assert_eq!(frames.len(), 2 + events.len());
        for (frame, event) in frames[2..].iter().zip(&events) {
            let ServerFrame::Event(heard) = frame else { panic!() };
            prop_assert_eq!(heard.offset, event.position.map(|p| p.offset));
            prop_assert_eq!((heard.from.as_deref(), heard.key.as_deref()), (event.from.as_deref(), event.key.as_deref()));
            prop_assert!(heard.payload.kind() != PayloadKind::Text || event.payload.kind() != PayloadKind::Text);
        }
        let ServerFrame::Subscribed { events: first, recovered: said, .. } = &frames[0] else { panic!() };
        let ServerFrame::History { events: second, .. } = &frames[1] else { panic!() };
        prop_assert_eq!(first, second);
        prop_assert_eq!(*said, recovered);
        for (logged, frame) in first.iter().zip(&frames[2..]) {
            let ServerFrame::Event(heard) = frame else { panic!() };
            prop_assert_eq!((Some(logged.offset), &logged.payload), (heard.offset, &heard.payload));
        }
        let again: Vec<u8> = frames.iter().flat_map(encode_server).collect();
        prop_assert_eq!(again, out, "both ways agree");
    }

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
