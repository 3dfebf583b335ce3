//! The closing handshake (RFC 6455 sections 5.5.1 and 7.1), on the wire: who says what last, and when a socket is free.

use std::time::{Duration, Instant};

use tidegate_gateway::settings::{List, Settings};
use tidegate_gateway::{Addresses, Gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a node waits for a peer that is told goodbye and keeps its socket.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

async fn node() -> Addresses {
    let mut settings = Settings::default();
    settings.server.listen = List(vec!["127.0.0.1:0".into()]);
    settings.server.admin = "127.0.0.1:0".into();
    settings.server.workers = 1;
    let gateway = Gateway::start(settings).await.expect("it starts");
    let addresses = gateway.addresses().clone();
    tokio::spawn(gateway.run(CancellationToken::new())); // ends with the test's runtime
    addresses
}

/// A masked frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126, "a short frame");
    let mask = [0x11, 0x22, 0x33, 0x44];
    let masked = payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]);
    [first, 0x80 | payload.len() as u8].into_iter().chain(mask).chain(masked).collect()
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// Upgrades at `path` and sends `bytes` in the same breath.
async fn open(node: &Addresses, path: &str, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(node.public[0]).await.expect("it listens");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    socket.write_all(bytes).await.expect("it reads");
    socket
}

/// What comes until the node says that no more will.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    read.expect("the end comes").expect("an orderly end, no reset");
    bytes
}

/// Waits until the node knows of no connection; says for how long.
async fn freed(node: &Addresses) -> Duration {
    let start = Instant::now();
    loop {
        let mut socket = TcpStream::connect(node.admin).await.expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("metrics");
        let open = |line: &&str| line.starts_with("tidegate_connections{") && !line.ends_with(" 0");
        if !answer.lines().any(|line| open(&line)) {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "still open: {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_code_and_nothing_behind_it_counts() {
    let node = node().await;
    let bytes =
        [frame(0x89, b"last"), close(3000, "bye"), frame(0x89, b"late"), frame(0x81, b"late")].concat();
    let mut socket = open(&node, "/ws", &bytes).await;
    assert_eq!(rest(&mut socket).await, b"\x8a\x04last\x88\x05\x0b\xb8bye");
    // We close our side first; the client's end frees the socket at once.
    drop(socket);
    freed(&node).await;
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_without_one() {
    let node = node().await;
    let mut socket = open(&node, "/plain?channel=a", &frame(0x88, b"")).await;
    assert_eq!(rest(&mut socket).await, b"\x88\x00");
}

#[tokio::test]
async fn codes_that_must_not_be_on_the_wire_are_not_given_back() {
    let node = node().await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999] {
        let mut socket = open(&node, "/plain?channel=a", &close(code, "")).await;
        let answer = rest(&mut socket).await;
        assert_eq!(&answer[2..4], &1002u16.to_be_bytes(), "{code}: {answer:?}");
    }
    for (payload, expected) in [(&b"\x03"[..], 1002u16), (b"\x03\xe8\xff", 1007)] {
        let mut socket = open(&node, "/plain?channel=a", &frame(0x88, payload)).await;
        let answer = rest(&mut socket).await;
        assert_eq!(
            (answer[0], &answer[2..4]),
            (0x88, &expected.to_be_bytes()[..]),
            "{payload:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn behind_our_close_nothing_is_said_and_the_peers_close_is_waited_for() {
    let node = node().await;
    let mut socket = open(&node, "/ws", &frame(0x81, b"no request")).await;
    let said = rest(&mut socket).await; // an error frame, then 4000
    let at = said.windows(2).rposition(|pair| pair == 4000u16.to_be_bytes()).expect("4000");
    assert_eq!(said[at - 2], 0x88, "{said:?}");
    // The node still reads, so that nothing of ours is answered with a reset, which could take its close along.
    for _ in 0..100 {
        socket.write_all(&[frame(0x89, b"?"), frame(0x81, b"late")].concat()).await.expect("it still reads");
    }
    socket.write_all(&close(4000, "")).await.expect("it still reads");
    drop(socket);
    freed(&node).await;
}

#[tokio::test]
async fn a_peer_that_is_told_goodbye_and_stays_is_cut_after_five_seconds() {
    let node = node().await;
    let mut socket = open(&node, "/ws", &frame(0x81, b"no request")).await;
    rest(&mut socket).await;
    let took = freed(&node).await;
    assert!(took > CLOSE_TIMEOUT - Duration::from_secs(1), "it had its time: {took:?}");
    assert!(took < CLOSE_TIMEOUT + Duration::from_secs(2), "{took:?}");
    drop(socket);
}

#[tokio::test]
async fn an_end_without_a_close_frees_the_socket() {
    let node = node().await;
    let mut socket = open(&node, "/plain?channel=a", &frame(0x01, b"half a message")).await;
    socket.shutdown().await.expect("half closed");
    assert_eq!(rest(&mut socket).await, b"", "there is nobody to say anything to");
    freed(&node).await;
}
