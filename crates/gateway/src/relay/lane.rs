//! One lane of the relay: takes what is ready, groups it by channel, hands it to all subscribers.
//!
//! There is no delay timer: while one batch is written the next gathers, so events that are ready
//! together leave in one write, and a single event leaves at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tidegate_broker::{EventQueue, News};
use tidegate_core::{ChannelName, Event};
use tidegate_metrics::{Door, Metrics};

use super::Subscribers;
use crate::clock::Clock;
use crate::connection::{Peer, Staged};
use crate::wire::{Encoded, Format};

/// News taken at once.
const BATCH: usize = 512;
/// Connections staged before they are flushed and others run: replies and reads go on during a
/// long fan-out.
const STAGED: usize = 256;

/// What a lane counts.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    metrics: Metrics,
    /// By format.
    doors: [Door; 5],
}

impl LaneMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let doors = ["native", "native", "plain", "sse", "sse"].map(|name| metrics.doors.of(name));
        Self { metrics: metrics.clone(), doors }
    }
}

/// One lane.
pub(super) struct Lane {
    queue: Arc<EventQueue>,
    hub: Arc<Subscribers>,
    clock: Clock,
    metrics: LaneMetrics,
    /// Connections with staged bytes that nobody has flushed yet; at most [`STAGED`].
    dirty: Vec<Arc<Peer>>,
}

/// Deliveries by format, added to the metrics once a group.
#[derive(Default)]
struct Tally([(u64, u64); 5]);

impl Lane {
    pub(super) fn new(
        queue: Arc<EventQueue>,
        hub: Arc<Subscribers>,
        clock: Clock,
        metrics: LaneMetrics,
    ) -> Self {
        Self { queue, hub, clock, metrics, dirty: Vec::with_capacity(STAGED) }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut news = Vec::with_capacity(BATCH);
        loop {
            self.queue.take(BATCH, &mut news).await;
            let taken = Instant::now();
            let groups = self.group(news.drain(..));
            for (channel, events) in &groups {
                self.deliver(channel, events).await;
            }
            self.flush();
            self.observe(&groups, taken);
            // A queue that never runs dry must not starve the connections of this thread.
            tokio::task::yield_now().await;
        }
    }

    /// Events by channel, in the order of their first; the order inside a channel is kept.
    fn group(&self, news: impl Iterator<Item = News>) -> Vec<(ChannelName, Vec<Event>)> {
        let mut groups: Vec<(ChannelName, Vec<Event>)> = Vec::new();
        let mut index: HashMap<ChannelName, usize> = HashMap::new();
        for news in news {
            match news {
                News::Event(channel, event) => {
                    self.metrics.metrics.events_received.inc();
                    let last = groups.len();
                    if groups.last().is_some_and(|(name, _)| *name == channel) {
                        groups[last - 1].1.push(event); // bursts: no look-up
                        continue;
                    }
                    let at = *index.entry(channel.clone()).or_insert(last);
                    if at == last {
                        groups.push((channel, vec![event]));
                    } else {
                        groups[at].1.push(event);
                    }
                }
                News::Gap(channel, _) => {
                    // Live events have no position to repair from. What the queue dropped it has counted
                    // and said; what a moved slot lost nobody can count.
                    tracing::debug!(%channel, "events of a channel may be missing");
                }
                // Subscriptions stay as they are; live events of the time between are lost by nature.
                News::Up(_) | News::Down(_) => {}
            }
        }
        groups
    }

    async fn deliver(&mut self, channel: &ChannelName, events: &[Event]) {
        let Some(mut batch) = self.hub.open_batch(channel) else { return };
        let mut encoded = Encoded::new(channel, events);
        let mut tally = Tally::default();
        loop {
            let room = STAGED.saturating_sub(self.dirty.len()).max(1);
            let dirty = &mut self.dirty;
            let key = batch.channel();
            let more = self.hub.deliver(&mut batch, room, |connection| {
                let format = connection.format();
                for slice in encoded.get(format) {
                    match connection.stage(slice, key) {
                        Staged::First => dirty.push(Arc::clone(connection)),
                        Staged::Behind => {}
                        Staged::Refused => break,
                    }
                    tally.add(format, slice.events, slice.bytes.len());
                }
            });
            if more || self.dirty.len() >= STAGED {
                self.flush();
                tokio::task::yield_now().await;
            }
            if !more {
                break;
            }
        }
        tally.report(&self.metrics);
    }

    fn flush(&mut self) {
        for connection in self.dirty.drain(..) {
            connection.flush();
        }
    }

    fn observe(&self, groups: &[(ChannelName, Vec<Event>)], taken: Instant) {
        let metrics = &self.metrics.metrics;
        let lag = taken.elapsed().as_secs_f64();
        metrics.relay_lag.set(lag);
        let now_us = self.clock.unix_us();
        for event in groups.iter().flat_map(|(_, events)| events) {
            metrics.delivery.received.observe(lag);
            if let Some(published_us) = event.published_us {
                let us = now_us.saturating_sub(published_us); // clocks of two nodes may differ
                metrics.delivery.published.observe(us as f64 / 1e6);
            }
        }
    }
}

impl Tally {
    fn add(&mut self, format: Format, events: u32, bytes: usize) {
        let row = &mut self.0[format as usize];
        row.0 += u64::from(events);
        row.1 += bytes as u64;
    }

    fn report(&self, metrics: &LaneMetrics) {
        for ((events, bytes), door) in self.0.iter().zip(&metrics.doors) {
            if *events > 0 {
                door.deliveries.inc_by(*events);
                door.bytes.inc_by(*bytes);
            }
        }
    }
}
