//! The broker of a node that is alone: what is published is delivered at once.
//!
//! It keeps nothing but the names of the subscribed channels.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashSet;
use parking_lot::Mutex;
use tidegate_core::{ChannelName, Event, Position};

use crate::counters::Counters;
use crate::lanes::Lanes;
use crate::{Broker, BrokerError, EventQueue, Shard};

/// Moves events inside one process. Always up, never refuses.
#[derive(Debug)]
pub struct MemoryBroker {
    lanes: Lanes,
    counters: Arc<Counters>,
    /// Bounded by the channels the node has subscribers for. Held while an event is queued, so
    /// that all subscribers see concurrent publishes in one order.
    subscribed: Mutex<HashSet<ChannelName>>,
}

impl MemoryBroker {
    /// A broker that delivers to `lanes`, which hear at once that it is up.
    ///
    /// # Panics
    /// Without a lane.
    pub fn new(lanes: Vec<Arc<EventQueue>>) -> Self {
        let counters = Arc::new(Counters::default());
        let lanes = Lanes::new(lanes, Arc::clone(&counters));
        counters.shard(Shard(0)).up.store(true, Ordering::Relaxed);
        lanes.up(Shard(0));
        Self { lanes, counters, subscribed: Mutex::default() }
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Up to `limit` channels that somebody is subscribed to, in no order.
    pub fn occupied_channels(&self, limit: usize) -> Vec<ChannelName> {
        let subscribed = self.subscribed.lock();
        let ours = |channel: &&ChannelName| !channel.as_str().starts_with('~'); // Tidegate's own
        subscribed.iter().filter(ours).take(limit).cloned().collect()
    }
}

impl Broker for MemoryBroker {
    async fn publish(&self, events: Vec<(ChannelName, Event)>) -> Vec<Result<Option<Position>, BrokerError>> {
        let subscribed = self.subscribed.lock();
        let publish = |(channel, event)| {
            if subscribed.contains(&channel) {
                self.lanes.deliver(channel, event);
            }
            Ok(None)
        };
        events.into_iter().map(publish).collect()
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        self.subscribed.lock().extend(channels);
        Ok(())
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        let mut subscribed = self.subscribed.lock();
        for channel in channels {
            subscribed.remove(&channel);
        }
    }
}
