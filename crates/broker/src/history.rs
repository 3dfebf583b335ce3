//! What a channel remembers: durable events, numbered, for those who were away.
//!
//! The second seam beside [`Broker`](crate::Broker). An event that is appended is also published: who is
//! subscribed hears it with its [`Position`]. What positions mean, and why, is in docs of the design; in
//! short: offsets of a channel count 1, 2, 3 …; an epoch is a stretch of the history with one writer;
//! no position ever names two events.

mod rules;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Epoch, Event, Position};

pub use rules::{HistoryRules, HistorySettings, LogRules};

/// Events that are read at once, at most.
pub const MAX_PAGE: u32 = 10_000;
/// Bytes of payloads after which a read ends early; one event always comes.
pub const PAGE_BYTES: usize = 1 << 20;
/// The longest idempotency key, in bytes.
pub const MAX_KEY: usize = 128;
/// The longest name of a publisher, in bytes.
pub const MAX_FROM: usize = 255;

/// Keeps durable events. Requests that are given at once share one round trip to each server; there is one
/// result for each, in their order.
pub trait History: Send + Sync + 'static {
    /// Appends and publishes events, those of one channel in this order.
    fn append(
        &self,
        events: Vec<Durable>,
    ) -> impl Future<Output = Vec<Result<Appended, HistoryError>>> + Send;

    /// Reads what follows a position. `None` where the channel has no epoch yet: nothing was ever
    /// published, or all of it is forgotten.
    fn read(
        &self,
        queries: Vec<Query>,
    ) -> impl Future<Output = Vec<Result<Option<Read>, HistoryError>>> + Send;

    /// Gives channels without an epoch one, so that a position in them has a name, and renews the life of
    /// the positions of others.
    fn begin(&self, channels: Vec<ChannelName>)
    -> impl Future<Output = Vec<Result<(), HistoryError>>> + Send;

    /// The position of the last event of each channel, if it has an epoch.
    fn tops(
        &self,
        channels: Vec<ChannelName>,
    ) -> impl Future<Output = Vec<Result<Option<Position>, HistoryError>>> + Send;
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// Where it is published. In a channel without history it is a live event, which a key still guards.
    pub channel: ChannelName,
    /// What is published; at most [`HistorySettings::max_event_bytes`].
    pub payload: Bytes,
    /// What makes a second publish of the same event known as such: 1–128 bytes.
    pub key: Option<Arc<str>>,
    /// Who publishes; at most 255 bytes.
    pub from: Option<Arc<str>>,
    /// Whether the publisher waits for a replica to have it, too. Memory has none, and takes no notice.
    pub replicated: bool,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its position; that of the first, if its key was there before. None without history.
    pub position: Option<Position>,
    /// Whether it is a new event; false if its key was there before.
    pub fresh: bool,
}

/// What is asked of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which channel.
    pub channel: ChannelName,
    /// Where to begin.
    pub since: Since,
    /// Events at most: one page. 0 asks for the position alone.
    pub count: u32,
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After the last event.
    Now,
    /// With so many of the last events as are there.
    Last(u32),
    /// After an event.
    Position(Position),
}

/// What a channel's history answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The epoch of the last event.
    pub epoch: Epoch,
    /// The offset of the last event.
    pub offset: u64,
    /// The reader goes on after this offset, under `epoch`.
    pub start: u64,
    /// Where the reader's own epoch ended; none if it is not known here.
    pub end: Option<u64>,
    /// What lies between the reader's position and `start` could not be had.
    pub lost: bool,
    /// The reader is ahead of a history that nobody has numbered since a failover.
    pub ahead: bool,
    /// What follows `start`, without a hole, each with its position under `epoch`. If the last is before
    /// `offset`, there is more to read.
    pub events: Vec<Event>,
}

/// Why a history did not do what it was asked to, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// It does not answer, or not in time. Whether it was done is unknown; try again, with the same key.
    #[error("the history does not answer: {0}")]
    Unavailable(String),
    /// The channel is on its way to another server. It was not done; try again soon.
    #[error("the history asks to try again: {0}")]
    TryAgain(String),
    /// The server that was asked is no master, or not any more. It was not done; another is looked for.
    #[error("the history is not asked at its master: {0}")]
    Behind(String),
    /// The key is that of another payload.
    #[error("the key was used for another payload")]
    KeyReused,
    /// What was asked cannot be; says which argument and which limit.
    #[error("{0}")]
    BadArgument(String),
    /// Too few replicas. The words say whether it was done: a master that lacks replicas may take no writes, and
    /// an event may be published that no replica has acknowledged. Try again, with the same key.
    #[error("the history has too few replicas: {0}")]
    NotReplicated(String),
    /// It answers, but refuses. Trying again does not help until somebody acts.
    #[error("the history refuses: {0}")]
    Refused(String),
}
