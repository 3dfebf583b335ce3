//! Moves events between nodes: from memory for one node, through Redis for many.
//!
//! Requests reach it through [`Broker`] and [`History`]; what it hears leaves as [`News`] on a bounded queue, never
//! as a callback. It must not know sockets, sessions or users.

mod counters;
mod event_queue;
mod history;
mod lanes;
mod log_pace;
mod memory;
mod news;
mod redis;

use std::future::Future;

use tidegate_core::{ChannelName, Event, Position};

pub use counters::{Counters, ShardCounters};
pub use event_queue::{EventQueue, QueueFull, QueueLimits};
pub use history::{
    Appended, Durable, History, HistoryError, HistoryRules, HistorySettings, LogRules, MAX_FROM, MAX_KEY,
    MAX_PAGE, PAGE_BYTES, Query, Read, Since,
};
pub use log_pace::LogPace;
pub use memory::MemoryBroker;
pub use news::{GapCause, News, Shard};
pub use redis::{RedisBroker, Replicating};
pub use tidegate_redis::{Prefix, SentinelTopology, Settings as RedisSettings, Topology};

/// Why a broker did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It does not answer, or not in time. Whether the request was done is unknown; try again.
    #[error("the broker does not answer: {0}")]
    Unavailable(String),
    /// It answers, but refuses. Trying again does not help until somebody acts.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

/// Moves events between nodes. What it hears arrives on the [`EventQueue`]s it was built with: all
/// events of one channel on the same queue, in the order the channel has.
pub trait Broker: Send + Sync + 'static {
    /// Publishes the events in this order, in as few round trips as possible; one result for each.
    fn publish(
        &self,
        events: Vec<(ChannelName, Event)>,
    ) -> impl Future<Output = Vec<Result<Option<Position>, BrokerError>>> + Send;

    /// Subscribes this node to `channels`. When it returns, every event that is published from now
    /// on is heard, through reconnects too, until [`Broker::unsubscribe`]. On an error none of
    /// them counts as subscribed. Asking for a channel twice is harmless.
    fn subscribe(&self, channels: Vec<ChannelName>) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Ends the subscription to `channels`. Best effort: events may still come.
    fn unsubscribe(&self, channels: Vec<ChannelName>) -> impl Future<Output = ()> + Send;
}
