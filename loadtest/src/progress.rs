//! What the threads of a run tell each other while it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::series::Board;

/// Counters that all threads see. They order nothing: each is read for itself.
#[derive(Debug, Default)]
pub struct Progress {
    /// Where receivers leave what they heard, second by second.
    pub board: Board,
    open: AtomicU64,
    expected: AtomicU64,
    delivered: AtomicU64,
    published: AtomicU64,
    measure_from: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Connections that are in, subscriptions confirmed.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// One more is in.
    pub fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// Events published.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// Deliveries still to come of what was published; faults aside.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.expected.load(Relaxed).saturating_sub(self.delivered())
    }

    /// An event with `subscribers` is about to be published.
    pub fn publish(&self, subscribers: u32) {
        self.expected.fetch_add(u64::from(subscribers), Relaxed);
        self.published.fetch_add(1, Relaxed);
    }

    /// Deliveries so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// `count` more have arrived.
    pub fn deliver(&self, count: u64) {
        self.delivered.fetch_add(count, Relaxed);
    }

    /// Events due before this are not part of the latencies.
    #[must_use]
    pub fn measured_from(&self) -> u64 {
        self.measure_from.load(Relaxed)
    }

    /// Lets the warm-up end: latencies count for what is due from `time` on.
    pub fn measure_from(&self, time: u64) {
        self.measure_from.store(time, Relaxed);
    }

    /// Whether the receivers should end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Ends the receivers.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }
}
