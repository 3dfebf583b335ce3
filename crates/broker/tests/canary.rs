//! A feed that is deaf while Redis answers every PING: found out by the canary, and replaced. Against a real Redis
//! behind a proxy that loses pushes; beside it a node without canaries, which stays deaf.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::{Node, event, name};
use tidegate_broker::{Broker, EventQueue, News, QueueLimits, RedisBroker, RedisSettings, Shard, Topology};
use tidegate_testkit::proxy::{Fault, Proxy, all, feed};
use tidegate_testkit::{RedisCluster, RedisServer, eventually_async, say};

const MAX_EVENT: usize = 256 << 10;
/// Between two canaries, twice; and the node's time to look.
const DOWN_WITHIN: Duration = Duration::from_secs(9);
const HEARD_WITHIN: Duration = Duration::from_secs(12);

type RedisNode = Node<RedisBroker>;

async fn start(settings: &RedisSettings, shards: usize) -> RedisNode {
    let broker = async |lanes: Vec<Arc<EventQueue>>| {
        RedisBroker::start(settings, lanes, MAX_EVENT).expect("valid addresses")
    };
    Node::start(1, QueueLimits::default(), shards, broker).await
}

fn lines(told: &str) -> Vec<String> {
    told.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The names of canaries that somebody listens to.
fn canaries(server: &RedisServer, subcommand: &str) -> Vec<String> {
    lines(&server.cli(&["PUBSUB", subcommand, "tg:{~canary:*}"]).expect("redis-cli"))
}

/// What comes until the node is down, and until it is up and has heard an event that is published all the while.
async fn deaf_until_heard(node: &RedisNode, since: Instant) -> (Duration, Duration) {
    let mut down = None;
    let publishing = async {
        loop {
            let _refused_while_it_is_down = node.broker.publish(vec![(name("a"), event("still?"))]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let hearing = async {
        loop {
            match node.next().await {
                News::Down(_) => down = Some(since.elapsed()),
                News::Event(..) if down.is_some() => return since.elapsed(),
                _ => {}
            }
        }
    };
    let heard = tokio::select! {
        heard = hearing => heard,
        () = publishing => unreachable!("it goes on for ever"),
    };
    (down.expect("it was down"), heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_feed_is_found_out_and_replaced() {
    let server = RedisServer::start().expect("redis-server");
    let (proxy, control_proxy) = (Proxy::start(server.port()), Proxy::start(server.port()));
    let node = start(&RedisSettings::new(proxy.redis_url()), 1).await;
    let without = RedisSettings { canary: false, ..RedisSettings::new(control_proxy.redis_url()) };
    let control = start(&without, 1).await;
    for node in [&node, &control] {
        node.subscribe(&["a"]).await;
    }
    node.publish([("a", "before".into())]).await;
    assert_eq!(node.hear(1).await, ["a before"], "traffic went through it");
    assert_eq!(control.hear(1).await, ["a before"]);
    eventually_async(DOWN_WITHIN, "its canary flies", async || !canaries(&server, "CHANNELS").is_empty())
        .await;

    // The links there are; those that are made later hear.
    for proxy in [&proxy, &control_proxy] {
        let links = proxy.counts().accepted;
        proxy.set(move |link| link.number() < links && feed(link), Fault::SwallowPushes);
    }
    let since = Instant::now();
    let (down, heard) = deaf_until_heard(&node, since).await;
    say(&format!("a deaf feed: down after {down:.1?}, heard again after {heard:.1?}"));
    assert!(down < DOWN_WITHIN, "{down:?}");
    assert!(heard < HEARD_WITHIN, "{heard:?}");
    let counters = node.broker.counters().shard(Shard(0));
    assert_eq!(counters.reconnects.load(Ordering::Relaxed), 1, "its connection was replaced, once");

    let mut more = Vec::new();
    let rest = HEARD_WITHIN.saturating_sub(since.elapsed());
    let nothing = tokio::time::timeout(rest, control.lanes[0].take(1, &mut more)).await;
    say("a deaf feed, control: without a canary nothing is heard, and nobody knows");
    assert!(nothing.is_err(), "control: a node without canaries is deaf, but heard {more:?}");
    assert!(control.broker.counters().is_up(), "control: and believes to be up");
    assert!(control_proxy.counts().swallowed_pushes > 0);
}

/// Pushes are lost on every connection, so that none can be subscribed: it must not be waited for for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_deaf_from_the_start_is_replaced_too() {
    let server = RedisServer::start().expect("redis-server");
    let proxy = Proxy::start(server.port());
    let node = start(&RedisSettings::new(proxy.redis_url()), 1).await;
    node.subscribe(&["a"]).await;
    proxy.set(all, Fault::SwallowPushes);
    assert_eq!(node.next().await, News::Down(Shard(0)));
    let attempts = proxy.counts().accepted;
    let since = Instant::now();
    eventually_async(HEARD_WITHIN, "another connection is tried", async || {
        proxy.counts().accepted > attempts + 1
    })
    .await;
    say(&format!("a connection that confirms nothing: replaced after {:.1?}", since.elapsed()));
    proxy.heal();
    let mut news = Vec::new();
    let up = async {
        while !news.contains(&News::Up(Shard(0))) {
            node.lanes[0].take(9, &mut news).await;
        }
    };
    tokio::time::timeout(HEARD_WITHIN, up).await.expect("up again");
    node.publish([("a", "again".into())]).await;
    assert_eq!(node.hear(1).await, ["a again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_are_nobody_elses() {
    let server = RedisServer::start().expect("redis-server");
    let (one, other) = (
        start(&RedisSettings::new(server.url()), 1).await,
        start(&RedisSettings::new(server.url()), 1).await,
    );
    eventually_async(DOWN_WITHIN, "each has one", async || canaries(&server, "CHANNELS").len() == 2).await;
    for canary in canaries(&server, "CHANNELS") {
        let told = server.cli(&["PUBSUB", "NUMSUB", &canary]).expect("redis-cli");
        assert_eq!(lines(&told)[1], "1", "only its own node listens");
        server.cli(&["PUBLISH", &canary, "from somebody"]).expect("redis-cli");
    }
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).expect("redis-cli");
    for node in [&one, &other] {
        assert_eq!(node.next().await, News::Down(Shard(0)), "nothing before it");
        assert_eq!(node.next().await, News::Up(Shard(0)));
    }
    eventually_async(DOWN_WITHIN, "still two names", async || canaries(&server, "CHANNELS").len() == 2).await;
    assert!(one.broker.occupied_channels(9).await.expect("a list").is_empty(), "they are no channels");
    assert_eq!(one.broker.counters().unknown_envelopes.load(Ordering::Relaxed), 0);
    other.broker.stop().await;
    eventually_async(DOWN_WITHIN, "one name", async || canaries(&server, "CHANNELS").len() == 1).await;
}

/// The slots of all canaries move away: each shard gets one in a slot that it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_flies_in_a_slot_of_its_shard() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = start(&RedisSettings::from(Topology::Cluster(cluster.urls())), 3).await;
    let at = |at: usize| canaries(&cluster.nodes[at], "SHARDCHANNELS");
    let each_has_one = async || (0..3).all(|shard| at(shard).len() == 1);
    eventually_async(DOWN_WITHIN, "one on each shard", each_has_one).await;
    let former = at(0);
    let slot = cluster.slot(&former[0]).expect("a slot");
    cluster.move_slot(slot, 1).expect("moved");
    let another = async || at(0).len() == 1 && at(0) != former && at(1).len() == 1 && at(2).len() == 1;
    eventually_async(DOWN_WITHIN, "another on the shard", another).await;
    // A connection may be made anew when a slot moves away while a request is in flight; then none is deaf.
    eventually_async(DOWN_WITHIN, "all shards are up", async || node.broker.counters().is_up()).await;
    let mut news = Vec::new();
    let _what_came_of_it = tokio::time::timeout(Duration::ZERO, node.lanes[0].take(99, &mut news)).await;
    news.clear();
    let more = tokio::time::timeout(DOWN_WITHIN, node.lanes[0].take(1, &mut news)).await;
    assert!(more.is_err(), "{news:?}");
}
