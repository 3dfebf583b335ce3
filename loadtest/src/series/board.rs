//! Where receivers leave what they counted, in parts from cut to cut. It knows no connections.
//!
//! The time of each cut is told before: whoever looks later than that is beyond it, in every process alike.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::crew::message::{News, Outbox};
use crate::latency::{Latency, Percentiles};

/// Parts whose histograms are kept (190 kB each). A receiver that brings something for an older one, because it got
/// no CPU for so many seconds, adds it to the oldest that is left.
pub(super) const KEPT: usize = 4;

/// What one receiver counted since the last cut.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lately {
    /// Events to connections.
    pub delivered: u64,
    /// Events that a later one has overtaken, less those that came after all.
    pub missing: i64,
    /// Connections that the server ended.
    pub ended: u64,
    /// How late deliveries were, to all but slow readers.
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
    cuts: Mutex<Cuts>,
    parts: Mutex<Parts>,
    /// Where the board is that counts, if this is not the main process.
    away: Option<Arc<Outbox>>,
}

/// Which part is under way, and when the next begins.
#[derive(Debug)]
struct Cuts {
    cut: usize,
    next: u64,
    /// There will be no more cuts: what still comes belongs to the last part.
    over: bool,
}

impl Default for Cuts {
    fn default() -> Self {
        Self { cut: 0, next: u64::MAX, over: false }
    }
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
    /// One whose parts go to the main process, as they come.
    #[must_use]
    pub fn sent_to(outbox: Arc<Outbox>) -> Self {
        Self { away: Some(outbox), ..Self::default() }
    }

    /// The part that is under way at the time `now`. Whoever sees a new one leaves what it has for the one before.
    #[must_use]
    pub fn cut(&self, now: u64) -> usize {
        let cuts = self.cuts();
        cuts.cut + usize::from(now >= cuts.next)
    }

    /// Adds to the part `cut`.
    pub fn add(&self, cut: usize, lately: &Lately) {
        if let Some(outbox) = &self.away {
            outbox.send(&News::Part(cut, Box::new(lately.clone())));
            return;
        }
        let cuts = self.cuts();
        // A receiver may be beyond a cut that nobody made any more.
        let cut = if cuts.over { cut.min(cuts.cut) } else { cut };
        drop(cuts);
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
        let cut = self.cuts().cut;
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

    /// The part `cut` is under way, and the next begins at the time `next`.
    pub fn begin(&self, cut: usize, next: u64) {
        let mut cuts = self.cuts();
        (cuts.cut, cuts.next) = (cut, next);
    }

    /// There are no more cuts. Returns whether one was due that nobody has made: then what was left since is a part.
    pub(super) fn end(&self, now: impl FnOnce() -> u64) -> bool {
        let mut cuts = self.cuts();
        let due = now() >= cuts.next;
        *cuts = Cuts { cut: cuts.cut + usize::from(due), next: u64::MAX, over: true };
        due
    }

    /// All parts, once nobody adds any more.
    pub(super) fn take(&self) -> Vec<Part> {
        let mut parts = self.parts();
        while !parts.open.is_empty() {
            parts.close_oldest();
        }
        std::mem::take(&mut parts.done)
    }

    fn cuts(&self) -> MutexGuard<'_, Cuts> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
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
