//! The brokers we ship, as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_broker::{
    Appended, Broker, BrokerError, Counters, Durable, EventQueue, History, HistoryError, HistoryRules,
    HistorySettings, LogPace, MemoryBroker, Query, Read, RedisBroker, RedisSettings, Shard,
};
use tidegate_core::{ChannelName, Event, Position};
use tidegate_metrics::{IntCounter, Metrics};

/// One of our brokers, and what its channels remember.
pub(crate) struct AnyBroker {
    which: Which,
    history: HistorySettings,
    /// Of histories that refuse to be read.
    unread: LogPace,
}

enum Which {
    /// One node, from memory.
    Memory(MemoryBroker),
    /// Many nodes, through Redis.
    Redis(Box<RedisBroker>),
}

impl AnyBroker {
    /// One node, from memory.
    ///
    /// # Panics
    /// Without a lane.
    pub(crate) fn memory(history: HistorySettings, lanes: Vec<Arc<EventQueue>>) -> Self {
        Self {
            which: Which::Memory(MemoryBroker::with_history(lanes, history.clone())),
            history,
            unread: LogPace::default(),
        }
    }

    /// Starts to reach Redis, for many nodes. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the settings cannot work.
    ///
    /// # Panics
    /// Without a lane.
    pub(crate) fn redis(
        redis: &RedisSettings,
        history: HistorySettings,
        lanes: Vec<Arc<EventQueue>>,
    ) -> Result<Self, BrokerError> {
        let broker = RedisBroker::with_history(redis, &history, lanes)?;
        Ok(Self { which: Which::Redis(Box::new(broker)), history, unread: LogPace::default() })
    }

    /// What a channel remembers.
    pub(crate) fn rules_of(&self, channel: &ChannelName) -> &HistoryRules {
        self.history.of(channel)
    }

    /// Whether events of a channel are numbered and kept.
    pub(crate) fn has_history(&self, channel: &ChannelName) -> bool {
        self.rules_of(channel).history.is_some()
    }

    /// Channels with subscribers, at most `most`.
    pub(super) async fn occupied(&self, most: usize) -> Result<Vec<ChannelName>, BrokerError> {
        match &self.which {
            Which::Memory(broker) => Ok(broker.occupied_channels(most)),
            Which::Redis(broker) => broker.occupied_channels(most).await,
        }
    }

    /// Whether every shard is heard.
    pub(super) fn is_up(&self) -> bool {
        self.counters().is_up()
    }

    /// Whether channels should have histories, and a server cannot keep them.
    pub(super) fn lacks_functions(&self) -> bool {
        self.counters().library.is_missing() && self.history.is_any()
    }

    /// Whether a channel's shard is heard and can be published to.
    pub(super) fn hears(&self, channel: &ChannelName) -> bool {
        match &self.which {
            Which::Memory(_) => true,
            Which::Redis(broker) => broker.hears(channel),
        }
    }

    /// Whether a namespace has rules of its own.
    pub(super) fn declares(&self, namespace: &str) -> bool {
        self.history.namespaces.contains_key(namespace)
    }

    /// A history was not read. What does not pass by itself is said once a minute.
    pub(super) fn note_unread(&self, error: &HistoryError) {
        match error {
            HistoryError::Refused(_) | HistoryError::BadArgument(_) | HistoryError::NotReplicated(_) => {
                if let Some(times) = self.unread.tick() {
                    tracing::warn!(times, %error, "histories cannot be read; the newest reason is named");
                }
            }
            _ => tracing::debug!(%error, "a history was not read"),
        }
    }

    /// Whether anything is remembered in any channel.
    pub(super) fn has_histories(&self) -> bool {
        let HistorySettings { namespaces, default, .. } = &self.history;
        namespaces.values().chain([default]).any(|rules| rules.history.is_some())
    }

    /// Which of the queues it was built with gets the events of a channel.
    pub(super) fn lane_of(&self, channel: &ChannelName) -> usize {
        match &self.which {
            Which::Memory(broker) => broker.lane_of(channel),
            Which::Redis(broker) => broker.lane_of(channel),
        }
    }

