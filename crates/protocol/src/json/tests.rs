//! The laws of the JSON codec.

use proptest::prelude::*;
use tidegate_core::{Epoch, Reason};

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
        ("{\"type\":\"history\",\"id\":1}", Some(1), Reason::BadRequest, "`history` needs a `channel`"),
        ("{\"type\":\"history\",\"channel\":\"a\"}", None, Reason::BadRequest, "`history` needs an `id`"),
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
fn a_request_that_cannot_be_decoded_is_refused_with_its_id() {
    for (line, id, words) in [
        (r#"{"id":7,"type":"subscribe","channel":"\ud800"}"#, Some(7), "escape"),
        (r#"{"type":"subscribe","id":7,"channel":["a"]}"#, Some(7), "`channel` must be a string, not a list"),
        (
            r#"{"type":"publish","channel":{},"data":[[]],"id":7}"#,
            Some(7),
            "`channel` must be a string, not a map",
        ),
        (r#"{"type":"connect","id":7,"token":1.5}"#, Some(7), "`token` must be a string, not 1.5"),
        (r#"{"type":"publish","id":7,"channel":"a","data":1"#, Some(7), "EOF"),
        (r#"{"type":"publish","id":7,"channel":"a","data":1}}"#, Some(7), "trailing"),
        (r#"{"type":"ping","id":7} {"type":"ping","id":8}"#, Some(7), "trailing"),
        (r#"{"type":"ping","id":7,"id":7}"#, None, "`id` is there twice"),
        (r#"{"type":"ping","type":"ping","id":7}"#, Some(7), "`type` is there twice"),
        (r#"{"type":"ping","id":1e300}"#, None, "not 1e300"),
        (r#"{"type":"ping","id":18446744073709551616}"#, None, "not 1.8446744073709552e19"),
        (r#"{"type":"ping","id":1e999}"#, None, "out of range"),
        (r#"{"type":"ping","id":1.0}"#, None, "not 1.0"),
        (r#"{"type":"ping","id":true}"#, None, "not true"),
        (r#"{"type":null,"id":7}"#, Some(7), "`type` must be a string, not null"),
        (r#"["ping",7,null,null,null,null,null]"#, None, "sequence"),
        ("\u{feff}{\"type\":\"ping\"}", None, "expected value"),
        ("{\"type\":\"ping\",\0\"id\":7}", None, "line 1 column"),
        (r#"{"type":"pi\u0000ng","id":7}"#, Some(7), "no `type`"),
    ] {
        let (given, _, message) = refused(line);
        assert!(given == id && message.contains(words), "{line}: {given:?} {message}");
    }
    // As if they were not there.
    let nulls = decode_client(br#"{"type":"ping","id":null,"token":null,"channel":null}"#).remove(0);
    assert_eq!(nulls, Ok(ClientFrame::Ping { id: None }));
}

#[test]
fn what_is_wrong_with_a_position_a_count_or_a_key_is_named() {
    for (fields, words) in [
        (r#""since":7"#, "`since` must be a map with `epoch` and `offset`, not 7"),
        (r#""since":"1763700000000000001-1""#, "`since` must be a map"),
        (r#""since":[]"#, "not a list"),
        (r#""since":{}"#, "`since` needs an `epoch`"),
        (r#""since":{"offset":1}"#, "`since` needs an `epoch`"),
        (r#""since":{"epoch":"1763700000000000001"}"#, "`since` needs an `offset`"),
        (r#""since":{"epoch":"1763700000000000001","offset":null}"#, "`since` needs an `offset`"),
        (
            r#""since":{"epoch":1763700000000000001,"offset":1}"#,
            "`since.epoch` must be a string of 19 digits, not 17637",
        ),
        (r#""since":{"epoch":"176370000000000001","offset":1}"#, "19 digits, not \"176370000000000001\""),
        (r#""since":{"epoch":"","offset":1}"#, "19 digits, not \"\""),
        (r#""since":{"epoch":{"epoch":{}},"offset":1}"#, "19 digits, not a map"),
        (
            r#""since":{"epoch":"1763700000000000001","offset":-1}"#,
            "`since.offset` must be an integer from 0 to 9007199254740991, not -1",
        ),
        (r#""since":{"epoch":"1763700000000000001","offset":9007199254740992}"#, "not 9007199254740992"),
        (r#""since":{"epoch":"1763700000000000001","offset":"1"}"#, "not \"1\""),
        (r#""since":{"epoch":"1763700000000000001","offset":1,"offset":2}"#, "not two of them"),
        (r#""since":{"epoch":"1763700000000000001","epoch":"","offset":1}"#, "not two of them"),
        (r#""since":null,"since":{}"#, "`since` is there twice"),
        (r#""since":{"epoch":"1763700000000000001","offset":1},"last":1"#, "either `since` or `last`"),
        (r#""last":-1"#, "`last` must be an integer from 0 to 4294967295, not -1"),
        (r#""last":4294967296"#, "not 4294967296"),
        (r#""last":"1""#, "not \"1\""),
        (r#""limit":1.5"#, "`limit` must be an integer from 0 to 4294967295, not 1.5"),
        (r#""key":7"#, "`key` must be a string, not 7"),
    ] {
        let line = format!(r#"{{"type":"subscribe",{fields},"id":7,"channel":"a"}}"#);
        let (id, reason, message) = refused(&line);
        assert_eq!((id, reason), (Some(7), Reason::BadRequest), "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
    for (key, words) in [("", "1 to 128 bytes, this one has 0"), (&"é".repeat(65), "this one has 130")] {
        let (_, _, message) =
            refused(&format!(r#"{{"type":"publish","id":7,"channel":"a","data":1,"key":"{key}"}}"#));
        assert!(message.contains("`key`") && message.contains(words), "{message}");
    }
    let nested =
        format!(r#"{{"type":"subscribe","id":7,"channel":"a","since":{}}}"#, "{\"epoch\":".repeat(100_000));
    assert!(decode_client(nested.as_bytes()).remove(0).is_err(), "depth costs no stack");
    let given = |line: &str| decode_client(line.as_bytes()).remove(0).unwrap();
    let none = given(r#"{"type":"subscribe","id":7,"channel":"a","since":null,"last":null}"#);
    assert!(
        matches!(none, ClientFrame::Subscribe { since: None, last: None, .. }),
        "as if they were not there"
    );
    let since = given(
        r#"{"type":"history","id":7,"channel":"a","since":{"later":[],"offset":3,"epoch":"1763700000000000001"},"limit":0}"#,
    );
    let ClientFrame::History { since: Some(since), limit: Some(0), .. } = since else { panic!("{since:?}") };
    assert_eq!(since.to_string(), "1763700000000000001-3");
    let key =
        given(&format!(r#"{{"type":"publish","id":7,"channel":"a","data":1,"key":"{}"}}"#, "k".repeat(128)));
    assert!(matches!(key, ClientFrame::Publish { key: Some(key), .. } if key.len() == 128));
}

#[test]
fn frames_of_the_history_are_spelled_so() {
    let channel: ChannelName = "chat:\"1\"".parse().unwrap();
    let id = RequestId::new(7).unwrap();
    let at: Position = "1763700000000000001-3".parse().unwrap();
    let event = |offset, payload: &'static [u8]| Event {
        position: Some(Position { offset, ..at }),
        ..Event::live(Payload::new(Bytes::from_static(payload)))
    };
    let mut events = [event(2, b"{\"a\":\n1}"), event(3, b"\xff")];
    events[1].from = Some("s".into());
    events[1].key = Some("k".into());
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        let frame = decode_server(&out).unwrap().remove(0);
        assert_eq!(encode_server(&frame).as_bytes(), out, "the fast and the plain way agree");
        String::from_utf8(out).unwrap()
    };
    for (line, expected) in [
        (
            written(&|out| write_subscribed(out, id, &channel, Some(at), Some(true), &events)),
            r#"{"type":"subscribed","id":7,"channel":"chat:\"1\"","epoch":"1763700000000000001","offset":3,"recovered":true,"events":[{"offset":2,"data":{"a": 1}},{"offset":3,"data_base64":"/w==","from":"s","key":"k"}]}"#,
        ),
        (
            written(&|out| write_subscribed(out, id, &channel, Some(at), None, &[])),
            r#"{"type":"subscribed","id":7,"channel":"chat:\"1\"","epoch":"1763700000000000001","offset":3,"events":[]}"#,
        ),
        (
            written(&|out| write_subscribed(out, id, &channel, None, None, &[])),
            r#"{"type":"subscribed","id":7,"channel":"chat:\"1\""}"#,
        ),
        (
            written(&|out| write_history(out, id, &channel, at, Some(false), &events[..1])),
            r#"{"type":"history","id":7,"channel":"chat:\"1\"","epoch":"1763700000000000001","offset":3,"recovered":false,"events":[{"offset":2,"data":{"a": 1}}]}"#,
        ),
        (
            written(&|out| write_position(out, &channel, at)),
            r#"{"type":"position","channel":"chat:\"1\"","epoch":"1763700000000000001","offset":3}"#,
        ),
        (
            written(&|out| write_gap(out, &channel, at, "the log\nis shorter")),
            r#"{"type":"gap","channel":"chat:\"1\"","epoch":"1763700000000000001","offset":3,"reason":"the log\nis shorter"}"#,
        ),
    ] {
        assert_eq!(line, expected);
    }
}

#[test]
fn frames_of_a_server_that_lack_something_are_named() {
    for (line, words) in [
        (r#"{"type":"position","channel":"a","offset":1}"#, "`position` lacks `epoch`"),
        (r#"{"type":"gap","channel":"a","epoch":"1763700000000000001"}"#, "`gap` lacks `epoch` or `offset`"),
        (r#"{"type":"gap","epoch":"1763700000000000001","offset":1}"#, "`gap` lacks `channel`"),
        (r#"{"type":"history","id":1,"channel":"a"}"#, "`history` lacks `epoch`"),
        (r#"{"type":"position","channel":"a","epoch":"1","offset":1}"#, "no position"),
        (r#"{"type":"subscribed","id":1,"channel":"a","events":[{"offset":4}]}"#, "offset 4 lacks `data`"),
        (r#"{"type":"subscribed","id":1,"channel":"a","events":[{"data":4}]}"#, "offset"),
    ] {
        let error = decode_server(line.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
    // A payload of `null`, and one as deep as payloads may be, inside of a reply.
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let line = format!(
        r#"{{"type":"subscribed","id":1,"channel":"a","epoch":"1763700000000000001","offset":2,"events":[{{"offset":1,"data":null}},{{"offset":2,"data":{deep}}}]}}"#
    );
    let ServerFrame::Subscribed { events, .. } = decode_server(line.as_bytes()).unwrap().remove(0) else {
        panic!()
    };
    assert_eq!((&events[0].payload.bytes()[..], events[1].payload.kind()), (&b"null"[..], PayloadKind::Json));
}

#[test]
fn what_a_refusal_repeats_is_cut() {
    let long = "x".repeat(60_000);
    for line in [
        format!("\"{long}\""),
        format!(r#"{{"type":"{long}","id":1}}"#),
        format!(r#"{{"type":"ping","id":"{long}"}}"#),
    ] {
        assert!(refused(&line).2.len() < 400, "{}", refused(&line).2.len());
    }
}

#[test]
fn depth_costs_no_stack() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let publish = |levels| {
        let line = format!(r#"{{"type":"publish","id":1,"channel":"a","data":{}}}"#, nested(levels));
        decode_client(line.as_bytes()).remove(0)
    };
    assert!(publish(128).is_ok());
    assert!(publish(129).unwrap_err().refusal.message.contains("128 levels"));
    for field in ["later", "channel", "id"] {
        let line = format!(r#"{{"type":"ping","{field}":{}}}"#, nested(1_000_000));
        assert_eq!(decode_client(line.as_bytes()).remove(0).is_ok(), field == "later");
    }
    let _ = decode_client("[".repeat(1_000_000).as_bytes());
    assert!(decode_client(" \r\n\t\n".repeat(1 << 18).as_bytes()).is_empty(), "a megabyte of nothing");
}

/// Events of any payload, as a history has them.
pub(crate) fn logged() -> impl Strategy<Value = Vec<Event>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[\\[\\]{}\",:0-9ab\\\\ue.\r\n -]{0,30}".prop_map(String::into_bytes),
        "(\\{\"a\": *[0-9]{1,20}\n\\}|null|\"é\")".prop_map(String::into_bytes),
    ];
    let word = || prop::option::of(".{0,20}");
    let event = (any::<u32>(), payload, word(), word()).prop_map(|(offset, payload, from, key)| Event {
        position: Some(Position { epoch: Epoch::new(1, 2), offset: offset.into() }),
        from: from.map(Into::into),
        key: key.map(Into::into),
        // A decoder leaves out what stands around a value.
        ..Event::live(Payload::new(Bytes::copy_from_slice(payload.trim_ascii())))
    });
    prop::collection::vec(event, 0..5)
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

/// Names and values that requests have, and some that they do not.
const FIELD: &str = "type|id|token|client|channel|data|data_base64|since|last|limit|key|later|é";
const VALUE: &str = "\"(connect|subscribe|unsubscribe|publish|history|ping|dance|chat:1|~x|a b|AAA=|)\"|0|7|-7|9007199254740992|1e5|1e999|null|true|\\{\"epoch\":\"1763700000000000001\",\"offset\":[0-9]\\}|\\[1,\\[\\]\\]|\\{\"a\":1\\}|\"\\\\ud800\"|\"\\\\u00e9\"";

proptest! {
    #[test]
    fn what_a_history_holds_arrives(events in logged(), recovered in any::<Option<bool>>()) {
        let channel: ChannelName = "chat:1".parse().unwrap();
        let at: Position = "1763700000000000001-3".parse().unwrap();
        let id = RequestId::new(7).unwrap();
        let mut out = Vec::new();
        write_subscribed(&mut out, id, &channel, Some(at), recovered, &events);
        prop_assert!(!out.contains(&b'\n'));
        out.push(b'\n');
        write_history(&mut out, id, &channel, at, recovered, &events);
        let frames = decode_server(&out).unwrap();
        prop_assert_eq!(frames.iter().map(encode_server).collect::<Vec<_>>().join("\n").into_bytes(), out, "both ways agree");
        let ServerFrame::Subscribed { events: heard, recovered: said, .. } = &frames[0] else { panic!() };
        prop_assert_eq!(*said, recovered);
        prop_assert_eq!(heard.len(), events.len());
        for (heard, event) in heard.iter().zip(&events) {
            prop_assert_eq!(Some(heard.offset), event.position.map(|p| p.offset));
            prop_assert_eq!((heard.from.as_deref(), heard.key.as_deref()), (event.from.as_deref(), event.key.as_deref()));
            let mut alone = Vec::new();
            write_event(&mut alone, &channel, event);
            let ServerFrame::Event(alone) = decode_server(&alone).unwrap().remove(0) else { panic!() };
            prop_assert_eq!(&alone.payload, &heard.payload, "in a reply and alone it is the same");
        }
    }

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
    fn requests_of_any_shape_are_decoded_or_refused(
        fields in prop::collection::vec((FIELD, VALUE), 0..8), cut in 0usize..200,
    ) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let line = format!("{{{}}}", fields.join(","));
        for line in [&line.as_bytes()[..cut.min(line.len())], line.as_bytes()] {
            for frame in decode_client(line) {
                match frame {
                    Ok(frame) => prop_assert_eq!(decode_client(encode_client(&frame).as_bytes()).remove(0), Ok(frame)),
                    Err(malformed) => {
                        prop_assert!(malformed.refusal.message.len() < 400);
                        prop_assert!(malformed.refusal.message.len() > 10);
                    }
                }
            }
            let _ = decode_server(line);
        }
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
