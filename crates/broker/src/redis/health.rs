//! Whether one Redis shard is up: heard on the feed, and reached for publishing.
//!
//! Both connections tell it; it tells the lanes. Up comes only when both stand, so that whoever is
//! told so can publish as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::Shard;
use crate::counters::{Counters, ShardCounters};
use crate::lanes::Lanes;

/// The health of one shard.
pub(super) struct Health {
    shard: Shard,
    lanes: Arc<Lanes>,
    counters: Arc<Counters>,
    /// Held while the lanes are told, so that they hear changes in their order.
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    feed: bool,
    publisher: bool,
}

impl Health {
    pub(super) fn new(shard: Shard, lanes: Arc<Lanes>, counters: Arc<Counters>) -> Self {
        Self { shard, lanes, counters, links: Mutex::default() }
    }

    /// The feed hears Redis on its connection number `link`, all that is wanted is subscribed.
    pub(super) fn feed_is_up(&self, link: u64) {
        self.counters().reconnects.store(link - 1, Ordering::Relaxed);
        self.change(|links| links.feed = true);
    }

    /// The feed does not hear Redis.
    pub(super) fn feed_is_down(&self) {
        self.change(|links| links.feed = false);
    }

    /// Redis can be published to, or cannot.
    pub(super) fn publisher_is(&self, up: bool) {
        self.change(|links| links.publisher = up);
    }

    fn change(&self, change: impl FnOnce(&mut Links)) {
        let mut links = self.links.lock();
        let was_up = links.feed && links.publisher;
        change(&mut links);
        let is_up = links.feed && links.publisher;
        self.counters().up.store(is_up, Ordering::Relaxed);
        match (was_up, is_up) {
            (false, true) => self.lanes.up(self.shard),
            (true, false) => self.lanes.down(self.shard),
            _ => {}
        }
    }

    fn counters(&self) -> &ShardCounters {
        &self.counters.shards[usize::from(self.shard.0)]
    }
}
