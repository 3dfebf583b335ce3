//! Coming back: who names its position gets what it missed, through every door, from memory and from Redis alike; and in pages,
//! where that is much. What cannot be had is told.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::BINARY;
use tidegate_testkit::{Node, RedisServer, eventually};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const PATIENCE: Duration = Duration::from_secs(10);

const CONFIG: &str = r#"
[namespaces.chat]
publish = "anyone"
history = { size = 20000, ttl = "1h" }
[namespaces.short]
publish = "anyone"
history = { size = 1, ttl = "1h" }
[namespaces.live]
publish = "anyone"
"#;

/// A node on each broker, one after the other.
fn nodes() -> Vec<(&'static str, Option<RedisServer>, Node)> {
    let memory = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let redis = RedisServer::start().expect("redis");
    let other = Node::builder(BINARY).config(CONFIG).redis(&redis.url()).start().expect("a node");
    ready(&other);
    vec![("memory", None, memory), ("redis", Some(redis), other)]
}

fn ready(node: &Node) {
    eventually(PATIENCE, "it hears Redis", || support::admin::get(node, "/health/ready").0 == 200);
}

/// How many functions Redis was asked to call.
fn calls(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["info", "commandstats"]).expect("it answers");
    let count = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok();
    stats.lines().filter(|line| line.starts_with("cmdstat_fcall")).filter_map(count).sum()
}

/// A client of the native door, as bare as the protocol.
struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Frames of one message that were not asked for yet.
    next: u64,
}

impl Client {
    async fn connect(node: &Node) -> Self {
        let stream = TcpStream::connect(node.public_addr()).await.expect("it listens");
        let (socket, _) = client_async(node.ws_url(), stream).await.expect("a WebSocket");
        let mut client = Self { socket, next: 1 };
        client.ask(json!({"type": "connect"})).await;
        assert_eq!(client.frame().await["type"], "connected");
        client
    }

    /// Sends a request, and says its id.
    async fn ask(&mut self, mut request: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        request["id"] = id.into();
        self.socket.feed(Message::text(request.to_string())).await.expect("it is open");
        id
    }

    async fn frame(&mut self) -> Value {
        self.socket.flush().await.expect("it is open");
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message.expect("it is open").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(why) => panic!("closed: {why:?}"),
                _ => {}
            }
        }
    }

    /// Publishes texts; the positions they got.
    async fn publish(
        &mut self,
        channel: &str,
        texts: impl IntoIterator<Item = String>,
    ) -> Vec<(String, u64)> {
        let mut positions = Vec::new();
        let mut open = 0;
        let mut texts = texts.into_iter().peekable();
        while open > 0 || texts.peek().is_some() {
            while open < 500
                && let Some(text) = texts.next()
            {
                self.ask(json!({"type": "publish", "channel": channel, "data": text})).await;
                open += 1;
            }
            let reply = self.frame().await;
            assert_eq!(reply["type"], "ok", "{reply}");
            open -= 1;
            let epoch = reply["epoch"].as_str().unwrap_or_default().to_owned();
            positions.push((epoch, reply["offset"].as_u64().unwrap_or(0)));
        }
        positions
    }

    async fn subscribe(&mut self, channel: &str, since: Value) -> Value {
        self.ask(json!({"type": "subscribe", "channel": channel, "since": since})).await;
        let reply = self.frame().await;
        assert_eq!(reply["type"], "subscribed", "{reply}");
        reply
    }
}

fn since(epoch: &str, offset: u64) -> Value {
    json!({"epoch": epoch, "offset": offset})
}

