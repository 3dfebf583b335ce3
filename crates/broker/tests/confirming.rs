//! Whether the topology itself confirms the server that a node hears and publishes to. Against real servers,
//! Sentinels and a Cluster; beside it what a server says of itself.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Node, event, name};
use tidegate_broker::{
    Broker, EventQueue, MemoryBroker, News, QueueLimits, RedisBroker, RedisSettings, SentinelTopology,
    Topology,
};
use tidegate_testkit::proxy::{Fault, Proxy, all};
use tidegate_testkit::{MASTER, RedisCluster, RedisServer, SentinelSet, eventually_async, say};

const MAX_EVENT: usize = 256 << 10;
/// No answer takes longer; a busy machine adds some.
const ANSWER: Duration = Duration::from_millis(1300);
const SERVED_AGAIN: Duration = Duration::from_secs(15);

type RedisNode = Node<RedisBroker>;

async fn start(settings: &RedisSettings, shards: usize) -> RedisNode {
    let broker = async |lanes: Vec<Arc<EventQueue>>| {
        RedisBroker::start(settings, lanes, MAX_EVENT).expect("valid addresses")
    };
    Node::start(1, QueueLimits::default(), shards, broker).await
}

/// What is confirmed, which never takes long.
async fn confirm(node: &RedisNode, channel: &str) -> bool {
    let since = Instant::now();
    let is_confirmed = node.broker.confirm(&name(channel)).await;
    assert!(since.elapsed() < ANSWER, "{:?}", since.elapsed());
    is_confirmed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_is_its_own_topology() {
    assert!(
        MemoryBroker::new(vec![Arc::new(EventQueue::new(QueueLimits::default()))]).confirm(&name("a")).await
    );
    let mut server = RedisServer::start().expect("redis-server");
    let proxy = Proxy::start(server.port());
    let node = start(&RedisSettings::new(proxy.redis_url()), 1).await;
    assert!(confirm(&node, "a").await);
    proxy.set(all, Fault::Hold);
    assert!(!confirm(&node, "a").await, "nobody answers");
    proxy.heal();
    eventually_async(SERVED_AGAIN, "confirmed again", async || confirm(&node, "a").await).await;
    server.stop();
    assert!(!confirm(&node, "a").await, "it is gone");
    server.start_again().expect("redis-server");
    eventually_async(SERVED_AGAIN, "confirmed again", async || confirm(&node, "a").await).await;
    // Behind a name that points to a replica, as one does for a while that is behind a failover.
    let other = RedisServer::start().expect("redis-server");
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).expect("redis-cli");
    assert!(!confirm(&node, "a").await, "no master");
}

/// A master that Sentinels have left, and that does not know it: it answers, and its word is that of a master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_sentinels_have_left_is_not_confirmed() {
    let set = SentinelSet::start().expect("Sentinels");
    for server in &set.servers {
        server.cli(&["ACL", "SETUSER", "node", "on", ">secret", "~*", "&*", "+@all"]).expect("redis-cli");
    }
    let port = |url: &String| url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let proxies: Vec<Proxy> = set.urls().iter().map(|url| Proxy::start(port(url))).collect();
    let mut settings = RedisSettings::from(Topology::Sentinel(SentinelTopology {
        nodes: proxies.iter().map(Proxy::redis_url).collect(),
        master: MASTER.to_owned(),
        username: Some("node".to_owned()),
        password: Some("secret".to_owned()),
        ..SentinelTopology::default()
    }));
    // A look that is not answered goes on, so that the node knows of no failover before the test wants it.
    settings.patience.ping_timeout = Duration::from_secs(60);
    let node = start(&settings, 1).await;
    node.subscribe(&["a"]).await;
    assert!(confirm(&node, "a").await);

    for proxy in &proxies {
        let looking = proxy.counts().accepted; // who confirms comes later, over links of its own
        proxy.set(move |link| link.number() < looking, Fault::Hold);
    }
    assert!(confirm(&node, "a").await);
    let former = set.master().expect("known");
    let rest = [
        "ACL",
        "SETUSER",
        "default",
        "-ping",
        "-info",
        "-replicaof",
        "-slaveof",
        "-client",
        "-multi",
        "-exec",
    ];
    set.servers[former].cli(&rest).expect("redis-cli"); // Sentinels come as this user
    set.wait_for_master_other_than(former);
    for _ in 0..5 {
        node.publish([("a", "there".into())]).await;
        assert_eq!(node.hear(1).await, ["a there"]);
        assert!(!confirm(&node, "a").await, "the Sentinels have another");
    }
    let role = set.servers[former].cli(&["--user", "node", "--pass", "secret", "ROLE"]).expect("redis-cli");
    assert!(role.starts_with("master"), "control: {role}");
    say(
        "a master that Sentinels have left: not confirmed; control: it says that it is the master, and takes events",
    );

    proxies.iter().for_each(Proxy::heal);
    eventually_async(SERVED_AGAIN, "confirmed at the new master", async || confirm(&node, "a").await).await;
    let told = set.servers[1 - former].cli(&["PUBSUB", "NUMSUB", "tg:{a}"]).expect("redis-cli");
    assert_eq!(told.lines().nth(1).map(str::trim), Some("1"), "it listens there");
    // Two of three Sentinels are silent.
    for proxy in &proxies[..2] {
        proxy.set(all, Fault::Hold);
    }
    assert!(!confirm(&node, "a").await, "one Sentinel is not most of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn most_masters_of_a_cluster_confirm() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = start(&RedisSettings::from(Topology::Cluster(cluster.urls())), 3).await;
    let held_by = |cluster: &RedisCluster, at: usize| {
        let channels = (0..100).map(|n| format!("room:{n}"));
        let owner = |channel: &str| cluster.master_of(cluster.slot(&format!("tg:{{{channel}}}"))?);
        channels
            .into_iter()
            .find(|channel| owner(channel).expect("an owner") == at)
            .expect("every shard has some")
    };
    let channels: Vec<String> = (0..3).map(|at| held_by(&cluster, at)).collect();
    for channel in &channels {
        node.subscribe(&[channel]).await;
        eventually_async(SERVED_AGAIN, "confirmed", async || confirm(&node, channel).await).await;
    }
    cluster.nodes[0].stop();
    assert!(!confirm(&node, &channels[0]).await, "its master is gone");
    assert!(confirm(&node, &channels[1]).await, "two of three masters call this one so");
    cluster.wait_for_promotion_of(3, 0);
    eventually_async(SERVED_AGAIN, "confirmed at the new master", async || {
        confirm(&node, &channels[0]).await
    })
    .await;
    let published = node.broker.publish(vec![(name(&channels[0]), event("x"))]).await;
    assert_eq!(published, [Ok(None)]);
    eventually_async(SERVED_AGAIN, "heard", async || matches!(node.next().await, News::Event(..))).await;

    // A slot moves: the channel is heard where it was, until it is not.
    let slot = cluster.slot(&format!("tg:{{{}}}", channels[1])).expect("a slot");
    cluster.move_slot(slot, 2).expect("moved");
    let since = Instant::now();
    eventually_async(SERVED_AGAIN, "confirmed at its new owner", async || confirm(&node, &channels[1]).await)
        .await;
    say(&format!("slot moved: confirmed at its new owner after {:.1?}", since.elapsed()));
    let told =
        cluster.nodes[2].cli(&["SPUBLISH", &format!("tg:{{{}}}", channels[1]), "x"]).expect("redis-cli");
    assert_eq!(told.trim(), "1", "it listens there");
}
