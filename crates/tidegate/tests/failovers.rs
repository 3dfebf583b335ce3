//! A Redis master dies under real nodes with real clients: nobody is disconnected, and everybody is served
//! again without a restart. Events of the time between are live ones, which nothing keeps.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::backend::{Backend, Book};
use support::listener::{Door, Habit, Listener};
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_testkit::checker::Entry;
use tidegate_testkit::{Node, RedisCluster, SentinelSet, eventually, eventually_async};

/// RELIABILITY section 1: recovered so soon after the promotion.
const SERVED_AGAIN: Duration = Duration::from_secs(15);
const CLIENTS: usize = 30;

fn channels() -> Vec<String> {
    (0..10).map(|n| format!("room:{n}")).collect()
}

fn start(name: &str, config: &str) -> Node {
    let node = Node::builder(BINARY).name(name).config(config).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || is_ready(&node));
    node
}

fn is_ready(node: &Node) -> bool {
    admin::get(node, "/health/ready").0 == 200
}

async fn listeners(nodes: &[Node], book: &Book) -> Vec<Listener> {
    let channels = channels();
    let opening = (0..CLIENTS).map(|n| {
        let mine = [n, n + 3].map(|k| channels[k % channels.len()].clone());
        let (book, node) = (Arc::clone(book), &nodes[n % nodes.len()]);
        async move {
            let door = Door::ALL[n % Door::ALL.len()];
            let (name, address) = (format!("client {n}"), node.public_addr());
            Listener::open(&name, door, Habit::ComesBack, address, &mine, &book).await
        }
    });
    futures_util::future::join_all(opening).await
}

/// What must hold once another master is there: ready again in time, everybody hears, and nobody had to come back.
async fn all_are_served_again(
    what: &str,
    nodes: &[Node],
    listeners: &[Listener],
    book: &Book,
    promoted: Instant,
    backend: &mut Backend,
) {
    eventually_async(SERVED_AGAIN, "all nodes are ready", async || nodes.iter().all(is_ready)).await;
    let ready = promoted.elapsed();
    let heard = |listener: &Listener| listener.count(|entry| matches!(entry, Entry::Event { .. }));
    let before: Vec<usize> = listeners.iter().map(heard).collect();
    backend.publish_all(&channels(), 200, 500).await;
    eventually_async(SERVED_AGAIN, "every client hears again", async || {
        listeners.iter().all(|listener| listener.is_done(book))
    })
    .await;
    let served = promoted.elapsed();
    assert!(served < SERVED_AGAIN, "{served:?}");
    assert!(listeners.iter().zip(before).all(|(listener, before)| heard(listener) > before + 20));
    let away = listeners.iter().filter(|listener| listener.count(|entry| *entry == Entry::Away) > 0).count();
    say(&format!(
        "{what}: nodes ready {ready:.1?} after the promotion, {CLIENTS} clients heard everything that came then, {away} of them disconnected"
    ));
    assert_eq!(away, 0, "sockets stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel() {
    let mut set = SentinelSet::start().expect("Sentinels");
    let nodes: Vec<Node> = (1..=2).map(|n| start(&format!("node {n}"), &set.config())).collect();
    let book = Book::default();
    let listeners = listeners(&nodes, &book).await;
    let master = &set.servers[set.master().expect("a master")];
    // Control: a node that was told the master's address and nothing of Sentinels.
    let naive = start("naive", &format!("[redis]\nurl = {:?}\n", master.url()));
    Backend::connect(master, &book).await.publish_all(&channels(), 200, 500).await;
    eventually_async(PATIENCE, "every client hears", async || listeners.iter().all(|l| l.is_done(&book)))
        .await;

    for round in 0..if full() { 3 } else { 1 } {
        let former = set.kill_master().expect("a failover");
        let promoted = Instant::now();
        let mut backend = Backend::connect(&set.servers[1 - former], &book).await;
        all_are_served_again("Sentinel failover", &nodes, &listeners, &book, promoted, &mut backend).await;
        assert!(round > 0 || !is_ready(&naive), "control: who follows nobody stays deaf");
        set.servers[former].start_again().expect("redis");
        set.wait_for_replica(former);
    }
    say("Sentinel failover, control: a node with the former master's address: not ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_cluster() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    let nodes: Vec<Node> = (1..=2).map(|n| start(&format!("node {n}"), &cluster.config())).collect();
    let book = Book::default();
    let listeners = listeners(&nodes, &book).await;
    let mut backend = Backend::connect_cluster(&cluster, &channels(), &book).await;
    backend.publish_all(&channels(), 200, 500).await;
    eventually_async(PATIENCE, "every client hears", async || listeners.iter().all(|l| l.is_done(&book)))
        .await;

    // Control: a node that was told one node's address and nothing of a Cluster.
    let naive = start("naive", &format!("[redis]\nurl = {:?}\n", cluster.nodes[0].url()));

    cluster.nodes[0].stop();
    eventually(PATIENCE, "the nodes say that a shard is away", || !nodes.iter().any(is_ready));
    cluster.wait_for_promotion_of(3, 0);
    let promoted = Instant::now();
    let mut backend = Backend::connect_cluster(&cluster, &channels(), &book).await;
    all_are_served_again("Cluster failover", &nodes, &listeners, &book, promoted, &mut backend).await;
    assert!(!is_ready(&naive), "control: who follows nobody stays deaf");
    say("Cluster failover, control: a node with the dead master's address: not ready");
}
