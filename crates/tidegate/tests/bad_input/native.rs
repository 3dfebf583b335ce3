//! Requests that are none, in both codecs of the native door: refused with their id, and the connection goes on.

use std::net::SocketAddr;

use tidegate_protocol::{Codec, ServerFrame, json, msgpack};
use tidegate_testkit::Node;

use crate::socket::{Socket, frame};
use crate::support::{BINARY, say};

/// `limits` of the node here.
const CONFIG: &str = "[limits]\nchannels = 3\nevent = \"100B\"\nundeclared = \"refuse\"\n\
                      [namespaces.default]\npublish = \"anyone\"\n[namespaces.quiet]\nsubscribe = \"nobody\"\n";

/// A request, and the code and id of its refusal; several requests in a message, several refusals.
type Refused = (&'static str, Vec<u8>, &'static [(&'static str, Option<u64>)]);

fn json_rows() -> Vec<Refused> {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let publish =
        |data: &str| format!(r#"{{"type":"publish","id":7,"channel":"a","data":{data}}}"#).into_bytes();
    let subscribe =
        |channel: &str| format!(r#"{{"type":"subscribe","id":7,"channel":"{channel}"}}"#).into_bytes();
    let since = |position: &str| {
        format!(r#"{{"type":"subscribe","id":7,"channel":"a","since":{position}}}"#).into_bytes()
    };
    let (bad, named): (&[_], &[_]) = (&[("bad_request", None)], &[("bad_request", Some(7))]);
    vec![
        ("no JSON", b"hello".to_vec(), bad),
        ("a list", br#"["ping",7,null,null,null,null,null]"#.to_vec(), bad),
        ("a text", br#""ping""#.to_vec(), bad),
        ("a BOM", "\u{feff}{\"type\":\"ping\",\"id\":7}".into(), bad),
        ("NUL", b"{\"id\":7,\0\"type\":\"ping\"}".to_vec(), named),
        ("half a request", br#"{"type":"publish","id":7,"channel":"a","data":"#.to_vec(), named),
        ("a request and a half", br#"{"type":"ping","id":7}}"#.to_vec(), named),
        ("two requests in a line", br#"{"type":"ping","id":7}{"type":"ping","id":8}"#.to_vec(), named),
        ("no type", br#"{"id":7}"#.to_vec(), named),
        ("a type that is a number", br#"{"id":7,"type":1}"#.to_vec(), named),
        ("a type that there is not", br#"{"id":7,"type":"dance"}"#.to_vec(), &[("unknown_type", Some(7))]),
        ("an id that is missing", br#"{"type":"subscribe","channel":"a"}"#.to_vec(), bad),
        ("an id of 0", br#"{"type":"ping","id":0}"#.to_vec(), bad),
        ("an id of -1", br#"{"type":"ping","id":-1}"#.to_vec(), bad),
        ("an id of 1.5", br#"{"type":"ping","id":1.5}"#.to_vec(), bad),
        ("an id of 2^53", br#"{"type":"ping","id":9007199254740992}"#.to_vec(), bad),
        ("an id of 2^64", br#"{"type":"ping","id":18446744073709551616}"#.to_vec(), bad),
        ("an id of 400 digits", format!(r#"{{"type":"ping","id":{}}}"#, "9".repeat(400)).into(), bad),
        ("an id that is a text", br#"{"type":"ping","id":"7"}"#.to_vec(), bad),
        ("two ids", br#"{"type":"ping","id":7,"id":8}"#.to_vec(), bad),
        ("two channels", br#"{"type":"subscribe","id":7,"channel":"a","channel":"b"}"#.to_vec(), named),
        ("a channel that is missing", br#"{"type":"subscribe","id":7}"#.to_vec(), named),
        ("a channel that is a list", br#"{"type":"subscribe","id":7,"channel":["a"]}"#.to_vec(), named),
        ("half a surrogate", subscribe("\\ud800"), named),
        ("an empty channel", subscribe(""), &[("bad_channel", Some(7))]),
        ("a channel with a space", subscribe("a b"), &[("bad_channel", Some(7))]),
        ("a channel with NUL", subscribe("a\\u0000b"), &[("bad_channel", Some(7))]),
        ("a channel with braces", subscribe("a}b{"), &[("bad_channel", Some(7))]),
        ("a channel of Tidegate's own", subscribe("~a"), &[("bad_channel", Some(7))]),
        ("a channel of 256 bytes", subscribe(&"x".repeat(256)), &[("bad_channel", Some(7))]),
        ("a channel of 60,000 bytes", subscribe(&"x".repeat(60_000)), &[("bad_channel", Some(7))]),
        ("a channel of no namespace", subscribe("nowhere:1"), &[("unknown_channel", Some(7))]),
        ("a channel that is not for clients", subscribe("quiet:1"), &[("forbidden", Some(7))]),
        (
            "no subscription",
            br#"{"type":"unsubscribe","id":7,"channel":"a"}"#.to_vec(),
            &[("not_subscribed", Some(7))],
        ),
        ("a position that is a text", since(r#""1763700000000000001-1""#), named),
        ("a position without an offset", since(r#"{"epoch":"1763700000000000001"}"#), named),
        ("an epoch that is a number", since(r#"{"epoch":1763700000000000001,"offset":1}"#), named),
        ("an epoch of 18 digits", since(r#"{"epoch":"176370000000000001","offset":1}"#), named),
        ("an offset of -1", since(r#"{"epoch":"1763700000000000001","offset":-1}"#), named),
        ("an offset of 2^53", since(r#"{"epoch":"1763700000000000001","offset":9007199254740992}"#), named),
        ("6,000 positions in each other", since(&"{\"epoch\":".repeat(6_000)), named),
        ("a position and a count", since(r#"{"epoch":"1763700000000000001","offset":1},"last":1"#), named),
        (
            "a count of 2^32",
            br#"{"type":"subscribe","id":7,"channel":"a","last":4294967296}"#.to_vec(),
            named,
        ),
        ("a limit that is a text", br#"{"type":"history","id":7,"channel":"a","limit":"1"}"#.to_vec(), named),
        ("a history of nothing", br#"{"type":"history","id":7}"#.to_vec(), named),
        ("an empty key", br#"{"type":"publish","id":7,"channel":"a","data":1,"key":""}"#.to_vec(), named),
        (
            "a key of 129 bytes",
            format!(r#"{{"type":"publish","id":7,"channel":"a","data":1,"key":"{}"}}"#, "k".repeat(129))
                .into(),
            named,
        ),
        ("no data", br#"{"type":"publish","id":7,"channel":"a"}"#.to_vec(), named),
        (
            "data twice over",
            br#"{"type":"publish","id":7,"channel":"a","data":1,"data_base64":"AA=="}"#.to_vec(),
            named,
        ),
        ("no base64", br#"{"type":"publish","id":7,"channel":"a","data_base64":"AA="}"#.to_vec(), named),
        ("a number of JavaScript's", publish("NaN"), named),
        ("a number with a leading zero", publish("01"), named),
        ("data of 129 levels", publish(&nested(129)), named),
        ("data of 30,000 levels", publish(&nested(30_000)), named),
        ("30,000 levels that never end", publish(&"[".repeat(30_000)), named),
        ("101 bytes", publish(&format!("\"{}\"", "x".repeat(99))), &[("too_large", Some(7))]),
        (
            "101 bytes in base64",
            format!(
                r#"{{"type":"publish","id":7,"channel":"a","data_base64":"{}A=="}}"#,
                "AAAA".repeat(33) + "AA"
            )
            .into(),
            named,
        ),
        ("a second connect", br#"{"type":"connect","id":7}"#.to_vec(), named),
        (
            "a client id of 65 bytes",
            format!(r#"{{"type":"connect","id":7,"client":"{}"}}"#, "x".repeat(65)).into(),
            named,
        ),
        (
            "good and bad, a line each",
            b"x\n{\"type\":\"x\",\"id\":7}\n\n{\"id\":8}\r\n".to_vec(),
            &[("bad_request", None), ("unknown_type", Some(7)), ("bad_request", Some(8))],
        ),
    ]
}

fn msgpack_rows() -> Vec<Refused> {
    let request = |fields: u8, rest: &[u8]| [&[0x80 | fields][..], b"\xa2id\x07", rest].concat();
    let (bad, named): (&[_], &[_]) = (&[("bad_request", None)], &[("bad_request", Some(7))]);
    vec![
        ("JSON", br#"{"type":"ping","id":7}"#.to_vec(), bad),
        ("the byte that never is", vec![0xc1], bad),
        ("an array", b"\x97\xa4ping\x07\xc0\xc0\xc0\xc0\xc0".to_vec(), bad),
        ("a map of 2^32-1 entries", b"\xdf\xff\xff\xff\xff\xa2id\x07\xa4type\xa4ping".to_vec(), named),
        ("an array of 2^32-1 items", request(2, b"\xa5later\xdd\xff\xff\xff\xff\x01"), named),
        ("4 GiB of text", request(2, b"\xa4type\xdb\xff\xff\xff\xffping"), named),
        ("4 GiB of bytes", request(2, b"\xa4data\xc6\xff\xff\xff\xffab"), named),
        ("4 GiB of an extension", request(2, b"\xa5later\xc9\xff\xff\xff\xff\x01ab"), named),
        ("10,000 levels", request(2, &[&b"\xa5later"[..], &[0x91; 10_000], b"\xc0"].concat()), named),
        ("numbers as keys", b"\x82\x00\xa4ping\x01\x07".to_vec(), bad),
        ("a map as key", request(3, b"\x80\x01\xa4type\xa5dance"), &[("unknown_type", Some(7))]),
        ("two ids", request(3, b"\xa2id\x08\xa4type\xa4ping"), bad),
        ("a float for an id", b"\x82\xa2id\xca\x40\xe0\0\0\xa4type\xa4ping".to_vec(), bad),
        ("an id of -1", b"\x82\xa2id\xff\xa4type\xa4ping".to_vec(), bad),
        ("an id of 2^64-1", b"\x82\xa2id\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa4type\xa4ping".to_vec(), bad),
        ("an extension for a channel", request(3, b"\xa4type\xa9subscribe\xa7channel\xd4\x05\x01"), named),
        ("a channel that is no UTF-8", request(3, b"\xa4type\xa9subscribe\xa7channel\xa1\xff"), named),
        (
            "a bad channel",
            request(3, b"\xa4type\xa9subscribe\xa7channel\xa3a b"),
            &[("bad_channel", Some(7))],
        ),
        (
            "a position that is a number",
            request(4, b"\xa4type\xa9subscribe\xa7channel\xa1a\xa5since\x07"),
            named,
        ),
        (
            "a position of 2^32-1 entries",
            request(4, b"\xa4type\xa9subscribe\xa7channel\xa1a\xa5since\xdf\xff\xff\xff\xff"),
            named,
        ),
        (
            "bytes for a key",
            request(5, b"\xa4type\xa7publish\xa7channel\xa1a\xa4data\xa11\xa3key\xc4\x01k"),
            named,
        ),
        ("a number for data", request(4, b"\xa4type\xa7publish\xa7channel\xa1a\xa4data\x01"), named),
        (
            "a timestamp for data",
            request(4, b"\xa4type\xa7publish\xa7channel\xa1a\xa4data\xd6\xff\0\0\0\0"),
            named,
        ),
        (
            "more behind a request",
            request(2, b"\xa4type\xa5dance\xc1"),
            &[("unknown_type", Some(7)), ("bad_request", None)],
        ),
    ]
}

/// A connection of a codec that has said `connect`.
fn connected(address: SocketAddr, codec: Codec) -> Socket {
    let header = format!("Sec-WebSocket-Protocol: {}\r\n", codec.subprotocol());
    let mut socket = Socket::open(address, "/ws", &header);
    let connect: &[u8] = match codec {
        Codec::Json => br#"{"type":"connect","id":1}"#,
        Codec::MessagePack => b"\x82\xa4type\xa7connect\xa2id\x01",
    };
    say_to(&mut socket, codec, connect);
    assert!(matches!(hear(&mut socket, codec), ServerFrame::Connected { .. }));
    socket
}

fn say_to(socket: &mut Socket, codec: Codec, message: &[u8]) {
    socket.send(&frame(if codec.is_text() { 0x81 } else { 0x82 }, message));
}

fn hear(socket: &mut Socket, codec: Codec) -> ServerFrame {
    let (_, message) = socket.next().expect("a frame");
    let frames = match codec {
        Codec::Json => json::decode_server(&message),
        Codec::MessagePack => msgpack::decode_server(&message),
    };
    frames.expect("frames of a server").remove(0)
}

/// Sends each row over one connection. Returns a line for each whose refusals differ, or that end it.
fn faults(address: SocketAddr, codec: Codec, rows: &[Refused]) -> Vec<String> {
    let mut socket = connected(address, codec);
    let ping: &[u8] = match codec {
        Codec::Json => br#"{"type":"ping","id":99}"#,
        Codec::MessagePack => b"\x82\xa4type\xa4ping\xa2id\x63",
    };
    let mut found = Vec::new();
    for (what, message, expected) in rows {
        say_to(&mut socket, codec, message);
        say_to(&mut socket, codec, ping); // what comes before the pong are the refusals
        let mut given = Vec::new();
        loop {
            match hear(&mut socket, codec) {
                ServerFrame::Pong { id: Some(99) } => break,
                ServerFrame::Error { id, code, message, .. } => {
                    assert!(message.len() < 600, "{what}: {message}");
                    given.push((code, id));
                }
                other => given.push((format!("{other:?}"), None)),
            }
        }
        let same = given.iter().map(|(code, id)| (code.as_str(), *id)).eq(expected.iter().copied());
        if !same {
            found.push(format!("{what}: {given:?} instead of {expected:?}"));
        }
    }
    found
}

/// All requests that are refused.
pub(crate) fn pack() -> Vec<(&'static str, Codec, Vec<u8>)> {
    let json = json_rows().into_iter().map(|(what, message, _)| (what, Codec::Json, message));
    json.chain(msgpack_rows().into_iter().map(|(what, message, _)| (what, Codec::MessagePack, message)))
        .collect()
}

#[test]
fn what_is_no_request_is_refused_with_its_id_and_the_connection_goes_on() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    for (codec, rows) in [(Codec::Json, json_rows()), (Codec::MessagePack, msgpack_rows())] {
        let found = faults(node.public_addr(), codec, &rows);
        assert!(found.is_empty(), "{codec:?}: {found:#?}");
        let wrong: Vec<Refused> =
            rows.iter().take(5).map(|(w, m, _)| (*w, m.clone(), &[("internal", None)][..])).collect();
        let control = faults(node.public_addr(), codec, &wrong).len() == wrong.len();
        assert!(control);
        say(&format!(
            "bad requests in {}: {} rows refused with their code and id; control, other codes expected: all found: {control}",
            codec.subprotocol(),
            rows.len()
        ));
    }
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn one_channel_more_than_allowed_is_one_too_many() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let mut socket = connected(node.public_addr(), Codec::Json);
    let mut subscribe = |number: u64| {
        let line = format!(r#"{{"type":"subscribe","id":{number},"channel":"c{number}"}}"#);
        say_to(&mut socket, Codec::Json, line.as_bytes());
        hear(&mut socket, Codec::Json)
    };
    for number in 1..=3 {
        assert!(matches!(subscribe(number), ServerFrame::Subscribed { id, .. } if id == number));
    }
    match subscribe(4) {
        ServerFrame::Error { id: Some(4), code, message, .. } => {
            assert_eq!(code, "too_many_channels");
            assert!(
                message.contains("limits.channels") && message.contains('3') && message.contains('4'),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_begins_with_no_request_is_closed_and_who_forgets_to_connect_is_told() {
    let node = Node::builder(BINARY).start().expect("a node");
    for (what, codec, first, message, code) in [
        ("another protocol", Codec::Json, 0x81, &b"hello"[..], 4000),
        ("a bad connect", Codec::Json, 0x81, br#"{"type":"connect"}"#, 4000),
        ("binary in a text codec", Codec::Json, 0x82, b"\x81\xa4type\xa4ping", 4000),
        ("text in a binary codec", Codec::MessagePack, 0x81, br#"{"type":"ping"}"#, 4000),
        ("MessagePack that is none", Codec::MessagePack, 0x82, b"\xc1", 4000),
        ("a token that is none", Codec::Json, 0x81, br#"{"type":"connect","id":1,"token":"a.b.c"}"#, 4001),
        ("an empty token", Codec::Json, 0x81, br#"{"type":"connect","id":1,"token":""}"#, 4001),
    ] {
        let header = format!("Sec-WebSocket-Protocol: {}\r\n", codec.subprotocol());
        let mut socket = Socket::open(node.public_addr(), "/ws", &header);
        socket.send(&frame(first, message));
        assert_eq!(socket.closed(), code, "{what}");
    }
    let mut socket = Socket::open(node.public_addr(), "/ws", "");
    say_to(&mut socket, Codec::Json, br#"{"type":"subscribe","id":7,"channel":"a"}"#);
    match hear(&mut socket, Codec::Json) {
        ServerFrame::Error { id: Some(7), code, .. } => assert_eq!(code, "not_connected"),
        other => panic!("{other:?}"),
    }
    // A message of nothing is no request, and no harm.
    say_to(&mut socket, Codec::Json, " \r\n\t\n".repeat(1000).as_bytes());
    say_to(&mut socket, Codec::Json, br#"{"type":"ping","id":8}"#);
    assert_eq!(hear(&mut socket, Codec::Json), ServerFrame::Pong { id: Some(8) });
}
