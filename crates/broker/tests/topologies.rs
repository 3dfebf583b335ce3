//! What the Redis broker promises while masters fall over and slots move. Against real Sentinels and a real
//! Cluster; the naive ways beside it, which go deaf.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::{AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, PushKind, Value};
use support::{Node, event, name};
use tidegate_broker::{
    Broker, BrokerError, EventQueue, GapCause, News, QueueLimits, RedisBroker, RedisSettings,
    SentinelTopology, Shard, Topology,
};
use tidegate_testkit::{MASTER, RedisCluster, RedisServer, SentinelSet, eventually_async, say};

const MAX_EVENT: usize = 256 << 10;
/// RELIABILITY: delivery goes on so soon after the promotion.
const SERVED_AGAIN: Duration = Duration::from_secs(15);

type RedisNode = Node<RedisBroker>;

fn start(topology: Topology) -> RedisNode {
    let lanes = vec![Arc::new(EventQueue::new(QueueLimits::default()))];
    let broker = RedisBroker::start(&topology.into(), lanes.clone(), MAX_EVENT).expect("valid addresses");
    Node { broker, lanes }
}

fn sentinel_settings(set: &SentinelSet) -> Topology {
    Topology::Sentinel(SentinelTopology {
        nodes: set.urls(),
        master: MASTER.to_owned(),
        ..SentinelTopology::default()
    })
}

async fn sentinel_node(set: &SentinelSet) -> RedisNode {
    let node = start(sentinel_settings(set));
    assert_eq!(node.next().await, News::Up(Shard(0)));
    node
}

/// A node of a Cluster that has heard all three shards.
async fn cluster_node(cluster: &RedisCluster) -> RedisNode {
    let node = start(Topology::Cluster(cluster.urls()));
    for _ in 0..3 {
        assert!(matches!(node.next().await, News::Up(_)));
    }
    node
}

