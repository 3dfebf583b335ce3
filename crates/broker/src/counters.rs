//! What a broker counts. The gateway makes metrics of it.

use std::sync::atomic::{AtomicBool, AtomicU64};

/// Counts since the start.
#[derive(Debug)]
pub struct Counters {
    /// Events dropped because their payload was above `limits.event`.
    pub oversized: AtomicU64,
    /// Envelopes skipped because this node does not know their kind or version.
    pub unknown_envelopes: AtomicU64,
    /// Messages skipped because what they came on is no channel's name.
    pub unknown_channels: AtomicU64,
    /// Events dropped because the node takes them too slowly; all lanes together.
    pub queue_full: AtomicU64,
    /// One for each shard, in their order.
    pub shards: Vec<ShardCounters>,
}

/// What is counted for each shard.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Whether it is heard and can be published to.
    pub up: AtomicBool,
    /// How often it was lost and heard again.
    pub reconnects: AtomicU64,
}

impl Counters {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            oversized: AtomicU64::new(0),
            unknown_envelopes: AtomicU64::new(0),
            unknown_channels: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            shards: (0..shards).map(|_| ShardCounters::default()).collect(),
        }
    }
}
