//! Frames that break RFC 6455, on both doors that have frames.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_testkit::{Node, eventually};

use crate::row::{Row, row};
use crate::socket::{Socket, declared, frame, upgrade};
use crate::support::{BINARY, PATIENCE, admin, say};

/// `limits.message` of the nodes here.
const CONFIG: &str = "[limits]\nmessage = \"1KiB\"\n";

/// Frames behind a handshake, and the codes that close them; docs/protocol.md, "Codes of closes".
fn frames(most: usize) -> Vec<Row> {
    let much = vec![b' '; most + 1];
    let (half, rest) = much.split_at(most / 2);
    vec![
        row("an unmasked frame", [0x81, 0x02, b'h', b'i'], 1002),
        row("RSV1, as if it were compressed", frame(0xc1, b"x"), 1002),
        row("RSV2", frame(0xa1, b"x"), 1002),
        row("RSV3", frame(0x91, b"x"), 1002),
        row("opcode 3", frame(0x83, b"x"), 1002),
        row("opcode 7", frame(0x87, b"x"), 1002),
        row("opcode 11", frame(0x8b, b"x"), 1002),
        row("opcode 15", frame(0x8f, b"x"), 1002),
        row("a continuation of nothing", frame(0x80, b"x"), 1002),
        row("a fragment of nothing", frame(0x00, b"x"), 1002),
        row("a message within a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        row("a ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
        row("a pong of 126 bytes", frame(0x8a, &[0; 126]), 1002),
        row("a fragmented ping", frame(0x09, b"x"), 1002),
        row("a fragmented close", frame(0x08, &1000u16.to_be_bytes()), 1002),
        row("a close of 126 bytes", frame(0x88, &[3; 126]), 1002),
        row("a close of one byte", frame(0x88, &[3]), 1002),
        row("a close with code 0", frame(0x88, &0u16.to_be_bytes()), 1002),
        row("a close with code 999", frame(0x88, &999u16.to_be_bytes()), 1002),
        row("a close with code 1005", frame(0x88, &1005u16.to_be_bytes()), 1002),
        row("a close with code 1006", frame(0x88, &1006u16.to_be_bytes()), 1002),
        row("a close with code 1015", frame(0x88, &1015u16.to_be_bytes()), 1002),
        row("a close whose reason is no UTF-8", frame(0x88, b"\x03\xe8\xff"), 1007),
        row("a length in 2 bytes that needs one", declared(0x81, 2, 1, b" "), 1002),
        row("a length in 8 bytes that needs 2", declared(0x81, 8, 200, &[b' '; 200]), 1002),
        row("text that is no UTF-8", frame(0x81, b"\xff\xfe"), 1007),
        row("text that ends within a character", frame(0x81, b"\xe2\x82"), 1007),
        row("a surrogate", frame(0x81, b"\xed\xa0\x80"), 1007),
        row("no UTF-8, over two fragments", [frame(0x01, b"\xe2\x82"), frame(0x80, b"x")].concat(), 1007),
        row("a byte too much", frame(0x81, &much), 1009),
        row(
            "a byte too much, declared and never sent",
            declared(0x81, 8, most as u64 + (1 << 16), b""),
            1009,
        ),
        row("a byte too much, in two fragments", [frame(0x01, half), frame(0x80, rest)].concat(), 1009),
        row("2^63-1 bytes declared", declared(0x82, 8, (1 << 63) - 1, b""), 1009),
        row("2^63 bytes declared", declared(0x82, 8, 1 << 63, b""), 1009),
        row("2^64-1 bytes declared", declared(0x82, 8, u64::MAX, b""), 1009),
        row("a ping of 2^63 bytes", declared(0x89, 8, 1 << 63, b""), 1009),
        row("a goodbye", frame(0x88, &1000u16.to_be_bytes()), 1000),
        row("a goodbye without a code", frame(0x88, b""), 1005),
        row("a goodbye with a code of its own", frame(0x88, b"\x0f\xa0bye"), 4000),
        row("more behind a goodbye", [frame(0x88, &1000u16.to_be_bytes()), frame(0xff, b"x")].concat(), 1000),
        row(
            "a goodbye within a message",
            [frame(0x01, b"x"), frame(0x88, &1000u16.to_be_bytes())].concat(),
            1000,
        ),
    ]
}

/// The doors that have frames.
const DOORS: [&str; 2] = ["/ws", "/plain?channel=a"];

/// The frames behind the handshakes of both doors, in one write.
pub(crate) fn rows(most: usize) -> Vec<Row> {
    let behind = |path: &'static str| {
        frames(most).into_iter().map(move |row| Row { bytes: [upgrade(path, ""), row.bytes].concat(), ..row })
    };
    DOORS.into_iter().flat_map(behind).collect()
}

