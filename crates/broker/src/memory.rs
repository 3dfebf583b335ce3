//! The broker of a node that is alone: what is published is delivered at once.
//!
//! It keeps the names of the subscribed channels, and what their histories hold (`records.rs`).

mod records;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashSet;
use parking_lot::Mutex;
use tidegate_core::{ChannelName, Event, Position};

use crate::counters::Counters;
use crate::history::{Appended, Durable, History, HistoryError, HistorySettings, Query, Read};
use crate::lanes::Lanes;
use crate::{Broker, BrokerError, EventQueue, Shard};
use records::{Now, Records};

/// Moves events inside one process. Always up, never refuses.
#[derive(Debug)]
pub struct MemoryBroker {
    lanes: Lanes,
    counters: Arc<Counters>,
    /// Held while an event is queued, so that all subscribers see concurrent publishes in one order,
    /// which is that of their offsets.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bounded by the channels the node has subscribers for.
    subscribed: HashSet<ChannelName>,
    records: Box<Records>,
}

impl MemoryBroker {
    /// A broker that delivers to `lanes`, which hear at once that it is up. No channel has a history.
    ///
    /// # Panics
    /// Without a lane.
    pub fn new(lanes: Vec<Arc<EventQueue>>) -> Self {
        Self::with_history(lanes, HistorySettings::default())
    }

    /// The same, with histories. They end with this value.
    ///
    /// # Panics
    /// Without a lane.
    pub fn with_history(lanes: Vec<Arc<EventQueue>>, history: HistorySettings) -> Self {
        let counters = Arc::new(Counters::default());
        let lanes = Lanes::new(lanes, Arc::clone(&counters));
        counters.shard(Shard(0)).up.store(true, Ordering::Relaxed);
        lanes.up(Shard(0));
        let records = Box::new(Records::new(history));
        Self { lanes, counters, state: Mutex::new(State { subscribed: HashSet::new(), records }) }
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Which of the lanes it was made with gets what happens to a channel.
    pub fn lane_of(&self, channel: &ChannelName) -> usize {
        self.lanes.lane_of(channel)
    }

    /// Which shard serves a channel: there is one.
    pub fn shard_of(&self, _channel: &ChannelName) -> Option<Shard> {
        Some(Shard(0))
    }

    /// Whether what is heard and what is published go through one master: there is nothing else.
    pub async fn confirm(&self, _channel: &ChannelName) -> bool {
        true
    }

    /// Up to `limit` channels that somebody is subscribed to, in no order.
    pub fn occupied_channels(&self, limit: usize) -> Vec<ChannelName> {
        let state = self.state.lock();
        let ours = |channel: &&ChannelName| !channel.as_str().starts_with('~'); // Tidegate's own
        state.subscribed.iter().filter(ours).take(limit).cloned().collect()
    }
}

impl State {
    fn deliver(&self, lanes: &Lanes, channel: ChannelName, event: Event) {
        if self.subscribed.contains(&channel) {
            lanes.deliver(channel, event);
        }
    }
}

impl Broker for MemoryBroker {
    async fn publish(&self, events: Vec<(ChannelName, Event)>) -> Vec<Result<Option<Position>, BrokerError>> {
        let state = self.state.lock();
        let publish = |(channel, event)| {
            state.deliver(&self.lanes, channel, event);
            Ok(None)
        };
        events.into_iter().map(publish).collect()
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        self.state.lock().subscribed.extend(channels);
        Ok(())
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        let mut state = self.state.lock();
        for channel in channels {
            state.subscribed.remove(&channel);
        }
    }
}

impl History for MemoryBroker {
    async fn append(&self, events: Vec<Durable>) -> Vec<Result<Appended, HistoryError>> {
        let mut state = self.state.lock();
        let now = Now::new();
        let append = |durable: Durable| {
            let channel = durable.channel.clone();
            let (appended, event) = state.records.append(durable, now)?;
            if let Some(event) = event {
                state.deliver(&self.lanes, channel, event);
            }
            Ok(appended)
        };
        events.into_iter().map(append).collect()
    }

    async fn read(&self, queries: Vec<Query>) -> Vec<Result<Option<Read>, HistoryError>> {
        let mut state = self.state.lock();
        let now = Now::new();
        queries.iter().map(|query| state.records.read(query, now)).collect()
    }

    async fn begin(&self, channels: Vec<ChannelName>) -> Vec<Result<(), HistoryError>> {
        let mut state = self.state.lock();
        let now = Now::new();
        channels.into_iter().map(|channel| state.records.begin(channel, now)).collect()
    }

    async fn tops(&self, channels: Vec<ChannelName>) -> Vec<Result<Option<Position>, HistoryError>> {
        let mut state = self.state.lock();
        let now = Now::new();
        channels.iter().map(|channel| Ok(state.records.top(channel, now))).collect()
    }
}
