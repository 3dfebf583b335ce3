//! The brokers we ship, as one.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_broker::{Broker, BrokerError, Counters, MemoryBroker, RedisBroker, Shard};
use tidegate_core::{ChannelName, Event, Position};
use tidegate_metrics::{IntCounter, Metrics};

/// One of our brokers.
pub(crate) enum AnyBroker {
    /// One node, from memory.
    Memory(MemoryBroker),
    /// Many nodes, through Redis.
    Redis(Box<RedisBroker>),
}

impl AnyBroker {
    /// Channels with subscribers, at most `most`.
    pub(super) async fn occupied(&self, most: usize) -> Result<Vec<ChannelName>, BrokerError> {
        match self {
            Self::Memory(broker) => Ok(broker.occupied_channels(most)),
            Self::Redis(broker) => broker.occupied_channels(most).await,
        }
    }

    /// Whether every shard is heard.
    pub(super) fn is_up(&self) -> bool {
        self.counters().is_up()
    }

    /// Whether a channel's shard is heard and can be published to.
    pub(super) fn hears(&self, channel: &ChannelName) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(broker) => broker.hears(channel),
        }
    }

    /// Ends its connections, and waits for that.
    pub(super) async fn stop(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Redis(broker) => broker.stop().await,
        }
    }

    /// Brings its metrics up to date.
    pub(super) fn measure(&self, metrics: &Metrics) {
        let counters = self.counters();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        catch_up(&metrics.dropped("oversized"), count(&counters.oversized));
        catch_up(&metrics.dropped("unknown_envelope"), count(&counters.unknown_envelopes));
        catch_up(&metrics.dropped("unknown_channel"), count(&counters.unknown_channels));
        catch_up(&metrics.dropped("queue_full"), count(&counters.queue_full));
        if let Self::Redis(_) = self {
            metrics.forget_redis_shards(); // a Cluster's come and go
            for (Shard(number), shard) in counters.shards() {
                metrics.redis_up(number).set(i64::from(shard.up.load(Ordering::Relaxed)));
                catch_up(&metrics.redis_reconnects(number), count(&shard.reconnects));
            }
        }
    }

    fn counters(&self) -> &Counters {
        match self {
            Self::Memory(broker) => broker.counters(),
            Self::Redis(broker) => broker.counters(),
        }
    }
}

/// Moves a counter on to what was counted elsewhere.
fn catch_up(counter: &IntCounter, counted: u64) {
    counter.inc_by(counted.saturating_sub(counter.get()));
}

impl Broker for AnyBroker {
    async fn publish(&self, events: Vec<(ChannelName, Event)>) -> Vec<Result<Option<Position>, BrokerError>> {
        match self {
            Self::Memory(broker) => broker.publish(events).await,
            Self::Redis(broker) => broker.publish(events).await,
        }
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        match self {
            Self::Memory(broker) => broker.subscribe(channels).await,
            Self::Redis(broker) => broker.subscribe(channels).await,
        }
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        match self {
            Self::Memory(broker) => broker.unsubscribe(channels).await,
            Self::Redis(broker) => broker.unsubscribe(channels).await,
        }
    }
}