/// Sends each row once the door is open. Returns a line for each that is closed with another code.
fn faults(address: SocketAddr, rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for path in DOORS {
        for row in rows {
            let mut socket = Socket::open(address, path, "");
            socket.send(&row.bytes);
            let code = socket.closed();
            if code != row.expected {
                found.push(format!("{path}: {}: {code} instead of {}", row.what, row.expected));
            }
        }
    }
    found
}

#[test]
fn frames_that_break_the_rules_are_closed_with_their_code() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let rows = frames(1024);
    let found = faults(node.public_addr(), &rows);
    assert!(found.is_empty(), "{found:#?}");
    let wrong: Vec<Row> = rows.iter().map(|row| Row { expected: row.expected + 1, ..row.clone() }).collect();
    let control = faults(node.public_addr(), &wrong).len() == wrong.len() * DOORS.len();
    assert!(control);
    say(&format!(
        "bad frames: {} rows at each of 2 doors closed with their documented code; control, other codes expected: all found: {control}",
        rows.len()
    ));
    // Nothing else is harmed: nobody is left behind.
    eventually(PATIENCE, "all connections are gone", || {
        admin::connections(&node, "native") + admin::connections(&node, "plain") == 0
    });
    assert_eq!(admin::metric(&node, "tidegate_subscriptions"), 0);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// The most memory the node ever had, in KiB.
fn peak_kib(node: &mut Node) -> u64 {
    status_kib(node.process().pid(), "VmHWM:")
}

/// A line of a process' `/proc/<pid>/status`.
pub(crate) fn status_kib(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn tiny_fragments_cost_what_they_carry() {
    let mut node = Node::builder(BINARY).start().expect("a node");
    let begin = |node: &Node| Socket::open(node.public_addr(), "/ws", "");
    begin(&node).send(&frame(0x88, b"")); // what the first connection costs is no matter of fragments
    let before = peak_kib(&mut node);
    let mut socket = begin(&node);
    let mut bytes = frame(0x01, b"a");
    for _ in 1..131_072 {
        bytes.extend_from_slice(&frame(0x00, b"a"));
    }
    socket.send(&bytes);
    assert_eq!(socket.closed(), 1009);
    let grown = peak_kib(&mut node) - before;
    say(&format!(
        "131,072 fragments of one byte: closed with 1009, memory +{grown} KiB at most (promised: < 5 MB)"
    ));
    assert!(grown < 5000, "{grown} KiB");
}

/// Sends a fragment every half second until it is closed or `most` has passed: how long it lasted, and the code.
fn dribble(node: &Node, most: Duration) -> (Duration, u16) {
    let mut socket = Socket::open(node.public_addr(), "/plain?channel=a", "");
    let start = Instant::now();
    socket.send(&frame(0x01, b"a"));
    socket.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    let mut answer = [0; 4];
    while start.elapsed() < most {
        // The read's timeout is the pace of the dribble. Some are empty: they carry nothing and are a sign of life.
        if matches!(std::io::Read::read(&mut socket.stream, &mut answer), Ok(1..)) {
            return (start.elapsed(), u16::from_be_bytes([answer[2], answer[3]]));
        }
        socket.send(&frame(0x00, b""));
    }
    (start.elapsed(), 0)
}

#[test]
fn a_message_must_come_within_ten_seconds_of_its_first_byte() {
    let node = Node::builder(BINARY).start().expect("a node");
    // Control: with room for 64 MiB the same dribble has 17 minutes, and is not found closed.
    let patient = Node::builder(BINARY).config("[limits]\nmessage = \"64MiB\"\n").start().expect("a node");
    std::thread::scope(|scope| {
        let control = scope.spawn(|| dribble(&patient, Duration::from_secs(14)));
        // Whole messages, one begun in each read before the last ended, are nobody's dribble.
        let steady = scope.spawn(|| {
            let mut socket = Socket::open(node.public_addr(), "/plain?channel=b", "");
            let message = frame(0x82, b"steady");
            let stream: Vec<u8> = message.repeat(60);
            for (number, piece) in stream.chunks(message.len() * 2 + 5).enumerate() {
                socket.send(piece);
                socket.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
                let mut answer = [0; 4096];
                // Its own messages come back; then the read's timeout is the pace.
                while let Ok(read) = std::io::Read::read(&mut socket.stream, &mut answer) {
                    assert!(read > 0 && answer[0] == 0x81, "closed after {number} pieces");
                }
            }
        });
        let (lasted, code) = dribble(&node, Duration::from_secs(20));
        let (control, still_open) = control.join().expect("no panic");
        steady.join().expect("no panic");
        say(&format!(
            "a message in endless fragments: closed with {code} after {lasted:.1?} (promised: 10 s, looked at once a second)"
        ));
        say(&format!(
            "a message in endless fragments, control with limits.message = 64MiB: after {control:.1?} found closed: {}",
            still_open != 0
        ));
        assert_eq!((code, still_open), (4100, 0));
        assert!((9..=12).contains(&lasted.as_secs()), "{lasted:?}");
    });
}