    /// Which shard serves a channel now, if that is known.
    pub(super) fn shard_of(&self, channel: &ChannelName) -> Option<Shard> {
        match &self.which {
            Which::Memory(broker) => broker.shard_of(channel),
            Which::Redis(broker) => broker.shard_of(channel),
        }
    }

    /// Whether the topology itself names the one server that is heard and asked as the channel's master.
    pub(super) async fn confirm(&self, channel: &ChannelName) -> bool {
        match &self.which {
            Which::Memory(_) => true,
            Which::Redis(broker) => broker.confirm(channel).await,
        }
    }

    /// Ends its connections, and waits for that.
    pub(super) async fn stop(&self) {
        match &self.which {
            Which::Memory(_) => {}
            Which::Redis(broker) => broker.stop().await,
        }
    }

    /// Brings its metrics up to date.
    pub(super) fn measure(&self, metrics: &Metrics) {
        let counters = self.counters();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        catch_up(&metrics.unnumbered, count(&counters.unnumbered));
        catch_up(&metrics.dropped("oversized"), count(&counters.oversized));
        catch_up(&metrics.dropped("unknown_envelope"), count(&counters.unknown_envelopes));
        catch_up(&metrics.dropped("unknown_channel"), count(&counters.unknown_channels));
        catch_up(&metrics.dropped("queue_full"), count(&counters.queue_full));
        if let Which::Redis(_) = &self.which {
            catch_up(&metrics.library_conflicts, count(&counters.library.others));
            metrics.forget_redis_shards(); // a Cluster's come and go
            for (Shard(number), shard) in counters.shards() {
                metrics.redis_up(number).set(i64::from(shard.up.load(Ordering::Relaxed)));
                catch_up(&metrics.redis_reconnects(number), count(&shard.reconnects));
            }
        }
    }

    fn counters(&self) -> &Counters {
        match &self.which {
            Which::Memory(broker) => broker.counters(),
            Which::Redis(broker) => broker.counters(),
        }
    }
}

/// Moves a counter on to what was counted elsewhere.
fn catch_up(counter: &IntCounter, counted: u64) {
    counter.inc_by(counted.saturating_sub(counter.get()));
}

impl Broker for AnyBroker {
    async fn publish(&self, events: Vec<(ChannelName, Event)>) -> Vec<Result<Option<Position>, BrokerError>> {
        match &self.which {
            Which::Memory(broker) => broker.publish(events).await,
            Which::Redis(broker) => broker.publish(events).await,
        }
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        match &self.which {
            Which::Memory(broker) => broker.subscribe(channels).await,
            Which::Redis(broker) => broker.subscribe(channels).await,
        }
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        match &self.which {
            Which::Memory(broker) => broker.unsubscribe(channels).await,
            Which::Redis(broker) => broker.unsubscribe(channels).await,
        }
    }
}

impl History for AnyBroker {
    async fn append(&self, events: Vec<Durable>) -> Vec<Result<Appended, HistoryError>> {
        match &self.which {
            Which::Memory(broker) => broker.append(events).await,
            Which::Redis(broker) => broker.append(events).await,
        }
    }

    async fn read(&self, queries: Vec<Query>) -> Vec<Result<Option<Read>, HistoryError>> {
        match &self.which {
            Which::Memory(broker) => broker.read(queries).await,
            Which::Redis(broker) => broker.read(queries).await,
        }
    }

    async fn begin(&self, channels: Vec<ChannelName>) -> Vec<Result<(), HistoryError>> {
        match &self.which {
            Which::Memory(broker) => broker.begin(channels).await,
            Which::Redis(broker) => broker.begin(channels).await,
        }
    }

    async fn tops(&self, channels: Vec<ChannelName>) -> Vec<Result<Option<Position>, HistoryError>> {
        match &self.which {
            Which::Memory(broker) => broker.tops(channels).await,
            Which::Redis(broker) => broker.tops(channels).await,
        }
    }
}
