//! Where receivers leave what they counted, in parts from cut to cut. It knows no time and no connections.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::latency::{Latency, Percentiles};

/// Parts whose histograms are kept (190 kB each). A receiver that brings something for an older one, because it got
/// no CPU for so many seconds, adds it to the oldest that is left.
pub(super) const KEPT: usize = 4;

/// What one receiver counted since the last cut.
#[derive(Clone, Debug, Default)]
pub struct Lately {
    /// Events to connections.
    pub delivered: u64,
    /// Events that a later one has overtaken, less those that came after all.
    pub missing: i64,
    /// Connections that the server ended.
    pub ended: u64,
    /// How late deliveries were.
    pub latency: Latency,
}

impl Lately {
    /// Begins anew, and keeps the room it has.
    pub fn clear(&mut self) {
        (self.delivered, self.missing, self.ended) = (0, 0, 0);
        self.latency.clear();
    }

    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.ended += other.ended;
        self.latency.merge(&other.latency);
    }
}

/// Where receivers leave what they counted, in parts from cut to cut.
#[derive(Debug, Default)]
pub struct Board {
    cut: AtomicUsize,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those that nobody adds to any more, latency told.
    done: Vec<Part>,
    /// The newest, [`KEPT`] at most.
    pub(super) open: VecDeque<Lately>,
}

/// What all receivers left for one part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) delivered: u64,
    pub(super) missing: i64,
    pub(super) ended: u64,
    pub(super) latency: Option<Percentiles>,
}

impl Board {
    /// The part that is under way. Whoever sees a new one leaves what it has for the one before.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut.load(Relaxed)
    }

    /// Adds to the part `cut`.
    pub fn add(&self, cut: usize, lately: &Lately) {
        let mut parts = self.parts();
        let place = cut.saturating_sub(parts.done.len());
        while parts.open.len() <= place {
            parts.open.push_back(Lately::default());
        }
        parts.open[place].add(lately);
        while parts.open.len() > KEPT {
            parts.close_oldest();
        }
    }

    /// How late deliveries were in the last part that is over and somebody left something for: a live figure.
    #[must_use]
    pub fn latest(&self) -> Option<Percentiles> {
        let cut = self.cut();
        let parts = self.parts();
        let over = cut.saturating_sub(parts.done.len());
        parts.open.iter().take(over).next_back()?.latency.told()
    }

    /// Events overtaken by a later one that have not come after all, up to the last cut: a live figure.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let parts = self.parts();
        let done: i64 = parts.done.iter().map(|part| part.missing).sum();
        let open: i64 = parts.open.iter().map(|part| part.missing).sum();
        u64::try_from(done + open).unwrap_or(0)
    }

    /// A cut: what is left from now on belongs to the next part.
    pub(super) fn begin_next(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    /// All parts, once nobody adds any more.
    pub(super) fn take(&self) -> Vec<Part> {
        let mut parts = self.parts();
        while !parts.open.is_empty() {
            parts.close_oldest();
        }
        std::mem::take(&mut parts.done)
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn close_oldest(&mut self) {
        let Some(Lately { delivered, missing, ended, latency }) = self.open.pop_front() else { return };
        self.done.push(Part { delivered, missing, ended, latency: latency.told() });
    }
}
