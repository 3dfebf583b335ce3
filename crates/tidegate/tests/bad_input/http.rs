//! Requests on the public port: shapes that smuggle, that are half, twice, or of another protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tidegate_testkit::Node;

use crate::row::{Row, exchange, faults, finds_all, row, status};
use crate::socket::upgrade;
use crate::support::{BINARY, say};

/// `GET path` with more headers.
fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

/// Requests and the statuses that answer them; docs/protocol.md, "Before the connection is open".
pub(crate) fn rows() -> Vec<Row> {
    let socket = |headers: &str| upgrade("/ws", headers);
    let without = |taken: &str| String::from_utf8(socket("")).expect("text").replace(taken, "");
    let channels = |count: usize| (0..count).map(|n| format!("channel={n}&")).collect::<String>();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let with_key = |given: &str| {
        without(key).replace("Host: a\r\n", &format!("Host: a\r\nSec-WebSocket-Key: {given}\r\n"))
    };
    vec![
        // Two readers could see two requests, or another one (RFC 9112 sections 2.2, 5.1, 5.2, 6.1, 11.2).
        row(
            "Content-Length and chunks",
            get("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            400,
        ),
        row("two Content-Lengths", get("/", "Content-Length: 0\r\nContent-Length: 5\r\n"), 400),
        row("one Content-Length twice", get("/", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
        row("two Content-Lengths in one", get("/", "Content-Length: 0, 0\r\n"), 400),
        row("a Content-Length of -1", get("/", "Content-Length: -1\r\n"), 400),
        row("a Content-Length of +0", get("/", "Content-Length: +0\r\n"), 400),
        row("a Content-Length of 2^64", get("/", "Content-Length: 18446744073709551616\r\n"), 400),
        row("a body", get("/", "Content-Length: 5\r\n") + "hello", 400),
        row("a body in chunks", get("/", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400),
        row("an unknown encoding", get("/", "Transfer-Encoding: identity\r\n"), 400),
        row("an encoding behind a tab", get("/", "Transfer-Encoding:\tchunked\r\n"), 400),
        row("a body of an upgrade", socket("Content-Length: 5\r\n"), 400),
        row("an upgrade in chunks", socket("Transfer-Encoding: chunked\r\n"), 400),
        row("a folded header", get("/", "X: a\r\n b\r\n"), 400),
        row("a space before the colon", get("/", "Content-Length : 5\r\n"), 400),
        row("a header without a name", get("/", ": a\r\n"), 400),
        row("a header without a colon", get("/", "X\r\n"), 400),
        row("lines that end with LF", "GET / HTTP/1.1\nHost: a\n\n", 400),
        row("one line that ends with LF", get("/", "X: a\nY: b\r\n"), 400),
        row("CR within a header", get("/", "X: a\rY: b\r\n"), 400),
        row("NUL within a header", get("/", "X: a\0b\r\n"), 400),
        row("a control character within a header", get("/", "X: a\x1bb\r\n"), 400),
        row("NUL within the target", get("/\0", ""), 400),
        row("a space within the target", get("/ ws", ""), 400),
        // Twice is once too often.
        row("two Hosts", get("/", "Host: b\r\n"), 400),
        row("two Origins", socket("Origin: http://a\r\nOrigin: http://a\r\n"), 400),
        row("two keys", socket("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        row("two versions", socket("Sec-WebSocket-Version: 13\r\n"), 400),
        row("two Upgrades", socket("Upgrade: websocket\r\n"), 400),
        row("two Authorizations", socket("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400),
        row("two tokens", upgrade("/plain?channel=a&token=a&token=b", ""), 400),
        row("a channel twice", upgrade("/plain?channel=a&channel=a", ""), 400),
        // Hosts and targets.
        row("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
        row("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        row("a Host that is two", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        row("a Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        row("a whole URL", get("http://a/", ""), 200),
        row("a whole URL of nothing", get("http://a/nowhere", ""), 404),
        row("a URL of another scheme", get("ftp://a/", ""), 400),
        row("an authority", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        row("an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        row("nothing there", upgrade("/nowhere", ""), 404),
        row("up and away", get("/../../etc/passwd", ""), 404),
        row("the admin port's paths", get("/metrics", ""), 404),
        // Other protocols and versions.
        row("HTTP/0.9", "GET /\r\n\r\n", 400),
        row("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 400),
        row(
            "an upgrade of HTTP/1.0",
            String::from_utf8_lossy(&socket("")).replace("HTTP/1.1", "HTTP/1.0"),
            400,
        ),
        row("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        row("HTTP/2's first words", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        row("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        row("Redis", b"*1\r\n$4\r\nPING\r\n\r\n".to_vec(), 400),
        row("no text", b"\x00\xff\r\n\r\n".to_vec(), 400),
        // Methods.
        row("DELETE of the page", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        row("POST to a stream", "POST /sse?channel=a HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        row("an upgrade by POST", String::from_utf8_lossy(&socket("")).replace("GET", "POST"), 405),
        // Sizes.
        row("64 headers", get("/", &"A: b\r\n".repeat(63)), 200),
        row("65 headers", get("/", &"A: b\r\n".repeat(64)), 431),
        row("a head of 20 KiB", get("/", &format!("X: {}\r\n", "x".repeat(20_000))), 431),
        row("a line without end", "x".repeat(20_000), 431),
        row("a target of 20 KiB", get(&format!("/{}", "x".repeat(20_000)), ""), 431),
        // Handshakes (RFC 6455 section 4.2).
        row("no upgrade", get("/ws", ""), 426),
        row("no version", without("Sec-WebSocket-Version: 13\r\n"), 426),
        row("version 8", without("").replace("Version: 13", "Version: 8"), 426),
        row("another upgrade", without("").replace("websocket", "h2c"), 426),
        row("an upgrade without its option", without("Connection: Upgrade\r\n"), 426),
        row("no key", without(key), 400),
        row("a key of 3 bytes", with_key("AAAA"), 400),
        row("a key of 17 bytes", with_key("AAAAAAAAAAAAAAAAAAAAAAA="), 400),
        row("a key that is no base64", with_key("????????????????????????"), 400),
        row("only unknown subprotocols", socket("Sec-WebSocket-Protocol: graphql-ws\r\n"), 400),
        row("only a token as subprotocol", socket("Sec-WebSocket-Protocol: tidegate.token.x\r\n"), 400),
        row("a foreign page", socket("Origin: https://evil.example\r\n"), 403),
        row("a page of nowhere", socket("Origin: null\r\n"), 403),
        row("a page that ends like ours", socket("Origin: http://evila\r\n"), 403),
        // What is asked for.
        row("no channel", upgrade("/plain", ""), 400),
        row("an empty channel", get("/sse?channel=", ""), 400),
        row("a channel with a space", upgrade("/plain?channel=a%20b", ""), 400),
        row("a channel with NUL", upgrade("/plain?channel=a%00b", ""), 400),
        row("a channel with a line feed", get("/sse?channel=a%0d%0ab", ""), 400),
        row("a channel with braces", upgrade("/plain?channel=%7Ba%7D", ""), 400),
        row("a channel of Tidegate's own", upgrade("/plain?channel=%7Etidegate", ""), 400),
        row("a channel of 256 bytes", upgrade(&format!("/plain?channel={}", "x".repeat(256)), ""), 400),
        row("a channel that is no UTF-8", upgrade("/plain?channel=%ff", ""), 400),
        row("a name that is no UTF-8", upgrade("/plain?%ff=a", ""), 400),
        row("129 channels", get(&format!("/sse?{}", channels(129)), ""), 400),
        row("1,200 channels", get(&format!("/sse?{}", channels(1200)), ""), 400),
        row("a token that is none", upgrade("/plain?channel=a&token=nonsense", ""), 401),
        row("an empty token", upgrade("/plain?channel=a&token=", ""), 401),
        row(
            "a token of 9,000 bytes",
            upgrade(&format!("/plain?channel=a&token={}", "x".repeat(9000)), ""),
            401,
        ),
        row("nothing but a line", "\r\n", 0),
    ]
}

/// [`rows`] that end by themselves: the last one waits for a request.
pub(crate) fn quick_rows() -> Vec<Row> {
    rows().into_iter().filter(|row| row.expected != 0).collect()
}

#[test]
fn requests_get_their_documented_status() {
    let node = Node::builder(BINARY).start().expect("a node");
    let found = faults(node.public_addr(), &quick_rows(), status);
    assert!(found.is_empty(), "{found:#?}");
    let control = finds_all(node.public_addr(), &quick_rows(), status);
    assert!(control);
    say(&format!(
        "bad requests: {} of {} answered as documented; control, other answers expected: all found: {control}",
        quick_rows().len(),
        quick_rows().len()
    ));
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn refusals_say_what_they_must() {
    let node = Node::builder(BINARY).start().expect("a node");
    for (request, words) in [
        (get("/ws", ""), &["Upgrade: websocket\r\n", "Connection: Upgrade\r\n"][..]),
        (
            String::from_utf8_lossy(&upgrade("/ws", "")).replace("Version: 13", "Version: 12"),
            &["Sec-WebSocket-Version: 13\r\n", "Upgrade: websocket\r\n"],
        ),
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n".into(), &["Allow: GET, HEAD\r\n"]),
        (get("/sse?channel=a%20b", ""), &["application/problem+json", "\"code\":\"bad_channel\"", "' '"]),
        (get("/sse?channel=~a", ""), &["\"code\":\"bad_channel\""]),
        (get(&format!("/sse?channel={}", "x".repeat(256)), ""), &["at most 255 bytes", "this one has 256"]),
    ] {
        let answer = exchange(node.public_addr(), request.as_bytes()).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        assert!(words.iter().all(|word| answer.contains(word)), "{request}\n{answer}");
    }
    // HEAD has no body, whatever the status.
    let head = exchange(node.public_addr(), b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").expect("an answer");
    assert!(head.starts_with(b"HTTP/1.1 404") && head.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_request_behind_the_first_is_not_answered() {
    let node = Node::builder(BINARY).start().expect("a node");
    let twice = get("/nowhere", "").repeat(2);
    let answer = exchange(node.public_addr(), twice.as_bytes()).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 404").count(), 1);
}

#[test]
fn half_a_handshake_leaves_nothing_behind() {
    let node = Node::builder(BINARY).start().expect("a node");
    let whole = upgrade("/ws", "");
    for cut in (0..whole.len()).step_by(7) {
        let mut socket = TcpStream::connect(node.public_addr()).expect("the node listens");
        socket.write_all(&whole[..cut]).expect("it takes it");
        socket.shutdown(std::net::Shutdown::Write).expect("a socket");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(status(&answer), if cut == 0 { 0 } else { 400 }, "cut at {cut}");
    }
    let (_, metrics) = crate::support::admin::get(&node, "/metrics");
    assert!(metrics.contains("tidegate_connections_opened_total{door=\"native\"} 0\n"), "{metrics}");
}

#[test]
fn a_handshake_that_dribbles_ends_after_five_seconds_in_total() {
    let node = Node::builder(BINARY).start().expect("a node");
    let start = Instant::now();
    let mut socket = TcpStream::connect(node.public_addr()).expect("the node listens");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
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
