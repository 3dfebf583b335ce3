//! Three nodes, Redis in every topology, nginx: each event of each client is checked against what was published.

mod support;

use std::sync::Arc;
use std::time::Instant;

use support::backend::{Backend, Book};
use support::listener::{Door, Habit, Listener};
use support::{BINARY, PATIENCE, admin, full, nginx_files, say};
use tidegate_testkit::checker::{Entry, Log};
use tidegate_testkit::{Nginx, Node, RedisCluster, RedisServer, SentinelSet, eventually, eventually_async};

const CLIENTS: usize = 300;
const CHANNELS: usize = 30;
/// Channels of one client.
const EACH: usize = 3;
/// Events a second.
const RATE: usize = 2000;

type Plant = (&'static str, fn(&mut Vec<Entry>));

/// Mistakes that a checker must find, planted into what a client really heard.
const PLANTED: [Plant; 4] = [
    ("lost", |entries| drop(entries.remove(7))),
    ("twice", |entries| entries.insert(20, entries[7].clone())),
    ("reordered", |entries| {
        // The next one of the same channel.
        let channel = |entry: &Entry| match entry {
            Entry::Event { channel, .. } => channel.clone(),
            _ => String::new(),
        };
        let next = (8..entries.len()).find(|&at| channel(&entries[at]) == channel(&entries[7]));
        entries.swap(7, next.expect("another one"));
    }),
    ("foreign", |entries| {
        let payload = r#"{"channel":"room:x","number":1}"#.to_owned();
        entries.insert(7, Entry::Event { channel: "room:x".into(), payload });
    }),
];

/// The servers between the nodes.
enum Redis {
    Standalone(RedisServer),
    Sentinel(SentinelSet),
    Cluster(RedisCluster),
}

impl Redis {
    fn config(&self) -> String {
        match self {
            Self::Standalone(server) => format!("[redis]\nurl = {:?}\n", server.url()),
            Self::Sentinel(set) => set.config(),
            Self::Cluster(cluster) => cluster.config(),
        }
    }

    async fn backend(&self, channels: &[String], book: &Book) -> Backend {
        match self {
            Self::Standalone(server) => Backend::connect(server, book).await,
            Self::Sentinel(set) => {
                Backend::connect(&set.servers[set.master().expect("a master")], book).await
            }
            Self::Cluster(cluster) => Backend::connect_cluster(cluster, channels, book).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standalone() {
    let redis = Redis::Standalone(RedisServer::start().expect("redis"));
    every_client_hears_its_channels_in_publish_order_and_nothing_else("standalone", redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel() {
    let redis = Redis::Sentinel(SentinelSet::start().expect("Sentinels"));
    every_client_hears_its_channels_in_publish_order_and_nothing_else("Sentinel", redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cluster() {
    let redis = Redis::Cluster(RedisCluster::start().expect("a Redis Cluster"));
    every_client_hears_its_channels_in_publish_order_and_nothing_else("Redis Cluster of 6", redis).await;
}

async fn every_client_hears_its_channels_in_publish_order_and_nothing_else(topology: &str, redis: Redis) {
    let nodes: Vec<Node> = (1..=3)
        .map(|n| {
            let node = Node::builder(BINARY).name(&format!("node {n}")).config(&redis.config());
            node.start().expect("a node")
        })
        .collect();
    let addresses: Vec<_> = nodes.iter().map(Node::public_addr).collect();
    for node in &nodes {
        eventually(PATIENCE, "the node is ready", || admin::get(node, "/health/ready").0 == 200);
    }
    let nginx = Nginx::start(&nginx_files(), &addresses).expect("nginx");

    let book = Book::default();
    let channels: Vec<String> = (0..CHANNELS).map(|n| format!("room:{n}")).collect();
    let opening = (0..CLIENTS).map(|n| {
        // 300 clients over 30 channels, each with three that differ from its neighbours'.
        let mine: Vec<String> = (0..EACH).map(|k| channels[(n + k * 7) % CHANNELS].clone()).collect();
        let (book, address) = (Arc::clone(&book), nginx.addr());
        async move {
            let door = Door::ALL[n % Door::ALL.len()];
            Listener::open(&format!("client {n}"), door, Habit::ComesBack, address, &mine, &book).await
        }
    });
    let listeners = futures_util::future::join_all(opening).await;

    let mut table = String::new();
    let mut total = 0;
    for node in &nodes {
        let here = ["native", "plain", "sse"].map(|door| (door, admin::connections(node, door)));
        total += here.iter().map(|(_, count)| count).sum::<u64>();
        table += &format!(" {}", here.map(|(door, count)| format!("{door} {count}")).join(", "));
        table.push(';');
        assert!(here.iter().all(|(_, count)| *count > 0), "each node has clients of each door:{table}");
    }
    assert_eq!(total, CLIENTS as u64, "{table}");

    let events = if full() { 10_000 } else { 2000 };
    let start = Instant::now();
    let mut backend = redis.backend(&channels, &book).await;
    backend.publish_all(&channels, events, RATE).await;
    eventually_async(PATIENCE, "every client has heard the last event", async || {
        listeners.iter().all(|listener| listener.is_done(&book))
    })
    .await;
    let took = start.elapsed();

    let logs: Vec<Log> = listeners.iter().map(Listener::log).collect();
    let published = book.lock().expect("whole").clone();
    let faults = published.check(&logs);
    let heard: usize = logs.iter().map(|log| log.entries.len()).sum();
    say(&format!(
        "{topology}: {events} events, {CLIENTS} clients, {heard} deliveries in {took:.1?}: {faults}; clients at the nodes:{table}"
    ));
    assert!(faults.none(), "{faults}");
    assert_eq!(faults.told, 0, "no client was ever away");
    assert_eq!(heard, logs.iter().map(|log| published.count_in(&log.channels)).sum::<usize>());

    // Control: the same logs with one mistake each.
    for (name, plant) in PLANTED {
        let mut logs = logs.clone();
        plant(&mut logs[42].entries);
        let faults = published.check(&logs);
        say(&format!("{topology}, control: one {name} planted: {faults}"));
        let found = [faults.lost, faults.twice, faults.reordered, faults.foreign];
        let expected = ["lost", "twice", "reordered", "foreign"].map(|fault| usize::from(fault == name));
        assert_eq!(found, expected, "{faults}");
    }
}
