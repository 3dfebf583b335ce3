//! What things cost a node in memory, for docs/operations.md: a connection, a subscription, a channel. Bounds are half as much
//! again as what stands there, since allocators round.

mod support;

use std::net::TcpStream;

use support::{BINARY, PATIENCE, say};
use tidegate_testkit::{Node, eventually};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Below the soft file limit of most shells, with the node's own in another process.
const CONNECTIONS: usize = 500;
/// Channels that all connections share.
const SHARED: usize = 100;
/// Channels of each connection alone; together within `limits.channels`.
const OWN: usize = 28;

/// What operations.md says of each, in bytes, without jemalloc.
const CONNECTION: usize = 1_024;
const SUBSCRIPTION: usize = 120;
const CHANNEL: usize = 50;

/// Memory of the node's own, in bytes.
fn resident(node: &mut Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process().pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// The same, once it has come to rest: what tests wait for is done a little later than they see it.
fn rested(node: &mut Node) -> usize {
    let mut before = 0;
    eventually(PATIENCE, "its memory comes to rest", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = resident(node);
        std::mem::replace(&mut before, now) == now
    });
    before
}

/// Subscribes to all these channels in one message, and waits for the replies.
fn subscribe(socket: &mut WebSocket<TcpStream>, channels: impl Iterator<Item = String>) {
    let lines: Vec<String> = (2..)
        .zip(channels)
        .map(|(id, channel)| format!(r#"{{"type":"subscribe","id":{id},"channel":"{channel}"}}"#))
        .collect();
    socket.send(Message::text(lines.join("\n"))).expect("it reads");
    for _ in &lines {
        let reply = socket.read().expect("a reply").to_string();
        assert!(reply.contains(r#""type":"subscribed""#), "{reply}");
    }
}

/// A connected client of the native door.
fn dial(node: &Node) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(node.public_addr()).expect("it listens");
    let (mut socket, _) = tungstenite::client(node.ws_url(), stream).expect("an upgrade");
    socket.send(Message::text(r#"{"type":"connect","id":1}"#)).expect("it reads");
    assert!(socket.read().expect("a reply").to_string().contains("connected"));
    socket
}

#[test]
fn a_connection_a_subscription_and_a_channel_cost_what_operations_md_says() {
    let mut node = Node::builder(BINARY).start().expect("a node");
    // What is there once, such as the threads' read buffers, is no connection's.
    let mut first: Vec<_> = (0..20).map(|_| dial(&node)).collect();
    first.iter_mut().for_each(|socket| subscribe(socket, (0..SHARED).map(|n| format!("shared:{n}"))));
    let start = rested(&mut node);

    let mut sockets: Vec<_> = (0..CONNECTIONS).map(|_| dial(&node)).collect();
    let connected = rested(&mut node);
    sockets.iter_mut().for_each(|socket| subscribe(socket, (0..SHARED).map(|n| format!("shared:{n}"))));
    let shared = rested(&mut node);
    for (at, socket) in sockets.iter_mut().enumerate() {
        subscribe(socket, (0..OWN).map(|n| format!("own:{at}-{n}")));
    }
    let own = rested(&mut node);

    let connection = connected.saturating_sub(start) / CONNECTIONS;
    let subscription = shared.saturating_sub(connected) / (CONNECTIONS * SHARED);
    let channel = (own.saturating_sub(shared) / (CONNECTIONS * OWN)).saturating_sub(subscription);
    say(&format!(
        "memory: a node with {CONNECTIONS} connections, the system's allocator: at rest {} MiB; a connection {connection} bytes, \
         a subscription {subscription} bytes, a channel {channel} bytes more",
        start >> 20
    ));
    let most = |says: usize| says * 3 / 2;
    assert!(connection < most(CONNECTION), "a connection costs {connection} bytes");
    assert!(subscription < most(SUBSCRIPTION), "a subscription costs {subscription} bytes");
    assert!(channel < most(CHANNEL), "a channel costs {channel} bytes");
    // The control: what the same sum says of connections with their subscriptions, were they taken for idle ones.
    let taken = own.saturating_sub(start) / CONNECTIONS;
    say(&format!("memory, control: with {} subscriptions each, a connection is {taken} bytes", SHARED + OWN));
    assert!(taken > most(CONNECTION), "{taken}: the sum finds nothing");
}
