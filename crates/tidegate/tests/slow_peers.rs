//! Peers that dribble, stand still or vanish: each costs what the bounds say, ends when the deadlines say, and nobody
//! else notices. Each with a control that the same check must catch.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use support::peer::{
    UPGRADE, dial_small, dribble, last_words, naive_server, percentile, plain, tally, vanish,
};
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_client::Client;
use tidegate_testkit::{Node, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the handshake has, all of it together.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What two clocks and a busy machine may add to a promise in whole seconds.
const TOLERANCE: Duration = Duration::from_secs(1);

/// How long an honest client waits: far above what it takes, for a machine that builds something else meanwhile, and less
/// than a dribbler holds its seat.
const HONEST: Duration = Duration::from_secs(3);

fn head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}")
}

/// Whether all of these ends came in time.
fn in_time(ends: &[Duration]) -> bool {
    ends.iter().all(|end| *end <= HANDSHAKE + TOLERANCE)
}

/// Honest clients, one after another until `end`: how long each took to be connected. None if one did not within [`HONEST`].
async fn honest(url: &str, end: Instant) -> Option<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let (client, _incoming) = Client::builder(url).connect().expect("a URL");
        tokio::time::timeout(HONEST, client.connected()).await.ok()?.ok()?;
        times.push(start.elapsed());
        client.close().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dribblers_are_gone_after_5_s_and_delay_nobody() {
    let count = 1000;
    let pause = Duration::from_millis(100);
    let node = Node::builder(BINARY).start().expect("a node");
    let end = Instant::now() + HANDSHAKE;
    let dribblers: Vec<_> = (0..count)
        .map(|_| {
            let address = node.public_addr();
            tokio::spawn(async move { dribble(address, head("/plain?channel=a").as_bytes(), pause).await })
        })
        .collect();
    let mut times = honest(&node.ws_url(), end).await.expect("every honest client is let in");
    let ends: Vec<_> = join_all(dribblers).await.into_iter().map(|end| end.expect("it ran")).collect();
    let (mut lives, words): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    say(&format!(
        "{count} dribblers: closed after {:.2?} to {:.2?}; {} honest connects meanwhile: p50 {:.1?}, p99 {:.1?}",
        lives.iter().min().expect("some"),
        lives.iter().max().expect("some"),
        times.len(),
        percentile(&mut times, 50),
        percentile(&mut times, 99),
    ));
    assert!(in_time(&lives), "{:?}", percentile(&mut lives, 100));
    let told = words.iter().filter(|words| words.starts_with("HTTP/1.1 408 ")).count();
    assert_eq!(
        told,
        count,
        "{:?}",
        tally(words.iter().map(|words| words.lines().next().unwrap_or_default()))
    );
    assert_eq!(admin::metric(&node, "tidegate_connections_refused_total{reason=\"timeout\"}"), count as u64);

    // Control: a server that gives each byte 5 s, and a node with fewer seats than there are dribblers.
    let (naive, server) = naive_server(HANDSHAKE).await;
    let request = head("/");
    let dribbler = dribble(naive, request.as_bytes(), pause);
    let survived = tokio::time::timeout(HANDSHAKE + TOLERANCE, dribbler).await.is_err();
    say(&format!("dribblers, control: after 6 s a clock that each byte resets still waits: {survived}"));
    assert!(survived);
    server.abort();
    let small = Node::builder(BINARY).config("[limits]\nconnections = 20\n").start().expect("a node");
    let dribblers: Vec<_> = (0..40)
        .map(|_| {
            let address = small.public_addr();
            tokio::spawn(async move { dribble(address, head("/").as_bytes(), pause).await })
        })
        .collect();
    eventually(PATIENCE, "it is full", || {
        admin::metric(&small, "tidegate_connections_refused_total{reason=\"full\"}") > 0
    });
    let kept_out = honest(&small.ws_url(), Instant::now() + TOLERANCE).await.is_none();
    say(&format!("dribblers, control: at a node with 20 seats they keep an honest client out: {kept_out}"));
    assert!(kept_out);
    dribblers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_half_a_handshake_end_after_5_s_in_all() {
    let node = Node::builder(BINARY).start().expect("a node");
    let (public, port) = (node.public_addr(), node.admin_addr());
    // The head takes 2 s; what the session may take is the rest of the 5 s.
    let head = head("/ws");
    let slowly = HANDSHAKE.mul_f64(0.4) / u32::try_from(head.len()).expect("short");
    let body =
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{\"channel\":\"a\",";
    let cases: Vec<(&str, SocketAddr, &str, Duration, &str)> = vec![
        ("silent", public, "", slowly, "408"),
        ("half a head", public, "GET /ws HTTP/1.1\r\nHost:", Duration::ZERO, "408"),
        ("no `connect`", public, &head, Duration::ZERO, "connect_timeout"),
        ("a slow head, then no `connect`", public, &head, slowly, "connect_timeout"),
        ("admin, silent", port, "", slowly, ""),
        ("admin, half a head", port, "GET /metrics HTTP/1.1\r\nHost:", slowly, ""),
        ("admin, half a body", port, body, Duration::ZERO, "408"),
    ];
    let ends = join_all(cases.iter().map(|(_, to, bytes, pause, _)| dribble(*to, bytes.as_bytes(), *pause)));
    for ((what, .., word), (life, said)) in cases.iter().zip(ends.await) {
        say(&format!("handshake, {what}: closed after {life:.2?}"));
        assert!(in_time(&[life]), "{what}: {life:?}");
        assert!(said.contains(word), "{what}: {said:?}");
    }

    // Control: the naive server, and a case of each kind.
    let (naive, server) = naive_server(PATIENCE).await;
    let waiting = tokio::time::timeout(HANDSHAKE + TOLERANCE, dribble(naive, b"GET /", Duration::ZERO)).await;
    say(&format!(
        "handshake, control: a server with more patience is still there after 6 s: {}",
        waiting.is_err()
    ));
    assert!(waiting.is_err());
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_an_answer_of_the_admin_port_is_closed() {
    let node = Node::builder(BINARY).start().expect("a node");
    admin::get(&node, "/metrics");
    let idle = node.usage().files;
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = dial_small(node.admin_addr()).await.expect("it listens");
        let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
        peer.write_all(asked.as_bytes()).await.expect("asked");
        peers.push(peer);
    }
    let asked = Instant::now();
    eventually(PATIENCE, "they are there", || node.usage().files >= idle + peers.len() - 1);
    eventually(HANDSHAKE * 3, "their descriptors are free", || node.usage().files <= idle);
    say(&format!(
        "admin port: {} peers that read no answer closed after {:.1?}",
        peers.len(),
        asked.elapsed()
    ));
    assert_eq!(admin::get(&node, "/health/ready").0, 200);
}

/// One client at each bare door and at the native one, in turn.
async fn open(address: SocketAddr, n: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let (request, last) = match n % 3 {
        0 => (head("/plain?channel=room:1"), "\r\n\r\n"),
        1 => ("GET /sse?channel=room:1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "retry: 2000\n\n"),
        _ => (head("/ws"), "\"connected\""),
    };
    stream.write_all(request.as_bytes()).await.expect("sent");
    if n % 3 == 2 {
        let connect = br#"{"type":"connect","id":1}"#;
        // Masked with zeros, so that it stays readable.
        let frame = [&[0x81, 0x80 | connect.len() as u8, 0, 0, 0, 0], &connect[..]].concat();
        stream.write_all(&frame).await.expect("sent");
    }
    let (mut said, mut piece) = (String::new(), [0; 1024]);
    while !said.contains(last) {
        let read =
            tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("in time").expect("read");
        assert!(read > 0, "closed: {said}");
        said.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    stream
}

/// How many of `count` vanished clients a node has freed after `within`, and when the last one was.
async fn half_open(ping: Duration, pong: Duration, count: usize, within: Duration) -> (usize, Duration) {
    let (ping, pong) = (ping.as_secs(), pong.as_secs());
    let config = format!("[server]\nping = \"{ping}s\"\npong_timeout = \"{pong}s\"\n");
    let node = Node::builder(BINARY).config(&config).start().expect("a node");
    let streams = join_all((0..count).map(|n| open(node.public_addr(), n))).await;
    let there = || ["native", "plain", "sse"].iter().map(|door| admin::connections(&node, door)).sum::<u64>();
    assert_eq!(there(), count as u64);
    streams.iter().for_each(vanish);
    let gone = Instant::now();
    let mut last = Duration::ZERO;
    while there() > 0 && gone.elapsed() < within {
        tokio::time::sleep(Duration::from_millis(20)).await;
        last = gone.elapsed();
    }
    let left = usize::try_from(there()).expect("few");
    (count - left, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_without_a_word_are_freed_one_second_after_ping_and_pong() {
    // The real figures are 25 s and 10 s: freed within 36 s.
    let (ping, pong) = if full() { (25, 10) } else { (4, 2) };
    let (ping, pong) = (Duration::from_secs(ping), Duration::from_secs(pong));
    let (count, within) = (200, ping + pong + Duration::from_secs(1));
    let (freed, last) = half_open(ping, pong, count, within).await;
    say(&format!(
        "half-open: {freed} of {count} clients that vanished freed within {last:.1?} (ping {ping:?}, pong {pong:?})"
    ));
    assert_eq!(freed, count, "within {within:?}");

    // Control: a node that hardly ever pings.
    let (freed, _) = half_open(Duration::from_secs(3600), pong, 30, within.min(Duration::from_secs(7))).await;
    say(&format!("half-open, control: without pings {freed} of 30 are freed"));
    assert_eq!(freed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_for_5_s_is_closed_and_who_takes_little_is_not() {
    let node = Node::builder(BINARY).start().expect("a node");
    let channel = ["room:1".to_owned()];
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let stream = dial_small(node.public_addr()).await.expect("it listens");
        stalled.push(plain(stream, &channel).await.expect("the door"));
    }
    let stream = dial_small(node.public_addr()).await.expect("it listens");
    let mut slow = plain(stream, &channel).await.expect("the door").into_inner();

    // Less than an outbox holds, more than kernels hide.
    let event = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..8 {
        let (status, body) = admin::publish(node.admin_addr(), "room:1", &event);
        assert_eq!(status, 200, "{body}");
    }
    let published = Instant::now();
    let waiting = admin::metric(&node, "tidegate_outbox_bytes");
    assert!(waiting > 8 * 400_000, "{waiting} bytes wait");
    let dripping = tokio::spawn(async move {
        let (mut read, mut piece) = (0, [0; 4096]);
        while published.elapsed() < Duration::from_secs(9) {
            let Ok(count @ 1..) = slow.read(&mut piece).await else { return None };
            read += count;
            tokio::time::sleep(Duration::from_millis(100)).await; // 40 KB/s: a bad telephone
        }
        Some(read)
    });
    let closed = || admin::metric(&node, "tidegate_events_dropped_total{reason=\"slow\"}") > 0;
    eventually(HANDSHAKE + TOLERANCE * 2, "what waits for them is dropped", closed);
    let after = published.elapsed();
    assert!(after > Duration::from_secs(3), "not before its time: {after:?}");
    let codes = tally(join_all(stalled.iter_mut().map(last_words)).await);
    eventually(PATIENCE, "they are counted", || {
        admin::metric(&node, "tidegate_connections_closed_total{door=\"plain\",reason=\"slow\"}") == 8
    });
    let dripped = dripping.await.expect("it ran");
    say(&format!(
        "write deadline: 8 that took nothing closed {after:.1?} after the first event, with {codes:?}; \
         one that took {dripped:?} bytes in 9 s was not"
    ));
    assert_eq!(codes, tally([Some(4100); 8]));
    assert!(dripped.is_some_and(|read| read > 100_000), "{dripped:?}");
}
