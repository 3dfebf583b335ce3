//! The queues a broker was built with: which channel goes to which.
//!
//! All events of one channel go to one lane, so they keep their order. What is lost here is
//! counted, and said in the log once a minute.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::DefaultHashBuilder;
use tidegate_core::{ChannelName, Event};

use crate::counters::Counters;
use crate::log_pace::LogPace;
use crate::{EventQueue, GapCause, News, Shard};

/// A broker's way to the relay.
#[derive(Debug)]
pub(crate) struct Lanes {
    queues: Vec<Arc<EventQueue>>,
    /// Seeded at random: clients choose names, and must not choose their lane.
    hasher: DefaultHashBuilder,
    counters: Arc<Counters>,
    full: LogPace,
}

impl Lanes {
    /// # Panics
    /// Without a queue there is nowhere to go.
    pub(crate) fn new(queues: Vec<Arc<EventQueue>>, counters: Arc<Counters>) -> Self {
        assert!(!queues.is_empty(), "a broker needs at least one lane");
        Self { queues, hasher: DefaultHashBuilder::default(), counters, full: LogPace::default() }
    }

    /// Adds an event to its channel's lane; never waits.
    pub(crate) fn deliver(&self, channel: ChannelName, event: Event) {
        let Err(_full) = self.queue(&channel).push(News::Event(channel, event)) else { return };
        self.counters.queue_full.fetch_add(1, Ordering::Relaxed);
        if let Some(times) = self.full.tick() {
            tracing::warn!(times, "events dropped: the node takes them more slowly than they come");
        }
    }

    /// Tells a channel's lane that it went to another shard.
    pub(crate) fn moved(&self, channel: ChannelName) {
        let queue = self.queue(&channel);
        let _always_fits = queue.push(News::Gap(channel, GapCause::Moved));
    }

    /// Tells every lane that the shard is heard.
    pub(crate) fn up(&self, shard: Shard) {
        for queue in &self.queues {
            let _always_fits = queue.push(News::Up(shard));
        }
    }

    /// Tells every lane that the shard is not heard.
    pub(crate) fn down(&self, shard: Shard) {
        for queue in &self.queues {
            let _always_fits = queue.push(News::Down(shard));
        }
    }

    /// Which lane gets what happens to a channel, counted from 0 in the order they were given in.
    pub(crate) fn lane_of(&self, channel: &ChannelName) -> usize {
        match self.queues.len() {
            1 => 0,
            several => self.hasher.hash_one(channel) as usize % several,
        }
    }

    fn queue(&self, channel: &ChannelName) -> &EventQueue {
        &self.queues[self.lane_of(channel)]
    }
}
