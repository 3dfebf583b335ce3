//! What the threads of a run tell each other while it goes on; those of several processes through a [`Link`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::crew::ledger::Count;
use crate::crew::link::Link;
use crate::crew::message::Order;
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
    absent: AtomicI64,
    failures: AtomicU64,
    measure_from: AtomicU64,
    begun: AtomicU64,
    /// Events of each channel that are made, sent or about to be.
    sent: Vec<AtomicU64>,
    /// Events of each channel, once there will be no more.
    total: OnceLock<Vec<u64>>,
    settling: AtomicBool,
    stop: AtomicBool,
    link: Link,
}

impl Progress {
    /// For a run with so many channels.
    #[must_use]
    pub fn new(channels: u32) -> Self {
        Self { sent: (0..channels).map(|_| AtomicU64::new(0)).collect(), ..Self::default() }
    }

    /// The same as one of several processes; what receivers leave lies on `board`.
    #[must_use]
    pub fn linked(self, link: Link, board: Board) -> Self {
        Self { link, board, ..self }
    }

    /// The other processes.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Connections that are in, subscriptions confirmed.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.link.sum(Count::Open).unwrap_or_else(|| self.open.load(Relaxed))
    }

    /// Whether anybody is in, in whichever process.
    #[must_use]
    pub fn anybody(&self) -> bool {
        self.link.all(Count::Open).unwrap_or_else(|| self.open.load(Relaxed)) > 0
    }

    /// More are in for the first time.
    pub fn opened(&self, count: u64) {
        self.open.fetch_add(count, Relaxed);
        self.link.count(Count::Open, || self.open.load(Relaxed));
    }

    /// Connections that dropped or left and are not back with all they missed.
    #[must_use]
    pub fn absent(&self) -> u64 {
        let absent = self.link.sum(Count::Absent).map_or_else(|| self.absent.load(Relaxed), u64::cast_signed);
        u64::try_from(absent).unwrap_or(0)
    }

    /// More are away (or, below zero, back).
    pub fn went(&self, count: i64) {
        self.absent.fetch_add(count, Relaxed);
        self.link.count(Count::Absent, || self.absent.load(Relaxed).cast_unsigned());
    }

    /// Attempts to connect that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.link.sum(Count::Failures).unwrap_or_else(|| self.failures.load(Relaxed))
    }

    /// More attempts failed.
    pub fn failed(&self, count: u64) {
        self.failures.fetch_add(count, Relaxed);
        self.link.count(Count::Failures, || self.failures.load(Relaxed));
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

    /// An event of `channel` with `subscribers` is about to be published.
    pub fn publish(&self, channel: u32, subscribers: u32) {
        if let Some(sent) = self.sent.get(channel as usize) {
            // One thread publishes into a channel.
            self.link.send(channel, sent.fetch_add(1, Relaxed) + 1);
        }
        self.expected.fetch_add(u64::from(subscribers), Relaxed);
        self.published.fetch_add(1, Relaxed);
    }

    /// Events of a channel that were published or are about to be: what is sent later has a higher number.
    #[must_use]
    pub fn sent(&self, channel: u32) -> u64 {
        let ours = || self.sent.get(channel as usize).map_or(0, |sent| sent.load(Relaxed));
        self.link.sent(channel).unwrap_or_else(ours)
    }

    /// Deliveries so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.link.sum(Count::Delivered).unwrap_or_else(|| self.delivered.load(Relaxed))
    }

    /// `count` more have arrived.
    pub fn deliver(&self, count: u64) {
        if count > 0 {
            self.delivered.fetch_add(count, Relaxed);
            self.link.count(Count::Delivered, || self.delivered.load(Relaxed));
        }
    }

    /// Events due before this are not part of the latencies.
    #[must_use]
    pub fn measured_from(&self) -> u64 {
        self.measure_from.load(Relaxed)
    }

    /// Lets the warm-up end: latencies count for what is due from `time` on.
    pub fn measure_from(&self, time: u64) {
        self.measure_from.store(time, Relaxed);
        self.link.order(&Order::MeasureFrom(time));
    }

    /// When the first event is due; 0 as long as nobody knows.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// The first event is due at `time`: storms and churn go by it.
    pub fn begin(&self, time: u64) {
        self.begun.store(time, Relaxed);
        self.link.order(&Order::Begin(time));
    }

    /// What is counted now belongs to the part `cut` of the series; the next begins at the time `next`.
    pub fn cut(&self, cut: usize, next: u64) {
        self.board.begin(cut, next);
        self.link.order(&Order::Cut(cut, next));
    }

    /// Whether nothing more is published: who is slow reads now, nobody leaves any more.
    #[must_use]
    pub fn settling(&self) -> bool {
        self.settling.load(Relaxed)
    }

    /// Nothing more is published.
    pub fn settle(&self) {
        self.settling.store(true, Relaxed);
        self.link.order(&Order::Settle);
    }

    /// Whether the receivers should end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Whether the receivers should end, or are about to be told: an order may wait until a worker reads.
    #[must_use]
    pub fn over(&self) -> bool {
        self.stopped() || self.total.get().is_some()
    }

    /// Ends the receivers.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.link.order(&Order::Stop);
    }

    /// Ends the receivers; they judge by how many events each channel had.
    pub fn finish(&self, published: &[u64]) {
        let _ = self.total.set(published.to_vec());
        self.link.order(&Order::Finish(published.to_vec()));
        self.stop();
    }

    /// How many events a channel had; 0 before [`Progress::finish`].
    #[must_use]
    pub fn total(&self, channel: u32) -> u64 {
        self.total.get().and_then(|total| total.get(channel as usize)).copied().unwrap_or(0)
    }
}