fn offsets(reply: &Value) -> Vec<u64> {
    reply["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["offset"].as_u64().unwrap())
        .collect()
}

/// What an event stream said so far, for as long as it takes to hear `end`.
async fn stream(address: SocketAddr, query: &str, last_event_id: &str, end: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let request =
        format!("GET /sse?{query} HTTP/1.1\r\nHost: {address}\r\nLast-Event-ID: {last_event_id}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("open");
    let mut heard = Vec::new();
    let reading = async {
        // Whole events only.
        while !(String::from_utf8_lossy(&heard).contains(end) && heard.ends_with(b"\n\n")) {
            assert_ne!(socket.read_buf(&mut heard).await.expect("open"), 0, "it ended");
        }
    };
    let in_time = timeout(PATIENCE, reading).await.is_ok();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(in_time, "no {end:?} in {heard}");
    heard.split_once("retry: 2000\n\n").expect("it begins so").1.to_owned()
}

#[tokio::test]
async fn who_comes_back_gets_what_it_missed_and_then_what_is_new() {
    for (broker, _redis, node) in nodes() {
        let mut client = Client::connect(&node).await;
        let first = client.subscribe("chat:1", Value::Null).await;
        let epoch = first["epoch"].as_str().unwrap().to_owned();
        assert_eq!((first["offset"].as_u64(), first.get("recovered")), (Some(0), None), "{broker}: {first}");
        let texts = |range: std::ops::Range<u64>| range.map(|n| format!("e{n}"));
        let mut backend = Client::connect(&node).await;
        let positions = backend.publish("chat:1", texts(1..6)).await;
        assert!(
            positions.iter().zip(1..).all(|(at, n)| *at == (epoch.clone(), n)),
            "{broker}: {positions:?}"
        );
        for n in 1..6 {
            let event = client.frame().await;
            assert_eq!((&event["offset"], &event["data"]), (&json!(n), &json!(format!("e{n}"))), "{broker}");
        }

        let mut back = Client::connect(&node).await;
        let reply = back.subscribe("chat:1", since(&epoch, 2)).await;
        assert_eq!(
            (offsets(&reply), &reply["recovered"]),
            (vec![3, 4, 5], &json!(true)),
            "{broker}: {reply}"
        );
        assert_eq!(reply["offset"], 5);
        backend.publish("chat:1", texts(6..7)).await;
        assert_eq!(back.frame().await["offset"], 6);

        let mut last = Client::connect(&node).await;
        last.ask(json!({"type": "subscribe", "channel": "chat:1", "last": 2})).await;
        let reply = last.frame().await;
        assert_eq!((offsets(&reply), reply.get("recovered")), (vec![5, 6], None), "{broker}: {reply}");
        last.ask(json!({"type": "history", "channel": "chat:1", "since": since(&epoch, 1), "limit": 2}))
            .await;
        let reply = last.frame().await;
        assert_eq!((offsets(&reply), &reply["offset"]), (vec![2, 3], &json!(6)), "{broker}: {reply}");

        let heard = stream(node.public_addr(), "channel=chat:1", &format!("{epoch}-4"), "e6").await;
        assert_eq!(
            heard,
            format!("id: {epoch}-4\n\ndata: \"e5\"\nid: {epoch}-5\n\ndata: \"e6\"\nid: {epoch}-6\n\n"),
            "{broker}"
        );
        let other = backend.publish("chat:2", texts(1..2)).await.remove(0).0;
        let query = format!("channel=chat:2&channel=live:1&channel=chat:1&since=-,-,{epoch}-5");
        let heard = stream(node.public_addr(), &query, "", "e6").await;
        assert!(
            heard.contains(&format!("id: -,-,{epoch}-5\n\n"))
                || heard.contains(&format!("id: {other}-1,-,{epoch}-5\n\n")),
            "{broker}: {heard}"
        );
        assert!(heard.contains("\"offset\":6,\"data\":\"e6\""), "{broker}: {heard}");
    }
}

#[tokio::test]
async fn a_long_gap_comes_in_pages_as_fast_as_it_is_taken_and_what_is_newer_behind_it() {
    const MISSED: u64 = 9_000;
    for (broker, _redis, node) in nodes() {
        let mut backend = Client::connect(&node).await;
        let texts = |range: std::ops::Range<u64>| range.map(|n| format!("{n:0>500}"));
        let (epoch, _) = backend.publish("chat:1", texts(1..MISSED + 1)).await.remove(0);
        let mut client = Client::connect(&node).await;
        let reply = client.subscribe("chat:1", since(&epoch, 0)).await;
        let mut heard = offsets(&reply);
        assert!(heard.len() < 200, "{broker}: a page holds 64 KiB, this one {} events", heard.len());
        // It takes nothing while others publish: 4 MB wait in the history, not in its outbox.
        backend.publish("chat:1", texts(MISSED + 1..MISSED + 501)).await;
        while (heard.len() as u64) < MISSED + 500 {
            let event = client.frame().await;
            assert_eq!(event["type"], "event", "{broker}: {event}");
            heard.push(event["offset"].as_u64().unwrap());
        }
        assert!(heard.iter().copied().eq(1..MISSED + 501), "{broker}: each once, in order");
    }
}

#[tokio::test]
async fn many_channels_of_one_connection_come_back_at_once() {
    const CHANNELS: u64 = 100;
    const MISSED: u64 = 120;
    for (broker, _redis, node) in nodes() {
        let mut backend = Client::connect(&node).await;
        let mut epochs = Vec::new();
        for channel in 0..CHANNELS {
            let texts = (0..MISSED).map(|n| format!("{n:0>500}"));
            epochs.push(backend.publish(&format!("chat:{channel}"), texts).await.remove(0).0);
        }
        // 6 MB in all, more than an outbox holds.
        let mut client = Client::connect(&node).await;
        for (channel, epoch) in epochs.iter().enumerate() {
            let channel = format!("chat:{channel}");
            client.ask(json!({"type": "subscribe", "channel": channel, "since": since(epoch, 0)})).await;
        }
        let mut heard = vec![0; CHANNELS as usize];
        while heard.iter().sum::<u64>() < CHANNELS * MISSED {
            let frame = client.frame().await;
            let channel: usize = frame["channel"].as_str().unwrap()["chat:".len()..].parse().unwrap();
            let events = match frame["type"].as_str().unwrap() {
                "subscribed" => offsets(&frame),
                "event" => vec![frame["offset"].as_u64().unwrap()],
                other => panic!("{broker}: {other}: {frame}"),
            };
            for offset in events {
                assert_eq!(offset, heard[channel] + 1, "{broker}: chat:{channel}");
                heard[channel] = offset;
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_told() {
    for (broker, _redis, node) in nodes() {
        let mut backend = Client::connect(&node).await;
        // More than a server keeps beyond the size it was told.
        let texts = (0..1000).map(|n| format!("e{n}"));
        let (epoch, _) = backend.publish("short:1", texts).await.remove(0);
        let mut client = Client::connect(&node).await;
        let reply = client.subscribe("short:1", since(&epoch, 1)).await;
        assert_eq!(
            (&reply["recovered"], &reply["offset"]),
            (&json!(false), &json!(1000)),
            "{broker}: {reply}"
        );
        let held = offsets(&reply);
        assert!(
            held.iter().copied().eq(1001 - held.len() as u64..1001),
            "{broker}: what it holds, to its end: {held:?}"
        );

        let unknown = "1000000000000000000";
        let mut client = Client::connect(&node).await;
        let reply = client.subscribe("short:1", since(unknown, 1)).await;
        assert_eq!(reply["recovered"], json!(false), "{broker}: {reply}");
        let heard =
            stream(node.public_addr(), "channel=short:1", &format!("{unknown}-1"), "event: gap").await;
        assert!(heard.contains("\"reason\":\"lost\""), "{broker}: {heard}");

        let reply = client.subscribe("live:1", since(&epoch, 1)).await;
        assert_eq!((&reply["recovered"], reply.get("epoch")), (&json!(false), None), "{broker}: {reply}");
        client.ask(json!({"type": "history", "channel": "live:1"})).await;
        let refused = client.frame().await;
        assert!(
            refused["code"] == "bad_request"
                && refused["message"].as_str().unwrap().contains("namespaces.live.history"),
            "{broker}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_resume_inside_the_tail_costs_redis_nothing() {
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).config(CONFIG).redis(&redis.url()).start().expect("a node");
    ready(&node);
    let mut first = Client::connect(&node).await;
    let epoch = first.subscribe("chat:1", Value::Null).await["epoch"].as_str().unwrap().to_owned();
    let mut backend = Client::connect(&node).await;
    backend.publish("chat:1", (0..50).map(|n| format!("e{n}"))).await;
    for _ in 0..50 {
        first.frame().await;
    }
    let before = calls(&redis);
    for n in 0..100 {
        let mut client = Client::connect(&node).await;
        let reply = client.subscribe("chat:1", since(&epoch, n % 50)).await;
        assert_eq!(offsets(&reply).len() as u64, 50 - n % 50);
    }
    assert_eq!(calls(&redis), before);
}

#[tokio::test]
async fn while_redis_is_away_every_subscription_is_refused_within_2_s_however_many_there_are() {
    let mut redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).config(CONFIG).redis(&redis.url()).start().expect("a node");
    ready(&node);
    let mut client = Client::connect(&node).await;
    redis.process().freeze();
    let asked = Instant::now();
    for channel in 0..100 {
        let since = since("1763700000000000001", 1);
        client.ask(json!({"type": "subscribe", "channel": format!("chat:{channel}"), "since": since})).await;
    }
    for _ in 0..100 {
        let reply = client.frame().await;
        assert_eq!((&reply["code"], &reply["retry"]), (&json!("unavailable"), &json!(true)), "{reply}");
    }
    let longest = asked.elapsed();
    redis.process().thaw();
    assert!(longest < Duration::from_secs(2), "the last after {longest:?}");
}
