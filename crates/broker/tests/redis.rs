//! What the Redis broker promises when Redis is not at its best. Against a real redis-server.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Node, PATIENCE, event, name, names};
use tidegate_broker::{
    Broker, BrokerError, EventQueue, GapCause, News, QueueLimits, RedisBroker, RedisSettings, Shard,
};
use tidegate_protocol::Envelope;
use tidegate_testkit::proxy::{Fault, Proxy, all};
use tidegate_testkit::{RedisServer, eventually_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MAX_EVENT: usize = 256 << 10;
const DOWN: News = News::Down(Shard(0));
const UP: News = News::Up(Shard(0));

type RedisNode = Node<RedisBroker>;

/// A Redis broker with one lane; nobody waits until it is up.
fn start(settings: &RedisSettings) -> RedisNode {
    let lanes = vec![Arc::new(EventQueue::new(QueueLimits::default()))];
    let broker = RedisBroker::start(settings, lanes.clone(), MAX_EVENT).expect("a valid address");
    Node { broker, lanes }
}

async fn node(url: String) -> RedisNode {
    let node = start(&RedisSettings::new(url));
    assert_eq!(node.next().await, UP);
    node
}

fn redis() -> RedisServer {
    RedisServer::start().expect("redis-server")
}

/// `redis-cli PUBLISH`; returns how many connections Redis sent it to.
fn cli_publish(server: &RedisServer, name: &str, payload: &str) -> u64 {
    server.cli(&["PUBLISH", name, payload]).expect("redis-cli").trim().parse().expect("a number")
}

/// Waits for `expected`, which must come within `most`.
async fn expect_within(node: &RedisNode, expected: News, most: Duration) -> Duration {
    let since = Instant::now();
    assert_eq!(node.next().await, expected);
    let took = since.elapsed();
    assert!(took < most, "{expected:?} after {took:?}, not within {most:?}");
    took
}

/// Waits for two news that race.
async fn expect_both(node: &RedisNode, one: News, other: News) {
    let (first, second) = (node.next().await, node.next().await);
    let came = (&first, &second);
    assert!(came == (&one, &other) || came == (&other, &one), "{came:?}");
}

/// Publishing and subscribing fail as unavailable, within `most`.
async fn expect_unavailable(node: &RedisNode, most: Duration) {
    let since = Instant::now();
    let results = node.broker.publish(vec![(name("a"), event("x")), (name("b"), event("y"))]).await;
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(matches!(result, Err(BrokerError::Unavailable(_))), "{result:?}");
    }
    let result = node.broker.subscribe(names(&["new"])).await;
    assert!(matches!(result, Err(BrokerError::Unavailable(_))), "{result:?}");
    let took = since.elapsed();
    assert!(took < most, "failing took {took:?}, not {most:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_is_heard_again_soon_after_it_is_back() {
    let mut server = redis();
    let node = node(server.url()).await;
    node.subscribe(&["a"]).await;

    server.stop();
    expect_within(&node, DOWN, Duration::from_secs(1)).await;
    expect_unavailable(&node, Duration::from_millis(100)).await;

    // Far more attempts than redis-rs would make, each accepted and closed at once.
    let attempts = count_attempts(server.port(), Duration::from_secs(6)).await;
    assert!(attempts >= 8, "both connections try at least once a second: {attempts} in 6 s");
    expect_unavailable(&node, Duration::from_millis(100)).await;

    server.start_again().expect("redis-server");
    // Nobody does anything meanwhile.
    expect_within(&node, UP, Duration::from_secs(3)).await;
    assert_eq!(cli_publish(&server, "tg:{a}", "again"), 1);
    assert_eq!(node.hear(1).await, ["a again"]);
    node.publish([("a", "too".into())]).await;
    assert_eq!(node.hear(1).await, ["a too"]);
    assert_eq!(node.broker.counters().shard(Shard(0)).reconnects.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_never_gives_up() {
    let mut server = redis();
    let mut settings = RedisSettings::new(server.url());
    settings.patience.backoff = Duration::from_millis(50);
    let node = start(&settings);
    assert_eq!(node.next().await, UP);
    node.subscribe(&["a"]).await;

    server.stop();
    assert_eq!(node.next().await, DOWN);
    let attempts = count_attempts(server.port(), Duration::from_secs(4)).await;
    assert!(attempts >= 100, "only {attempts} attempts");

    server.start_again().expect("redis-server");
    expect_within(&node, UP, Duration::from_secs(1)).await;
    assert_eq!(cli_publish(&server, "tg:{a}", "again"), 1);
    assert_eq!(node.hear(1).await, ["a again"]);
}

/// Listens instead of Redis, closes whatever comes, and counts.
async fn count_attempts(port: u16, during: Duration) -> u64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("Redis' port is free");
    let attempts = AtomicU64::new(0);
    let counting = async {
        loop {
            if listener.accept().await.is_ok() {
                attempts.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let _ = tokio::time::timeout(during, counting).await;
    attempts.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_start_before_its_redis() {
    let mut server = redis();
    server.stop();
    let node = start(&RedisSettings::new(server.url()));
    expect_unavailable(&node, Duration::from_millis(100)).await;
    assert!(!node.broker.counters().shard(Shard(0)).up.load(Ordering::Relaxed));
    server.start_again().expect("redis-server");
    expect_within(&node, UP, Duration::from_secs(3)).await;
    assert!(node.broker.counters().shard(Shard(0)).up.load(Ordering::Relaxed));
    node.subscribe(&["a"]).await;
    node.publish([("a", "x".into())]).await;
    assert_eq!(node.hear(1).await, ["a x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_feeds_are_subscribed_to_everything_again() {
    let server = redis();
    let node = node(server.url()).await;
    let channels: Vec<String> = (0..1500).map(|n| format!("room:{n}")).collect();
    let all: Vec<&str> = channels.iter().map(String::as_str).collect();
    node.subscribe(&all).await;
    node.subscribe(&["gone"]).await;
    for round in 0..10 {
        let killed = server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).expect("redis-cli");
        assert_eq!(killed.trim(), "1", "one connection listens, and only one");
        expect_within(&node, DOWN, Duration::from_secs(1)).await;
        if round == 0 {
            node.broker.unsubscribe(names(&["gone"])).await;
        }
        expect_within(&node, UP, Duration::from_secs(3)).await;
        node.publish(all.iter().map(|channel| (*channel, round.to_string()))).await;
        let expected: Vec<String> = channels.iter().map(|channel| format!("{channel} {round}")).collect();
        assert_eq!(node.hear(1500).await, expected);
    }
    assert_eq!(cli_publish(&server, "tg:{gone}", "x"), 0, "what was given up meanwhile is not wanted");
    assert_eq!(node.broker.counters().shard(Shard(0)).reconnects.load(Ordering::Relaxed), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_known_within_a_second_and_loses_nothing() {
    let mut server = redis();
    let node = node(server.url()).await;
    node.subscribe(&["a"]).await;

    server.process().freeze();
    let early = node.broker.publish(vec![(name("a"), event("early"))]);
    let (failed, took) = tokio::join!(early, expect_within(&node, DOWN, Duration::from_secs(1)));
    assert!(took > Duration::from_millis(400), "a short pause is no outage: {took:?}");
    assert!(matches!(failed[..], [Err(BrokerError::Unavailable(_))]), "within 2 s: {failed:?}");
    expect_unavailable(&node, Duration::from_millis(100)).await;

    server.process().thaw();
    // "Unavailable" means unknown: this one was only late.
    expect_both(&node, UP, News::Event(name("a"), event("early"))).await;
    node.publish([("a", "x".into())]).await;
    assert_eq!(node.hear(1).await, ["a x"]);
    assert_eq!(
        node.broker.counters().shard(Shard(0)).reconnects.load(Ordering::Relaxed),
        0,
        "the link stayed"
    );
}

/// The control of the tests around it: without pings nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pings_a_silent_link_would_not_be_noticed() {
    let server = redis();
    let proxy = Proxy::start(server.port());
    let mut settings = RedisSettings::new(proxy.redis_url());
    settings.patience.ping_interval = Duration::from_secs(3600);
    let node = start(&settings);
    assert_eq!(node.next().await, UP);
    proxy.set(all, Fault::Hold);
    let noticed = tokio::time::timeout(Duration::from_secs(3), node.next()).await;
    assert!(noticed.is_err(), "{noticed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_held_up_for_a_moment_loses_nothing() {
    let server = redis();
    let proxy = Proxy::start(server.port());
    let node = node(proxy.redis_url()).await;
    node.subscribe(&["a"]).await;
    proxy.set(all, Fault::Hold);
    expect_within(&node, DOWN, Duration::from_secs(1)).await;
    assert_eq!(cli_publish(&server, "tg:{a}", "meanwhile"), 1);
    proxy.heal();
    expect_both(&node, UP, News::Event(name("a"), event("meanwhile"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_died_silently_is_replaced() {
    let server = redis();
    let proxy = Proxy::start(server.port());
    let node = node(proxy.redis_url()).await;
    node.subscribe(&["a"]).await;

    proxy.set(all, Fault::Hold);
    let since = Instant::now();
    let half_done = node.broker.subscribe(names(&["a", "half-done"]));
    let (result, _) = tokio::join!(half_done, expect_within(&node, DOWN, Duration::from_secs(1)));
    assert!(matches!(result, Err(BrokerError::Unavailable(_))), "{result:?}");
    assert!(since.elapsed() < Duration::from_secs(2), "an answer came after {:?}", since.elapsed());
    expect_unavailable(&node, Duration::from_millis(100)).await;

    let old = proxy.counts().accepted;
    proxy.set(move |link| link.number() >= old, Fault::Nothing);
    expect_within(&node, UP, Duration::from_secs(5)).await;
    node.publish([("half-done", "x".into()), ("a", "x".into())]).await;
    assert_eq!(node.hear(1).await, ["a x"], "what failed is not subscribed, what was there is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_nobody_waits_for_is_taken_back() {
    let server = redis();
    let proxy = Proxy::start(server.port());
    let node = node(proxy.redis_url()).await;
    node.subscribe(&["before"]).await;
    proxy.set(all, Fault::Hold);
    let asking = node.broker.subscribe(names(&["before", "late"]));
    assert!(tokio::time::timeout(Duration::from_millis(100), asking).await.is_err(), "given up");
    proxy.heal();
    node.subscribe(&["after"]).await;
    assert_eq!(cli_publish(&server, "tg:{late}", "x"), 0);
    assert_eq!(cli_publish(&server, "tg:{before}", "x"), 1);
    assert_eq!(node.hear(1).await, ["before x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_publish_of_any_bytes_is_heard() {
    let server = redis();
    let node = node(server.url()).await;
    node.subscribe(&["chat:42"]).await;
    assert_eq!(cli_publish(&server, "tg:chat:42", "without braces"), 0);
    assert_eq!(cli_publish(&server, "tg:{chat:42}", "hello"), 1);
    assert_eq!(node.next().await, News::Event(name("chat:42"), event("hello")));

    let mut redis = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.expect("connected");
    for payload in [&b"\0\xff\r\n"[..], b"", b"\xc1 no envelope", &vec![b'x'; MAX_EVENT]] {
        publish_bytes(&mut redis, payload).await;
        assert_eq!(node.next().await, News::Event(name("chat:42"), event(payload.to_vec())));
    }
    // What is too large or unknown is counted, and what comes after it is heard.
    let large = Envelope::encode(&event(vec![b'x'; MAX_EVENT + 1]));
    for payload in
        [&vec![b'x'; MAX_EVENT + 1][..], &large, &vec![0xC1; 4 * MAX_EVENT], b"\xc1\x92\x01\xa4join", b"ok"]
    {
        publish_bytes(&mut redis, payload).await;
    }
    assert_eq!(node.next().await, News::Event(name("chat:42"), event("ok")));
    let counters = node.broker.counters();
    assert_eq!(counters.oversized.load(Ordering::Relaxed), 3);
    assert_eq!(counters.unknown_envelopes.load(Ordering::Relaxed), 1);
}

/// What a client in any language does.
async fn publish_bytes(redis: &mut TcpStream, payload: &[u8]) {
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n$12\r\ntg:{{chat:42}}\r\n${}\r\n", payload.len());
    redis.write_all(&[head.as_bytes(), payload, b"\r\n"].concat()).await.expect("written");
    let mut answer = [0; 4];
    redis.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b":1\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_publishes_do_not_wait_for_each_other() {
    let server = redis();
    let node = node(server.url()).await;
    node.subscribe(&["a"]).await;
    let since = Instant::now();
    for n in 0..200 {
        node.publish([("a", n.to_string())]).await;
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(4), "200 publishes took {took:?}: Nagle's algorithm costs 40 ms each");
    node.hear(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_redis_own_words() {
    let server = redis();
    let acl = |rules: &[&str]| server.cli(&[&["ACL", "SETUSER", "node"], rules].concat()).expect("redis-cli");
    acl(&["on", ">secret", "~*", "resetchannels", "&tg:{ok*", "+@all", "-publish"]);
    let node = node(server.url().replace("//", "//node:secret@")).await;

    let results = node.broker.publish(vec![(name("ok"), event("x"))]).await;
    assert!(
        matches!(&results[..], [Err(BrokerError::Refused(why))] if why.starts_with("NOPERM")),
        "{results:?}"
    );

    // One caller's refusal is not the others', though they share a command.
    let (good, bad) = (names(&["ok:1", "ok:2"]), names(&["ok:3", "bad"]));
    let (good, bad) = tokio::join!(node.broker.subscribe(good), node.broker.subscribe(bad));
    assert_eq!(good, Ok(()));
    assert!(matches!(&bad, Err(BrokerError::Refused(why)) if why.starts_with("NOPERM")), "{bad:?}");
    node.subscribe(&["ok:4"]).await; // behind the clean-up
    assert_eq!(cli_publish(&server, "tg:{ok:3}", "x"), 0, "all of a request or nothing");
    assert_eq!(cli_publish(&server, "tg:{ok:1}", "x"), 1);
    assert_eq!(node.hear(1).await, ["ok:1 x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_nobody_takes_is_bounded_and_leaves_a_gap() {
    const PAYLOAD: usize = 64 << 10;
    const EVENTS: usize = 3200; // 200 MiB
    let limits = QueueLimits { bytes: 16 << 20, ..QueueLimits::default() };
    let server = redis();
    // Else Redis itself may end the flood, on a busy machine: the test of that follows.
    server.cli(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]).expect("redis-cli");
    let mut redis = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.expect("connected");

    let before = resident_bytes();
    let node = flooded(&server, &mut redis, limits, EVENTS, PAYLOAD).await;
    let fit = limits.bytes / (PAYLOAD + size_of::<tidegate_core::Event>() + "chat:42".len());
    let all_came = async || node.lanes[0].dropped() as usize == EVENTS - fit;
    eventually_async(PATIENCE, "what does not fit is dropped and counted", all_came).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "grew by {} MiB", grown >> 20);
    assert_eq!(node.broker.counters().queue_full.load(Ordering::Relaxed) as usize, EVENTS - fit);
    assert_eq!(node.hear(fit).await.len(), fit);
    assert_eq!(node.next().await, News::Gap(name("chat:42"), GapCause::Overflowed));
    publish_bytes(&mut redis, b"after").await;
    assert_eq!(node.hear(1).await, ["chat:42 after"]);
    node.broker.stop().await;
    // Redis may see the end of the one connection after the beginning of the next.
    let gone = async || cli_publish(&server, "tg:{chat:42}", "nobody") == 0;
    eventually_async(PATIENCE, "Redis knows that it is gone", gone).await;
    drop(node);

    // The control: without a bound, memory grows with the flood.
    let before = resident_bytes();
    let limits = QueueLimits { events: usize::MAX, bytes: usize::MAX };
    let _node = flooded(&server, &mut redis, limits, EVENTS, PAYLOAD).await;
    let grows = async || resident_bytes().saturating_sub(before) > 128 << 20;
    eventually_async(PATIENCE, "an unbounded queue holds all of it", grows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_redis_cuts_off_is_told_and_heard_again() {
    let server = redis();
    server.cli(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1"]).expect("redis-cli");
    let proxy = Proxy::start(server.port());
    let node = node(proxy.redis_url()).await;
    node.subscribe(&["chat:42", "end"]).await;
    proxy.set(all, Fault::Hold);
    let payload = "x".repeat(100 << 10);
    // More than the kernel's buffers and the limit hold: Redis closes, and sends to nobody.
    let cut_off = async || cli_publish(&server, "tg:{chat:42}", &payload) == 0;
    eventually_async(PATIENCE, "Redis closes what does not read", cut_off).await;
    proxy.heal();
    let mut news = Vec::new();
    while news.last() != Some(&UP) {
        news.push(node.next().await);
    }
    assert!(news.contains(&DOWN), "a loss is never silent: {} news without Down", news.len());
    while cli_publish(&server, "tg:{end}", "after") == 0 {
        // Redis was heard on the old link once more, before it ended.
        while node.next().await != UP {}
    }
    while node.next().await != News::Event(name("end"), event("after")) {}
    assert_eq!(node.broker.counters().shard(Shard(0)).reconnects.load(Ordering::Relaxed), 1);
}

/// A node that takes nothing, while `events` are published on its channel.
async fn flooded(
    server: &RedisServer,
    redis: &mut TcpStream,
    limits: QueueLimits,
    events: usize,
    payload: usize,
) -> RedisNode {
    let lanes = vec![Arc::new(EventQueue::new(limits))];
    let settings = RedisSettings::new(server.url());
    let broker = RedisBroker::start(&settings, lanes.clone(), MAX_EVENT).expect("a valid address");
    let node = Node { broker, lanes };
    assert_eq!(node.next().await, UP);
    node.subscribe(&["chat:42"]).await;
    let payload = vec![b'x'; payload];
    for _ in 0..events {
        publish_bytes(redis, &payload).await;
    }
    node
}

/// Memory of this process that is in RAM.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_broker_leaves_no_connection() {
    let server = redis();
    let clients = || server.cli(&["CLIENT", "LIST"]).expect("redis-cli").lines().count();
    let before = clients();
    let stopped = node(server.url()).await;
    stopped.broker.occupied_channels(1).await.expect("channels");
    assert_eq!(clients(), before + 3, "feed, publisher, one of the pool");
    stopped.broker.stop().await;
    eventually_async(PATIENCE, "stop closes them", async || clients() == before).await;
    expect_unavailable(&stopped, Duration::from_millis(100)).await;

    let dropped = node(server.url()).await;
    assert_eq!(clients(), before + 2);
    drop(dropped);
    eventually_async(PATIENCE, "dropping closes them", async || clients() == before).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in ["localhost:6379", "http://localhost:6379", "redis://"] {
        let lanes = vec![Arc::new(EventQueue::new(QueueLimits::default()))];
        let refused = RedisBroker::start(&RedisSettings::new(url), lanes, MAX_EVENT).err();
        assert!(matches!(refused, Some(BrokerError::Refused(_))), "{url}: {refused:?}");
    }
}
