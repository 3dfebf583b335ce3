//! Bad input on the public port, byte for byte: each gets its documented answer, and the node goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tidegate_testkit::{Node, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");
const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends bytes, and reads until the server closes.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).expect("the node listens");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early may close while we write.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// A masked frame; the mask is zeros, so the payload is readable.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0xfe);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0xff);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// The code of the close frame at the end of what a server said behind its 101.
fn close_code(answer: &[u8]) -> u16 {
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    let mut rest = &answer[body..];
    while rest.len() >= 4 {
        let (header, length) = match rest[1] {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            short => (2, usize::from(short)),
        };
        if rest[0] == 0x88 {
            return u16::from_be_bytes([rest[header], rest[header + 1]]);
        }
        rest = rest.get(header + length..).unwrap_or_default();
    }
    0
}

fn upgrade(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{KEY}{headers}\r\n").into_bytes()
}

#[test]
fn requests_that_open_no_door_say_why() {
    let node = Node::builder(BINARY).start().unwrap();
    let address = node.public_addr();
    let long_name = "x".repeat(256);
    let big_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (request, expected) in [
        ("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".into(), 426),
        (upgrade("/ws", "Sec-WebSocket-Protocol: graphql-ws\r\n"), 400),
        (upgrade("/ws", "Origin: https://evil.example\r\n"), 403),
        (upgrade("/ws", "Origin: null\r\n"), 403),
        (upgrade("/ws", "Host: b\r\n"), 400),
        (upgrade("/ws", "Content-Length: 5\r\n"), 400),
        (upgrade("/ws", "Transfer-Encoding: chunked\r\n"), 400),
        (upgrade("/plain", ""), 400),
        (upgrade("/plain?channel=a%20b", ""), 400),
        (upgrade("/plain?channel=%7Etidegate", ""), 400),
        (upgrade("/plain?channel=a&channel=a", ""), 400),
        (upgrade(&format!("/plain?channel={long_name}"), ""), 400),
        (upgrade("/plain?channel=a&token=nonsense", ""), 401),
        (upgrade("/nowhere", ""), 404),
        ("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("POST /sse?channel=a HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        ("GET / HTTP/1.0\r\n\r\n".into(), 400),
        ("GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (big_head.into_bytes(), 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400), // TLS on a plain port
        (b"\x00\xff\r\n\r\n".to_vec(), 400),
    ] {
        let answer = exchange(address, &request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]);
        assert_eq!(status(&answer), expected, "{shown}\n{}", String::from_utf8_lossy(&answer));
    }
    assert!(node.log().is_empty() || !node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn frames_that_break_the_rules_are_closed_with_their_code() {
    let node = Node::builder(BINARY).config("[limits]\nmessage = \"1KiB\"\n").start().unwrap();
    let declared = [&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    let fragments = [frame(0x01, &[b'a'; 600]), frame(0x80, &[b'a'; 600])].concat();
    for (what, bytes, expected) in [
        ("unmasked", vec![0x81, 0x02, b'h', b'i'], 1002),
        ("RSV1", frame(0xc1, b"x"), 1002),
        ("reserved opcode", frame(0x83, b"x"), 1002),
        ("stray continuation", frame(0x80, b"x"), 1002),
        ("ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("text that is no UTF-8", frame(0x81, b"\xff\xfe"), 1007),
        ("one byte too long", frame(0x81, &[b' '; 1025]), 1009),
        ("fragments too long together", fragments, 1009),
        ("2^63 bytes declared", declared, 1009),
        ("another protocol", frame(0x81, b"hello"), 4000),
        ("a goodbye", frame(0x88, &1000u16.to_be_bytes()), 1000),
    ] {
        let answer = exchange(node.public_addr(), &[upgrade("/ws", ""), bytes].concat());
        assert_eq!(status(&answer), 101, "{what}");
        assert_eq!(close_code(&answer), expected, "{what}: {:?}", String::from_utf8_lossy(&answer));
    }
    // Nothing else is harmed: the node still serves, and nobody is left behind.
    let metric = || {
        let answer =
            exchange(node.admin_addr(), b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        String::from_utf8_lossy(&answer).into_owned()
    };
    eventually(PATIENCE, "all connections are gone", || {
        metric().contains("tidegate_connections{door=\"native\"} 0\n")
    });
    assert!(metric().contains("tidegate_subscriptions 0\n"));
}

#[test]
fn a_handshake_that_dribbles_ends_after_five_seconds_in_total() {
    let node = Node::builder(BINARY).start().unwrap();
    let start = Instant::now();
    let mut socket = TcpStream::connect(node.public_addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = Vec::new();
    for byte in std::iter::repeat_n(b"GET / HTTP/1.1\r\nHost: ".iter(), 10).flatten() {
        let mut piece = [0; 256];
        // The read's timeout is the pace of the dribble.
        match (socket.write_all(&[*byte]), socket.read(&mut piece)) {
            (Ok(()), Err(_)) => {}
            (_, Ok(read)) => {
                answer.extend_from_slice(&piece[..read]);
                break;
            }
            (Err(_), Err(_)) => break,
        }
    }
    assert_eq!(status(&answer), 408, "{}", String::from_utf8_lossy(&answer));
    assert!((4..7).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
