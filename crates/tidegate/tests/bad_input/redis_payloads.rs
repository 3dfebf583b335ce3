//! What backends publish to Redis, wrong or strange: delivered raw, or dropped and counted, and nothing else is harmed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use tidegate_testkit::{Node, RedisServer, eventually};

use crate::socket::Socket;
use crate::support::{BINARY, PATIENCE, admin, say};

const CONFIG: &str = "[limits]\nevent = \"1KiB\"\n";

/// What a subscriber of the plain door gets, or which counter counts instead.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arrives {
    /// The very bytes.
    Raw,
    /// This payload, out of the envelope.
    Event(&'static [u8]),
    /// Nothing: dropped for this reason.
    Dropped(&'static str),
}
use Arrives::{Dropped, Event, Raw};

/// An envelope with two bytes of payload, every field filled.
const WHOLE: &[u8] = b"\xc1\x98\x01\xa5event\xcf\x00\x06\x44\x2b\x69\x9d\x9d\x00\xb31763700000000000001\x07\xa3ada\xa1k\xc4\x02hi";

fn rows() -> Vec<(String, Vec<u8>, Arrives)> {
    let mut rows: Vec<(String, Vec<u8>, Arrives)> = [
        ("nothing", &b""[..], Raw),
        ("text", b"hello", Raw),
        ("no UTF-8", b"\xff\xfe\x00", Raw),
        ("a frame of WebSocket", b"\x88\x02\x03\xe8", Raw),
        ("a whole envelope", WHOLE, Event(b"hi")),
        ("the smallest envelope", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc4\x00", Event(b"")),
        (
            "an envelope in an envelope",
            b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc4\x03\xc1\x90\xff",
            Event(b"\xc1\x90\xff"),
        ),
        ("a kind of a newer node", b"\xc1\x93\x01\xa4join\xa1a", Dropped("unknown_envelope")),
        ("a version of a newer node", b"\xc1\x93\x02\xa5event\xc0", Dropped("unknown_envelope")),
        ("the mark alone", b"\xc1", Raw),
        ("the mark twice", b"\xc1\xc1", Raw),
        ("an event of two items", b"\xc1\x92\x01\xa5event", Raw),
        ("a map", b"\xc1\x82\x01\xa5event\x02\xc0", Raw),
        ("an array of 2^32-1 items", b"\xc1\xdd\xff\xff\xff\xff\x01\xa5event", Raw),
        ("a kind of 4 GiB", b"\xc1\x98\x01\xdb\xff\xff\xff\xffevent", Raw),
        ("a payload of 4 GiB", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc6\xff\xff\xff\xffhi", Raw),
        ("a payload of 2 GiB in a newer envelope", b"\xc1\x93\x02\xa5event\xc6\x7f\xff\xff\xffhi", Raw),
        ("a version that is a text", b"\xc1\x98\xa11\xa5event\xc0\xc0\xc0\xc0\xc0\xc4\x00", Raw),
        ("a kind that is a number", b"\xc1\x98\x01\x05\xc0\xc0\xc0\xc0\xc0\xc4\x00", Raw),
        ("a time that is a list", b"\xc1\x98\x01\xa5event\x90\xc0\xc0\xc0\xc0\xc4\x00", Raw),
        ("a time of -1", b"\xc1\x98\x01\xa5event\xff\xc0\xc0\xc0\xc0\xc4\x00", Raw),
        ("an epoch that is none", b"\xc1\x98\x01\xa5event\xc0\xa1x\x01\xc0\xc0\xc4\x00", Raw),
        ("an offset without an epoch", b"\xc1\x98\x01\xa5event\xc0\xc0\x01\xc0\xc0\xc4\x00", Raw),
        ("a sender that is no UTF-8", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xa1\xff\xc0\xc4\x00", Raw),
        ("a payload that is a map", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\x80", Raw),
        ("an extension for a key", b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xd4\x05\x01\xc4\x00", Raw),
    ]
    .map(|(what, payload, arrives)| (what.to_owned(), payload.to_vec(), arrives))
    .into();
    rows.extend((2..WHOLE.len()).map(|cut| (format!("cut at {cut}"), WHOLE[..cut].to_vec(), Raw)));
    rows.push(("a byte more".into(), [WHOLE, b"x"].concat(), Raw));
    rows.push(("1000 levels".into(), [&b"\xc1\x93\x02\xa5event"[..], &[0x91; 1000], b"\xc0"].concat(), Raw));
    let enveloped = |bytes: u16| {
        let head = [&b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc5"[..], &bytes.to_be_bytes()].concat();
        [head, vec![0; usize::from(bytes)]].concat()
    };
    rows.push(("1 KiB".into(), vec![0; 1024], Raw));
    rows.push(("1 KiB and a byte".into(), vec![0; 1025], Dropped("oversized")));
    rows.push(("1 KiB in an envelope".into(), enveloped(1024), Event(&[0; 1024])));
    rows.push(("1 KiB and a byte in an envelope".into(), enveloped(1025), Dropped("oversized")));
    rows.push(("1 MiB".into(), vec![0xc1; 1 << 20], Dropped("oversized")));
    rows
}

/// A backend: a few lines of RESP that take any bytes.
struct Backend(TcpStream);

impl Backend {
    fn connect(redis: &RedisServer) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).expect("redis");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    /// How many nodes got it.
    fn publish(&mut self, name: &[u8], payload: &[u8]) -> u64 {
        let mut command = b"*3\r\n$7\r\nPUBLISH\r\n".to_vec();
        for word in [name, payload] {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        self.0.write_all(&command).expect("redis takes it");
        let mut answer = String::new();
        while !answer.ends_with('\n') {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("redis answers");
            answer.push(char::from(byte[0]));
        }
        answer.trim().trim_start_matches(':').parse().expect("a number")
    }
}

/// A node that hears its Redis.
fn node(redis: &RedisServer, config: &str) -> Node {
    let node = Node::builder(BINARY).redis(&redis.url()).config(config).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    node
}

fn dropped(node: &Node, reason: &str) -> u64 {
    admin::metric(node, &format!("tidegate_events_dropped_total{{reason=\"{reason}\"}}"))
}

/// Publishes each row and a marker, and compares what comes before the marker. A line for each difference.
fn faults(node: &Node, backend: &mut Backend, rows: &[(String, Vec<u8>, Arrives)]) -> Vec<String> {
    let mut socket = Socket::open(node.public_addr(), "/plain?channel=a", "");
    let mut found = Vec::new();
    for (number, (what, payload, arrives)) in rows.iter().enumerate() {
        let reason = if let Dropped(reason) = arrives { reason } else { "oversized" };
        let before = dropped(node, reason);
        assert_eq!(backend.publish(b"tg:{a}", payload), 1, "the node listens");
        let marker = format!("marker {number}").into_bytes();
        backend.publish(b"tg:{a}", &marker);
        let mut heard = Vec::new();
        loop {
            let (_, frame) = socket.next().expect("the subscriber is not harmed");
            if frame == marker {
                break;
            }
            heard.push(frame);
        }
        let counted = dropped(node, reason) - before;
        let right = match arrives {
            Raw => heard == [payload.clone()] && counted == 0,
            Event(inner) => heard == [inner.to_vec()] && counted == 0,
            Dropped(_) => heard.is_empty() && counted == 1,
        };
        if !right {
            found.push(format!(
                "{what}: heard {} of {heard:02x?}, {reason} +{counted}, instead of {arrives:?}",
                heard.len()
            ));
        }
    }
    found
}

#[test]
fn every_payload_arrives_as_documented_or_is_counted() {
    let redis = RedisServer::start().expect("redis");
    let node = node(&redis, CONFIG);
    let mut backend = Backend::connect(&redis);
    let rows = rows();
    let found = faults(&node, &mut backend, &rows);
    assert!(found.is_empty(), "{found:#?}");
    let wrong: Vec<_> = rows
        .iter()
        .take(9)
        .map(|(what, payload, arrives)| {
            let other = if *arrives == Raw { Dropped("unknown_envelope") } else { Raw };
            (what.clone(), payload.clone(), other)
        })
        .collect();
    let control = faults(&node, &mut backend, &wrong).len() == wrong.len();
    assert!(control);
    say(&format!(
        "bad payloads through Redis: {} rows arrived raw, unwrapped or were counted, as documented; control, other outcomes expected: all found: {control}",
        rows.len()
    ));
    assert!(!node.log().contains("panicked"), "{}", node.log());
    assert!(node.log().contains("events above limits.event dropped"), "{}", node.log());
}

#[test]
fn names_that_are_no_channels_reach_nobody() {
    let redis = RedisServer::start().expect("redis");
    let node = node(&redis, "");
    let mut backend = Backend::connect(&redis);
    let mut socket = Socket::open(node.public_addr(), "/plain?channel=a", "");
    let long = [&b"tg:{"[..], &[b'x'; 300], b"}"].concat();
    for name in [
        &b"a"[..],
        b"tg:",
        b"tg:{",
        b"tg:{}",
        b"tg:a",
        b"tg:{a",
        b"tg:a}",
        b"tg:{a}b",
        b"tg:{a}}",
        b"tg:{{a}}",
        b"tg:{a b}",
        b"tg:{a}\n",
        b"tg:{a\0}",
        b"tg:{\xff}",
        b"TG:{a}",
        b"tg2:{a}",
        b"tg:{*}",
        b"tg:{~a}",
        b"",
        &long,
    ] {
        assert_eq!(backend.publish(name, b"x"), 0, "{:?}", String::from_utf8_lossy(name));
    }
    assert_eq!(backend.publish(b"tg:{a}", b"heard"), 1);
    assert_eq!(socket.next().expect("open").1, b"heard");
    assert_eq!(admin::metric(&node, "tidegate_events_received_total{source=\"redis\"}"), 1);
}
