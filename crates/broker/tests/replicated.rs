//! Publishers that wait for a replica: what they are told, how long it takes, and that nobody else waits for it.
//! Against a real master and a real replica, which is frozen and thawed.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::cluster::history;
use support::{Node, name};
use tidegate_broker::{
    Appended, Durable, EventQueue, History, HistoryError, QueueLimits, RedisBroker, RedisSettings, Topology,
};
use tidegate_testkit::{RedisCluster, RedisServer, eventually, say};

type RedisNode = Node<RedisBroker>;

/// The publish deadline of a node.
const DEADLINE: Duration = Duration::from_millis(1500);

fn redis(arguments: &[&str]) -> RedisServer {
    RedisServer::start_with(arguments).expect("redis-server")
}

/// A master with a replica that is in step.
fn pair() -> (RedisServer, RedisServer) {
    let master = redis(&[]);
    let replica = redis(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    // Its link is up before the master streams to it: that can take another second.
    master.cli(&["SET", "step", "yes"]).expect("redis-cli");
    eventually(Duration::from_secs(30), "the replica is in step", || {
        let told = |arguments: &[&str]| replica.cli(arguments).expect("redis-cli");
        told(&["INFO", "replication"]).contains("master_link_status:up")
            && told(&["GET", "step"]).trim() == "yes"
    });
    let seen = || master.cli(&["INFO", "replication"]).expect("redis-cli").contains("state=online");
    eventually(Duration::from_secs(30), "the master has seen that", seen);
    (master, replica)
}

async fn start(server: &RedisServer) -> RedisNode {
    let broker = async |lanes: Vec<Arc<EventQueue>>| {
        let settings = RedisSettings::new(server.url());
        RedisBroker::with_history(&settings, &history(), lanes).expect("a valid address")
    };
    Node::start(1, QueueLimits::default(), 1, broker).await
}

fn durable(channel: &str, payload: &str, replicated: bool) -> Durable {
    let (channel, payload) = (name(channel), payload.to_owned().into());
    Durable { channel, payload, key: Some(payload_key(replicated)), from: None, replicated }
}

fn payload_key(replicated: bool) -> Arc<str> {
    static KEYS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("{replicated}-{}", KEYS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).into()
}

/// Appends one event; what came of it, and how long it took.
async fn append(node: &RedisNode, event: Durable) -> (Result<Appended, HistoryError>, Duration) {
    let since = Instant::now();
    let result = node.broker.append(vec![event]).await.remove(0);
    (result, since.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_waits_for_a_replica_and_nobody_waits_for_him() {
    let (master, mut replica) = pair();
    let node = start(&master).await;
    node.subscribe(&["log:a"]).await;
    let (result, first) = append(&node, durable("log:a", "1", true)).await;
    let first_position = result.expect("replicated").position.expect("a position");
    let (result, took) = append(&node, durable("log:a", "2", true)).await;
    assert_eq!(result.expect("replicated").position.expect("a position").offset, 2);
    say(&format!("acknowledged by a replica after {first:.1?}, then {took:.1?}"));
    assert_eq!(node.hear(2).await, ["log:a 1", "log:a 2"]);

    replica.process().freeze();
    let retry = durable("log:a", "3", true);
    let (result, took) = append(&node, retry.clone()).await;
    let Err(HistoryError::NotReplicated(words)) = result else { panic!("{result:?}") };
    assert!(words.starts_with("it is published") && words.contains("same key"), "{words}");
    assert!(took < DEADLINE, "{took:?}");
    say(&format!("not acknowledged: known after {took:.1?}"));
    assert_eq!(node.hear(1).await, ["log:a 3"], "it is published all the same");

    // Many at once: each is told within its deadline, in the order of calls, while others publish as ever.
    let flood = async {
        let one = async |n: u32| {
            let (result, took) = append(&node, durable("log:flood", &n.to_string(), true)).await;
            assert!(matches!(result, Err(HistoryError::NotReplicated(_))), "{result:?}");
            assert!(took < DEADLINE, "{took:?}");
        };
        futures_util::future::join_all((0..200).map(one)).await;
    };
    let others = async {
        let mut slowest = Duration::ZERO;
        for n in 0..100 {
            let (result, took) = append(&node, durable("log:other", &n.to_string(), false)).await;
            assert_eq!(result.expect("appended").position.expect("a position").offset, n + 1);
            slowest = slowest.max(took);
        }
        slowest
    };
    let ((), slowest) = tokio::join!(flood, others);
    say(&format!(
        "beside 200 that waited for a frozen replica, the slowest of 100 others took {slowest:.1?}"
    ));
    assert!(slowest < Duration::from_millis(250), "{slowest:?}");

    replica.process().thaw();
    let again = async || append(&node, retry.clone()).await.0;
    let since = Instant::now();
    let appended = loop {
        match again().await {
            Ok(appended) => break appended,
            Err(HistoryError::NotReplicated(_)) if since.elapsed() < Duration::from_secs(15) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(!appended.fresh, "the retry is the same event");
    let expected = tidegate_core::Position { epoch: first_position.epoch, offset: 3 };
    assert_eq!(appended.position, Some(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_does_not_hold_up_those_it_came_with() {
    let (master, mut replica) = pair();
    let node = start(&master).await;
    replica.process().freeze();
    let events = (0..10).map(|n| durable("log:a", &n.to_string(), n % 2 == 0)).collect();
    let since = Instant::now();
    let (results, replicating) = node.broker.append_first(events).await;
    assert!(since.elapsed() < Duration::from_millis(250), "{:?}", since.elapsed());
    let offsets: Vec<u64> =
        results.into_iter().map(|r| r.expect("there").position.expect("kept").offset).collect();
    assert_eq!(offsets, (1..=10).collect::<Vec<_>>(), "in order, whoever waits");
    let lacking = node.broker.replicate(replicating.expect("five wait")).await;
    let numbers: Vec<usize> = lacking.iter().map(|(at, _)| *at).collect();
    assert_eq!(numbers, [0, 2, 4, 6, 8]);
    assert!(since.elapsed() < DEADLINE, "{:?}", since.elapsed());
    // A live event is kept nowhere: there is nothing to wait for.
    let (result, took) = append(&node, durable("live:a", "x", true)).await;
    assert_eq!(result.expect("published").position, None);
    assert!(took < Duration::from_millis(250), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_replica_nothing_is_replicated() {
    let master = redis(&[]);
    let node = start(&master).await;
    let (result, took) = append(&node, durable("log:a", "x", true)).await;
    assert!(matches!(result, Err(HistoryError::NotReplicated(_))), "{result:?}");
    assert!(took < DEADLINE, "{took:?}");
    let (result, _) = append(&node, durable("log:a", "y", false)).await;
    assert_eq!(result.expect("appended").position.expect("kept").offset, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shard_of_a_cluster_has_replicas_of_its_own() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let broker = async |lanes: Vec<Arc<EventQueue>>| {
        let settings = RedisSettings::from(Topology::Cluster(cluster.urls()));
        RedisBroker::with_history(&settings, &history(), lanes).expect("valid addresses")
    };
    let node = Node::start(1, QueueLimits::default(), 3, broker).await;
    let events = |replicated| (0..30).map(move |n| durable(&format!("log:{n}"), "x", replicated)).collect();
    for result in node.broker.append(events(false)).await {
        assert!(result.is_ok(), "{result:?}");
    }
    cluster.wait_for_acknowledgements();
    for _ in 0..2 {
        let since = Instant::now();
        for result in node.broker.append(events(true)).await {
            assert!(result.is_ok(), "{result:?}");
        }
        say(&format!("thirty events, acknowledged on three shards after {:.1?}", since.elapsed()));
    }
}

/// The event is written, and its server is another's replica before anybody could wait: what was written is gone
/// with the history it stood in, whatever a replica says of the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_acknowledges_is_of_the_history_that_was_written() {
    let (master, replica) = pair();
    let node = start(&master).await;
    let (results, replicating) = node.broker.append_first(vec![durable("log:a", "lost", true)]).await;
    assert!(results[0].is_ok(), "{results:?}");
    // A server without the event takes its place, with a replica of its own.
    let other = redis(&[]);
    master.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).expect("redis-cli");
    eventually(Duration::from_secs(30), "it has the other's history", || {
        let told = master.cli(&["INFO", "replication"]).expect("redis-cli");
        told.contains("master_link_status:up")
            && master.cli(&["EXISTS", "tg:{log:a}"]).is_ok_and(|n| n.trim() == "0")
    });
    master.cli(&["REPLICAOF", "NO", "ONE"]).expect("redis-cli");
    eventually(Duration::from_secs(30), "its replica follows", || {
        replica.cli(&["INFO", "replication"]).expect("redis-cli").contains("master_link_status:up")
    });
    let lacking = node.broker.replicate(replicating.expect("one waits")).await;
    assert!(matches!(lacking[..], [(0, HistoryError::NotReplicated(_))]), "{lacking:?}");
    assert_eq!(
        master.cli(&["WAIT", "1", "1000"]).expect("redis-cli").trim(),
        "1",
        "control: WAIT alone is content"
    );
}