/// Publishes through the broker until that works; how often it was refused before.
async fn publish_until_taken(node: &RedisNode, channel: &str, text: &str) -> usize {
    let since = Instant::now();
    for refused in 0.. {
        match node.broker.publish(vec![(name(channel), event(text.to_owned()))]).await.remove(0) {
            Ok(_) => return refused,
            Err(BrokerError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(since.elapsed() < SERVED_AGAIN, "not taken within {SERVED_AGAIN:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the loop ends by itself");
}

/// What is heard until an event with this text, events as `channel text`.
async fn hear_until(node: &RedisNode, last: &str) -> Vec<News> {
    let mut heard = Vec::new();
    loop {
        let news = node.next().await;
        let is_last = matches!(&news, News::Event(_, event) if event.payload.bytes() == last.as_bytes());
        heard.push(news);
        if is_last {
            return heard;
        }
    }
}

/// The next event or gap. Where slots move, a link may have to be made anew meanwhile.
async fn next_of_channels(node: &RedisNode) -> News {
    loop {
        match node.next().await {
            News::Up(_) | News::Down(_) => {}
            news => return news,
        }
    }
}

fn is_up(node: &RedisNode) -> bool {
    node.broker.counters().is_up()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_is_followed_by_nodes_that_do_nothing() {
    let mut set = SentinelSet::start().expect("Sentinels");
    let node = sentinel_node(&set).await;
    node.subscribe(&["a"]).await;
    // Control: a node that was told the master's address and nothing of Sentinels.
    let naive = start(Topology::Standalone(set.servers[set.master().expect("known")].url()));
    assert_eq!(naive.next().await, News::Up(Shard(0)));

    let former = set.kill_master().expect("a failover");
    let promoted = Instant::now();
    assert_eq!(node.next().await, News::Down(Shard(0)));
    assert_eq!(node.next().await, News::Up(Shard(0)));
    let took = promoted.elapsed();
    say(&format!("Sentinel failover: up again {took:.1?} after the promotion"));
    assert!(took < SERVED_AGAIN, "{took:?}");
    node.publish([("a", "again".into())]).await;
    assert_eq!(node.hear(1).await, ["a again"]);
    let outside = set.servers[1 - former].cli(&["PUBLISH", "tg:{a}", "outside"]).expect("redis-cli");
    assert_eq!(outside.trim(), "1", "subscribed at the new master");
    assert_eq!(node.hear(1).await, ["a outside"]);

    assert_eq!(naive.next().await, News::Down(Shard(0)));
    assert!(!is_up(&naive), "a node that follows nobody stays down");
    say("Sentinel failover, control: a node that was told the address alone stays down");
}

/// A failover that people asked for: the former master lives on, as a replica that would take a PUBLISH.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_master_is_left() {
    let set = SentinelSet::start().expect("Sentinels");
    let node = sentinel_node(&set).await;
    node.subscribe(&["a"]).await;
    let former = set.master().expect("known");
    let sentinel = set.urls()[0].clone();
    let answer = tidegate_testkit::run(
        std::process::Command::new("redis-cli").args(["-u", &sentinel, "SENTINEL", "FAILOVER", MASTER]),
        Duration::from_secs(5),
    );
    assert_eq!(answer.expect("redis-cli").trim(), "OK");
    set.wait_for_master_other_than(former);
    eventually_async(SERVED_AGAIN, "the node listens at the new master only", async || {
        let listening = |at: usize| {
            let told = set.servers[at].cli(&["PUBSUB", "NUMSUB", "tg:{a}"]).expect("redis-cli");
            told.lines().nth(1).is_some_and(|count| count.trim() == "1")
        };
        listening(1 - former) && !listening(former)
    })
    .await;
    publish_until_taken(&node, "a", "again").await;
    let heard = hear_until(&node, "again").await;
    assert!(is_up(&node), "{heard:?}");
}

/// What a Sentinel answers to `redis-cli`.
fn ask_sentinel(url: &str, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("redis-cli");
    let answer = tidegate_testkit::run(command.args(["-u", url]).args(arguments), Duration::from_secs(5));
    answer.expect("redis-cli").trim().to_owned()
}

/// Their count of failovers begins at 0 again, and the master is where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_are_set_up_anew_cost_no_connection() {
    let set = SentinelSet::start().expect("Sentinels");
    let former = set.master().expect("known");
    assert_eq!(ask_sentinel(&set.urls()[0], &["SENTINEL", "FAILOVER", MASTER]), "OK");
    set.wait_for_master_other_than(former);
    eventually_async(SERVED_AGAIN, "all Sentinels know of the failover", async || {
        set.urls()
            .iter()
            .all(|url| ask_sentinel(url, &["SENTINEL", "MASTER", MASTER]).contains("config-epoch\n1"))
    })
    .await;
    let node = sentinel_node(&set).await;
    node.subscribe(&["a"]).await;
    let port = set.servers[1 - former].port().to_string();
    for url in set.urls() {
        assert_eq!(ask_sentinel(&url, &["SENTINEL", "REMOVE", MASTER]), "OK");
        assert_eq!(ask_sentinel(&url, &["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &port, "2"]), "OK");
    }
    let heard = tokio::time::timeout(Duration::from_secs(3), node.next()).await;
    assert!(heard.is_err(), "nothing has changed, but {heard:?}");

    // And whoever stops asks nobody any more.
    let are_asked = || {
        let clients = |url: &String| ask_sentinel(url, &["CLIENT", "LIST"]);
        set.urls().iter().any(|url| clients(url).contains("cmd=sentinel|master"))
    };
    assert!(are_asked());
    node.broker.stop().await;
    eventually_async(SERVED_AGAIN, "no Sentinel is asked", async || !are_asked()).await;
}

/// The master is cut off, not dead: it comes back and believes to be the master, until it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_away_is_not_believed() {
    let mut set = SentinelSet::start().expect("Sentinels");
    let node = sentinel_node(&set).await;
    node.subscribe(&["a"]).await;
    let former = set.master().expect("known");
    set.servers[former].process().freeze();
    set.wait_for_master_other_than(former);
    eventually_async(SERVED_AGAIN, "the node is up at the new master", async || is_up(&node)).await;
    // One Sentinel that slept meanwhile would name it again.
    set.servers[former].process().thaw();
    for round in 0..20 {
        let text = format!("round {round}");
        publish_until_taken(&node, "a", &text).await;
        hear_until(&node, &text).await;
        let told = set.servers[former].cli(&["PUBSUB", "NUMSUB", "tg:{a}"]).expect("redis-cli");
        assert_eq!(told.lines().nth(1).map(str::trim), Some("0"), "the former master has no subscriber");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_do_not_know_the_master_are_asked_for_ever() {
    let set = SentinelSet::start().expect("Sentinels");
    let wrong = SentinelTopology { nodes: set.urls(), master: "other".into(), ..SentinelTopology::default() };
    let node = start(Topology::Sentinel(wrong));
    let results = node.broker.publish(vec![(name("a"), event("x"))]).await;
    assert!(matches!(results[..], [Err(BrokerError::Unavailable(_))]), "{results:?}");
    assert!(!is_up(&node));
    // Somebody adds it.
    let port = set.servers[0].port().to_string();
    for url in set.urls() {
        tidegate_testkit::run(
            std::process::Command::new("redis-cli").args([
                "-u",
                &url,
                "SENTINEL",
                "MONITOR",
                "other",
                "127.0.0.1",
                &port,
                "2",
            ]),
            Duration::from_secs(5),
        )
        .expect("redis-cli");
    }
    let since = Instant::now();
    assert_eq!(node.next().await, News::Up(Shard(0)));
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_a_master_is_served_again() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = cluster_node(&cluster).await;
    let channels: Vec<String> = (0..30).map(|n| format!("room:{n}")).collect();
    let all: Vec<&str> = channels.iter().map(String::as_str).collect();
    node.subscribe(&all).await;
    let held_by = |at: usize| {
        let is_its = |channel: &&&str| {
            let slot = cluster.slot(&format!("tg:{{{channel}}}")).expect("a slot");
            cluster.master_of(slot).expect("an owner") == at
        };
        *all.iter().find(is_its).expect("30 channels use every shard")
    };
    let (dead, alive) = (held_by(0), held_by(1));

    cluster.nodes[0].stop();
    let killed = Instant::now();
    assert!(matches!(node.next().await, News::Down(_)));
    assert!(!node.broker.hears(&name(dead)) && node.broker.hears(&name(alive)), "one shard is away, not all");
    assert!(!is_up(&node));
    cluster.wait_for_promotion_of(3, 0);
    let promoted = Instant::now();
    eventually_async(SERVED_AGAIN, "all shards are up", async || is_up(&node)).await;
    node.publish(all.iter().map(|channel| (*channel, "again".to_owned()))).await;
    let mut waiting: HashSet<String> = channels.iter().cloned().collect();
    while !waiting.is_empty() {
        if let News::Event(channel, _) = node.next().await {
            waiting.remove(channel.as_str());
        }
    }
    say(&format!(
        "Cluster failover: promoted after {:.1?}, all channels heard {:.1?} later",
        promoted - killed,
        promoted.elapsed()
    ));
    assert!(promoted.elapsed() < SERVED_AGAIN);
    let shards: Vec<Shard> = node.broker.counters().shards().into_iter().map(|(shard, _)| shard).collect();
    assert_eq!(shards, [Shard(0), Shard(1), Shard(2)], "a promoted replica has its predecessor's number");

    // The former master is back, as a replica; nothing changes.
    cluster.nodes[0].start_again().expect("redis-server");
    cluster.wait_for_replica(0);
    node.publish(all.iter().map(|channel| (*channel, "once more".to_owned()))).await;
    let mut count = 0;
    while count < all.len() {
        match node.next().await {
            News::Event(_, event) if event.payload.bytes() == b"once more".as_slice() => count += 1,
            News::Event(..) | News::Gap(..) | News::Up(_) => {}
            News::Down(shard) => panic!("{shard:?} is down"),
        }
    }
}

/// A third of the slots is out of reach from the start, and nobody is promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_was_never_heard_is_missed() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    for at in [2, 5] {
        cluster.nodes[at].process().freeze();
    }
    let node = start(Topology::Cluster(cluster.urls()[..2].to_vec()));
    for _ in 0..2 {
        assert!(matches!(node.next().await, News::Up(_)));
    }
    assert!(!is_up(&node), "a third of the channels is deaf");
    let shards = node.broker.counters().shards();
    assert_eq!(shards.len(), 3, "the third is known, and can be seen to be down");
    for at in [2, 5] {
        cluster.nodes[at].process().thaw();
    }
    eventually_async(SERVED_AGAIN, "all shards are up", async || is_up(&node)).await;
}

/// One shard is silent, so that callers fail or give up whose other channels are confirmed already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_leaves_nothing_behind_and_takes_nothing_from_others() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = cluster_node(&cluster).await;
    let at = |name: &str| cluster.master_of(cluster.slot(&format!("tg:{{{name}}}")).expect("a slot")).ok();
    let channels: Vec<String> = (0..50).map(|n| format!("room:{n}")).collect();
    let heard: Vec<&str> = channels.iter().map(String::as_str).filter(|name| at(name) == Some(0)).collect();
    let silent = channels.iter().find(|name| at(name) == Some(2)).expect("one of fifty");
    let (both, given_up) = (heard[0], heard[1]);

    cluster.nodes[2].process().freeze();
    let failing = node.broker.subscribe(vec![name(both), name(silent)]);
    let working = node.broker.subscribe(vec![name(both)]);
    let leaving = node.broker.subscribe(vec![name(given_up), name(silent)]);
    let leaving = tokio::time::timeout(Duration::from_millis(300), leaving);
    let (failed, worked, left) = tokio::join!(failing, working, leaving);
    cluster.nodes[2].process().thaw();
    assert!(matches!(failed, Err(BrokerError::Unavailable(_))), "{failed:?}");
    assert_eq!(worked, Ok(()));
    assert!(left.is_err(), "given up, not {left:?}");

    let listeners = |channel: &str| {
        let told = cluster.nodes[0].cli(&["PUBSUB", "SHARDNUMSUB", &format!("tg:{{{channel}}}")]);
        told.expect("redis-cli").lines().nth(1).map(str::trim) == Some("1")
    };
    eventually_async(SERVED_AGAIN, "nobody listens to what was given up", async || !listeners(given_up))
        .await;
    assert!(listeners(both), "confirmed to a caller that had it alone");
    publish_until_taken(&node, both, "x").await;
    hear_until(&node, "x").await;
}

/// redis-rs alone, as its examples use it: subscribes, and hears.
struct Naive {
    _connection: redis::aio::MultiplexedConnection,
    heard: tokio::sync::mpsc::Receiver<String>,
}

impl Naive {
    async fn subscribe(url: &str, name: &str) -> Self {
        let (tell, heard) = tokio::sync::mpsc::channel(1000);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push: PushInfo| {
            if let (PushKind::SMessage, Some(Value::BulkString(payload))) =
                (push.kind, push.data.into_iter().nth(1))
            {
                let _ = tell.try_send(String::from_utf8_lossy(&payload).into_owned());
            }
            Ok::<(), redis::RedisError>(())
        });
        let info = redis::IntoConnectionInfo::into_connection_info(url).expect("an address");
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(resp3)).expect("an address");
        let mut connection =
            client.get_multiplexed_async_connection_with_config(&config).await.expect("connected");
        connection.send_packed_command(redis::cmd("SSUBSCRIBE").arg(name)).await.expect("subscribed");
        Self { _connection: connection, heard }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_whose_slot_moves_is_heard_at_its_new_owner() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = cluster_node(&cluster).await;
    node.subscribe(&["moving", "staying"]).await;
    let slot = cluster.slot("tg:{moving}").expect("a slot");
    let from = cluster.master_of(slot).expect("a master");
    let mut naive = Naive::subscribe(&cluster.nodes[from].url(), "tg:{moving}").await;
    let watched = Arc::clone(node.broker.counters());
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = tokio::spawn(async move {
        let mut moments_down = 0;
        while stopped.try_recv().is_err() {
            moments_down += u32::from(!watched.is_up());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        moments_down
    });
    publish_until_taken(&node, "moving", "before").await;
    assert_eq!(node.hear(1).await, ["moving before"]);
    assert_eq!(naive.heard.recv().await.as_deref(), Some("before"));

    let mut before = node.broker.shard_of(&name("moving")).expect("an owner");
    for round in 1..=3 {
        let to = (from + round) % 3;
        let moved = Instant::now();
        cluster.move_slot(slot, to).expect("moved");
        let gap = next_of_channels(&node).await;
        let expected = News::Gap(name("moving"), GapCause::Moved);
        assert_eq!(gap, expected, "what may be lost is said, for this channel only");
        assert_ne!(node.broker.shard_of(&name("moving")), Some(before), "commands go to the new owner");
        before = node.broker.shard_of(&name("moving")).expect("an owner");
        say(&format!("slot moved: subscribed at the new owner after {:.1?}", moved.elapsed()));
        let text = format!("round {round}");
        publish_until_taken(&node, "moving", &text).await;
        assert_eq!(next_of_channels(&node).await, News::Event(name("moving"), event(text)));
        let outside = cluster.nodes[to].cli(&["SPUBLISH", "tg:{moving}", "outside"]).expect("redis-cli");
        assert_eq!(outside.trim(), "1", "the node, and only it");
        assert_eq!(next_of_channels(&node).await, News::Event(name("moving"), event("outside")));
    }
    let counters = node.broker.counters().shards();
    let reconnects: u64 = counters.iter().map(|(_, shard)| shard.reconnects.load(Ordering::Relaxed)).sum();
    say(&format!("three moves: {reconnects} connections were made anew"));
    stop.send(()).expect("it watches");
    let moments_down = watching.await.expect("no panic");
    assert!(moments_down == 0 || reconnects > 0, "not up {moments_down} times, though no link fell");
    // Back at the node it was subscribed at, but nobody has told it so again.
    let deaf = tokio::time::timeout(Duration::from_millis(300), naive.heard.recv()).await;
    say("slot moved, control: a naive subscriber hears nothing after the first move");
    assert!(deaf.is_err(), "control: a naive subscriber is deaf after the first move, but heard {deaf:?}");
}

/// redis-rs takes an unsolicited `sunsubscribe` for the answer to its oldest request. From then on each
/// request would get its predecessor's answer, and a name count as subscribed that is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_hold_what_they_confirm_while_slots_move() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = Arc::new(cluster_node(&cluster).await);
    let moving: Vec<String> = (0..20).map(|n| format!("moving:{n}")).collect();
    node.subscribe(&moving.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let slots: Vec<u16> =
        moving.iter().map(|channel| cluster.slot(&format!("tg:{{{channel}}}")).expect("a slot")).collect();

    // Requests are under way all the time.
    let asking = Arc::clone(&node);
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let subscribing = tokio::spawn(async move {
        let mut confirmed = Vec::new();
        for n in 0.. {
            if stopped.try_recv().is_ok() {
                break;
            }
            let names: Vec<_> = (0..10).map(|k| name(&format!("new:{n}:{k}"))).collect();
            if asking.broker.subscribe(names.clone()).await.is_ok() {
                confirmed.extend(names);
            }
        }
        confirmed
    });
    for (round, slot) in slots.iter().enumerate() {
        let from = cluster.master_of(*slot).expect("a master");
        cluster.move_slot(*slot, (from + 1 + round % 2) % 3).expect("moved");
    }
    stop.send(()).expect("it runs");
    let confirmed = subscribing.await.expect("no panic");
    say(&format!("20 slots moved: under {} subscriptions", confirmed.len()));
    assert!(confirmed.len() > 100, "requests were under way: {}", confirmed.len());

    // Every name that was confirmed, and every one that moved, is heard.
    let mut waiting: HashSet<_> = confirmed.into_iter().chain(moving.iter().map(|text| name(text))).collect();
    let since = Instant::now();
    while !waiting.is_empty() {
        assert!(since.elapsed() < SERVED_AGAIN, "{} are not heard: {waiting:?}", waiting.len());
        let events = waiting.iter().map(|channel| (channel.clone(), event("x"))).collect();
        node.broker.publish(events).await;
        // What comes within a moment; what does not is published again.
        while let Ok(news) = tokio::time::timeout(Duration::from_millis(200), node.next()).await {
            if let News::Event(channel, _) = news {
                waiting.remove(&channel);
            }
        }
        eventually_async(SERVED_AGAIN, "all shards are up", async || is_up(&node)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_start_before_its_cluster() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    for node in &mut cluster.nodes {
        node.process().freeze();
    }
    let settings: RedisSettings = Topology::Cluster(cluster.urls()[..2].to_vec()).into();
    let node = start(settings.topology);
    let since = Instant::now();
    assert!(node.broker.subscribe(vec![name("a")]).await.is_err());
    let results = node.broker.publish(vec![(name("a"), event("x"))]).await;
    assert!(matches!(results[..], [Err(BrokerError::Unavailable(_))]), "{results:?}");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(!is_up(&node), "a Cluster that was never seen is not up");
    for server in &mut cluster.nodes {
        server.process().thaw();
    }
    let since = Instant::now();
    eventually_async(SERVED_AGAIN, "all shards are up", async || is_up(&node)).await;
    say(&format!("Cluster thawed: all three shards up after {:.1?}", since.elapsed()));
    while !matches!(node.broker.subscribe(vec![name("a")]).await, Ok(())) {
        assert!(since.elapsed() < SERVED_AGAIN);
    }
    publish_until_taken(&node, "a", "x").await;
    hear_until(&node, "x").await;
}

/// The rules of docs/redis.md, word for word; what is not in them is refused.
fn documented_rules(user: &str, command: &str) -> Vec<String> {
    let page = include_str!("../../../docs/redis.md");
    let is_it = |line: &&str| line.contains(&format!("ACL SETUSER {user} ")) && line.contains(command);
    let line = page.lines().find(is_it).expect("a line for this user");
    line.split_whitespace().skip(4).map(|word| word.trim_matches('\'').to_owned()).collect()
}

fn set_user(server: &RedisServer, rules: &[String], more: &[&str]) {
    let rules: Vec<&str> = rules.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let answer = server.cli(&[&["ACL", "SETUSER", "tidegate"], &rules[..]].concat()).expect("redis-cli");
    assert_eq!(answer.trim(), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_on_a_cluster() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let rules = documented_rules("tidegate", "+spublish");
    for server in &cluster.nodes {
        set_user(server, &rules, &[]);
    }
    let urls = cluster.urls().iter().map(|url| url.replace("//", "//tidegate:secret@")).collect();
    let node = start(Topology::Cluster(urls));
    for _ in 0..3 {
        assert!(matches!(node.next().await, News::Up(_)));
    }
    node.subscribe(&["a", "b", "c"]).await;
    node.publish([("a", "x".into())]).await;
    assert_eq!(node.hear(1).await, ["a x"]);
    let occupied = node.broker.occupied_channels(9).await.expect("listed");
    assert_eq!(occupied.len(), 3);
    // A slot that moves needs no more.
    let slot = cluster.slot("tg:{a}").expect("a slot");
    cluster.move_slot(slot, (cluster.master_of(slot).expect("an owner") + 1) % 3).expect("moved");
    assert_eq!(next_of_channels(&node).await, News::Gap(name("a"), GapCause::Moved));
    node.broker.unsubscribe(vec![name("b")]).await;
    publish_until_taken(&node, "a", "y").await;
    assert_eq!(next_of_channels(&node).await, News::Event(name("a"), event("y")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_with_sentinels() {
    let set = SentinelSet::start().expect("Sentinels");
    let rules = documented_rules("tidegate", "+subscribe");
    for server in &set.servers {
        set_user(server, &rules, &["+role"]);
    }
    let topology = |password: &str| {
        Topology::Sentinel(SentinelTopology {
            nodes: set.urls(),
            master: MASTER.to_owned(),
            username: Some("tidegate".to_owned()),
            password: Some(password.to_owned()),
            database: 0,
        })
    };
    let node = start(topology("secret"));
    assert_eq!(node.next().await, News::Up(Shard(0)));
    node.subscribe(&["a"]).await;
    node.publish([("a", "x".into())]).await;
    assert_eq!(node.hear(1).await, ["a x"]);
    // Control: with another password nobody comes in.
    let stranger = start(topology("wrong"));
    let heard = tokio::time::timeout(Duration::from_secs(1), stranger.next()).await;
    assert!(heard.is_err() && !is_up(&stranger), "{heard:?}");
}
