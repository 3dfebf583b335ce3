//! What a broker counts. The gateway makes metrics of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use tidegate_redis::LibraryState;

use crate::Shard;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events dropped because their payload was above `limits.event`.
    pub oversized: AtomicU64,
    /// Events without a position in channels with history: somebody published them with a bare `PUBLISH`.
    pub unnumbered: AtomicU64,
    /// Envelopes skipped because this node does not know their kind or version.
    pub unknown_envelopes: AtomicU64,
    /// Messages skipped because what they came on is no channel's name.
    pub unknown_channels: AtomicU64,
    /// Events dropped because the node takes them too slowly; all lanes together.
    pub queue_full: AtomicU64,
    /// How the function library fares on the servers.
    pub library: Arc<LibraryState>,
    /// The shards there are; a Cluster's come and go.
    shards: RwLock<BTreeMap<u16, Arc<ShardCounters>>>,
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
    /// Whether there is a shard, and every shard is up. A Cluster that was never seen has none.
    pub fn is_up(&self) -> bool {
        let shards = self.shards.read();
        !shards.is_empty() && shards.values().all(|shard| shard.up.load(Ordering::Relaxed))
    }

    /// The shards there are, in their order.
    pub fn shards(&self) -> Vec<(Shard, Arc<ShardCounters>)> {
        self.shards.read().iter().map(|(&number, counters)| (Shard(number), Arc::clone(counters))).collect()
    }

    /// A shard's counters, which are made when it is seen first.
    pub fn shard(&self, Shard(number): Shard) -> Arc<ShardCounters> {
        Arc::clone(self.shards.write().entry(number).or_default())
    }

    /// A shard is no more.
    pub(crate) fn forget(&self, Shard(number): Shard) {
        self.shards.write().remove(&number);
    }
}
