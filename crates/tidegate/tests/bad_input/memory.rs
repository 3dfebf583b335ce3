//! All tables together, many times, against one node: its memory stays flat, and an honest client is served all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_protocol::Codec;
use tidegate_testkit::{Node, eventually};

use crate::row::exchange;
use crate::socket::{Socket, frame, upgrade};
use crate::support::{BINARY, admin as port, full, say};
use crate::websocket::status_kib;
use crate::{admin, http, native, websocket};

/// Rounds before memory is compared: buffers of threads, tables and the log are allocated once.
const WARM_UP: usize = 10;

/// How much memory may grow. What one message of 64 KiB takes for a moment, the allocator keeps for each of its
/// arenas; whatever a connection leaves behind grows with the rounds instead.
const ALLOWED_KIB: i64 = 8000;

/// One round of everything. Each connection is ended by the node, whatever it was told.
fn pack(node: &Node) -> usize {
    let mut count = 0;
    let mut send = |what: &str, address, bytes: &[u8]| {
        assert!(exchange(address, bytes).is_some(), "{what}: the node does not end it");
        count += 1;
    };
    for row in http::quick_rows().into_iter().chain(websocket::rows(64 << 10)) {
        send(row.what, node.public_addr(), &row.bytes);
    }
    for (what, request, ..) in admin::rows() {
        send(what, node.admin_addr(), &request);
    }
    for (what, codec, message) in native::pack() {
        let (first, connect): (u8, &[u8]) = match codec {
            Codec::Json => (0x81, br#"{"type":"connect","id":1}"#),
            Codec::MessagePack => (0x82, b"\x82\xa4type\xa7connect\xa2id\x01"),
        };
        let head = upgrade("/ws", &format!("Sec-WebSocket-Protocol: {}\r\n", codec.subprotocol()));
        let bytes = [head, frame(first, connect), frame(first, &message), frame(0x88, b"")].concat();
        send(what, node.public_addr(), &bytes);
    }
    let behind_connect = |frames: &[u8]| {
        let connect = frame(0x81, br#"{"type":"connect","id":1}"#);
        [&upgrade("/ws", "")[..], &connect, frames, &frame(0x88, b"")].concat()
    };
    send("20,000 lines", node.public_addr(), &behind_connect(&frame(0x81, &b"x\n".repeat(20_000))));
    let empty = [frame(0x01, b"x"), frame(0x00, b"").repeat(5000)].concat();
    send("5,000 fragments", node.public_addr(), &behind_connect(&empty));
    count
}

/// An honest client hears what an honest backend publishes: how many events, and how long the slowest took.
fn honest(node: &Node, stop: &AtomicBool, heard: &AtomicU64) -> (u64, Duration) {
    let mut socket = Socket::open(node.public_addr(), "/plain?channel=honest", "");
    let (mut number, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let start = Instant::now();
        assert_eq!(port::publish(node.admin_addr(), "honest", &number.to_string()).0, 200);
        let payload = loop {
            match socket.next().expect("the honest client stays connected") {
                (0x89, ping) => socket.send(&frame(0x8a, &ping)),
                (_, payload) => break payload,
            }
        };
        assert_eq!(payload, number.to_string().into_bytes(), "every event once, in order");
        slowest = slowest.max(start.elapsed());
        heard.store(number, Ordering::Relaxed);
    }
    (number, slowest)
}

#[test]
fn memory_stays_flat_and_an_honest_client_is_served() {
    let mut node = Node::builder(BINARY).start().expect("a node");
    let pid = node.process().pid();
    let memory = || i64::try_from(status_kib(pid, "VmRSS:")).expect("less than 2^63");
    let rounds = if full() { 60 } else { 12 };
    let (stop, heard) = (AtomicBool::new(false), AtomicU64::new(0));
    let (before, sent, events, slowest) = std::thread::scope(|scope| {
        let client = scope.spawn(|| honest(&node, &stop, &heard));
        let (mut before, mut sent) = (0, 0);
        for round in 0..WARM_UP + rounds {
            if round == WARM_UP {
                (before, sent) = (memory(), 0);
            }
            let known = heard.load(Ordering::Relaxed);
            sent += pack(&node);
            // Served in each round, not only after all of them.
            assert!(
                heard.load(Ordering::Relaxed) > known || client.is_finished(),
                "nothing heard in round {round}"
            );
        }
        stop.store(true, Ordering::Relaxed);
        let (events, slowest) = client.join().expect("no panic");
        (before, sent, events, slowest)
    });
    let grown = memory() - before;
    say(&format!(
        "the whole hostile pack {rounds} times, {sent} connections: memory {grown:+} KiB (allowed: +8 MB); an honest \
         client meanwhile heard {events} of {events} events, the slowest after {slowest:.0?}"
    ));
    assert!(grown < ALLOWED_KIB, "{grown} KiB");
    assert!(!node.log().contains("panicked"), "{}", node.log());
    // Control: what a node does keep is seen. Each of these connections owns an unfinished message.
    let before = memory();
    let kept: Vec<Socket> = (0..200)
        .map(|_| {
            let mut socket = Socket::open(node.public_addr(), "/plain?channel=a", "");
            socket.send(&frame(0x02, &[1; 60_000]));
            socket
        })
        .collect();
    let seen = || memory() - before > ALLOWED_KIB;
    eventually(Duration::from_secs(8), "200 unfinished messages are seen", seen);
    say(&format!(
        "the hostile pack, control: {} unfinished messages found as growth: {}",
        kept.len(),
        seen()
    ));
}
