//! Where nodes of one cluster meet: in memory, or in real servers of every topology.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tidegate_broker::{
    Broker, BrokerError, EventQueue, History, HistoryRules, HistorySettings, LogRules, MemoryBroker,
    QueueLimits, RedisBroker, RedisSettings, SentinelTopology, Shard, Topology,
};
use tidegate_core::ChannelName;
use tidegate_testkit::{MASTER, RedisCluster, RedisServer, SentinelSet};

use super::Node;

/// The largest payload, where a broker has a limit of its own.
pub(crate) const MAX_EVENT: usize = 256 << 10;

/// What the tests' namespaces remember. `default` has no history; a channel of the others has one.
pub(crate) fn history() -> HistorySettings {
    let log = |size, ttl| Some(LogRules { size, ttl });
    let long = Duration::from_secs(3600);
    let rules = |history| HistoryRules { history, ..HistoryRules::default() };
    let namespaces = [
        ("log", rules(log(1000, long))),
        ("small", rules(log(10, long))),
        ("brief", rules(log(1000, SHORT))),
        ("fleeting", HistoryRules { position_ttl: SHORT, ..rules(log(1000, SHORT)) }),
        ("window", HistoryRules { dedupe_ttl: SHORT, ..rules(log(1000, long)) }),
        ("live", HistoryRules { dedupe_ttl: SHORT, ..rules(None) }),
    ];
    HistorySettings {
        namespaces: namespaces.map(|(name, rules)| (name.to_owned(), rules)).into(),
        max_event_bytes: MAX_EVENT,
        ..HistorySettings::default()
    }
}

/// A life that a test waits for the end of.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Where nodes of one cluster come from.
pub(crate) trait Cluster {
    type Broker: Broker + History;
    /// How many nodes hear each other.
    const NODES: usize;

    fn broker(&self, lanes: Vec<Arc<EventQueue>>) -> Self::Broker;

    async fn occupied(broker: &Self::Broker, limit: usize) -> Result<Vec<ChannelName>, BrokerError>;

    /// The lane and the shard of a channel, as the broker says it.
    fn seat(broker: &Self::Broker, channel: &ChannelName) -> (usize, Option<Shard>);

    /// How many parts of a broker can be up or down.
    fn shards(&self) -> usize {
        1
    }

    async fn node_with(&self, lanes: usize, limits: QueueLimits) -> Node<Self::Broker> {
        Node::start(lanes, limits, self.shards(), async |lanes| self.broker(lanes)).await
    }

    async fn node(&self) -> Node<Self::Broker> {
        self.node_with(1, QueueLimits::default()).await
    }
}

pub(crate) struct Memory;

pub(crate) fn memory() -> Memory {
    Memory
}

impl Cluster for Memory {
    type Broker = MemoryBroker;
    const NODES: usize = 1;

    fn broker(&self, lanes: Vec<Arc<EventQueue>>) -> MemoryBroker {
        MemoryBroker::with_history(lanes, history())
    }

    async fn occupied(broker: &MemoryBroker, limit: usize) -> Result<Vec<ChannelName>, BrokerError> {
        Ok(broker.occupied_channels(limit))
    }

    fn seat(broker: &MemoryBroker, channel: &ChannelName) -> (usize, Option<Shard>) {
        (broker.lane_of(channel), broker.shard_of(channel))
    }
}

/// Nodes that meet in real servers, under a prefix that no other test has.
pub(crate) struct Redis<T> {
    pub(crate) settings: RedisSettings,
    shards: usize,
    pub(crate) servers: Arc<T>,
}

impl<T> Redis<T> {
    fn new(topology: Topology, shards: usize, servers: Arc<T>) -> Self {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}", TESTS.fetch_add(1, Ordering::Relaxed)).try_into().expect("a prefix");
        Self { settings: RedisSettings { prefix, ..topology.into() }, shards, servers }
    }
}

/// One server for each test.
pub(crate) fn standalone() -> Redis<RedisServer> {
    let server = RedisServer::start().expect("redis-server");
    Redis::new(Topology::Standalone(server.url()), 1, Arc::new(server))
}

/// The same, whose feed is read at a pace once it is busy.
pub(crate) fn paced() -> Redis<RedisServer> {
    let mut redis = standalone();
    redis.settings.patience.pace = Some(Duration::from_millis(1));
    redis
}

/// A set of servers that takes seconds to start: shared by the tests that run at the same time.
struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn get(&self, start: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(start());
            *shared = Arc::downgrade(&started);
            started
        })
    }
}

pub(crate) fn sentinel() -> Redis<SentinelSet> {
    static SET: Shared<SentinelSet> = Shared::new();
    let set = SET.get(|| SentinelSet::start().expect("Sentinels"));
    let (nodes, master) = (set.urls(), MASTER.to_owned());
    Redis::new(Topology::Sentinel(SentinelTopology { nodes, master, ..Default::default() }), 1, set)
}

pub(crate) fn cluster() -> Redis<RedisCluster> {
    static CLUSTER: Shared<RedisCluster> = Shared::new();
    let cluster = CLUSTER.get(|| RedisCluster::start().expect("a Redis Cluster"));
    Redis::new(Topology::Cluster(cluster.urls()), 3, cluster)
}

impl<T> Cluster for Redis<T> {
    type Broker = RedisBroker;
    const NODES: usize = 2;

    fn shards(&self) -> usize {
        self.shards
    }

    fn broker(&self, lanes: Vec<Arc<EventQueue>>) -> RedisBroker {
        RedisBroker::with_history(&self.settings, &history(), lanes).expect("valid addresses")
    }

    async fn occupied(broker: &RedisBroker, limit: usize) -> Result<Vec<ChannelName>, BrokerError> {
        broker.occupied_channels(limit).await
    }

    fn seat(broker: &RedisBroker, channel: &ChannelName) -> (usize, Option<Shard>) {
        (broker.lane_of(channel), broker.shard_of(channel))
    }
}
