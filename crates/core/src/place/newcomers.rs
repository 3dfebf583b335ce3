//! Subscribers on their way to the place: who waits for what.

use super::{Effect, Effects, ReadId, Refused, Since};

/// All who are not attached yet. Bounded by the subscriptions of the node's connections.
#[derive(Debug)]
pub(super) struct Newcomers<S>(pub(super) Option<Box<Lists<S>>>);

#[derive(Debug)]
pub(super) struct Lists<S> {
    /// For the place to be even, or (those behind) for the topology to be clear.
    pub(super) waiting: Vec<Newcomer<S>>,
    /// For a read.
    pub(super) reads: Vec<Read<S>>,
    /// For room.
    pub(super) pausing: Vec<Newcomer<S>>,
}

/// A read in flight, or to be done again.
#[derive(Debug)]
pub(super) struct Read<S> {
    pub(super) since: Since,
    pub(super) state: Asked,
    pub(super) count: usize,
    /// The topology has named the server as master.
    pub(super) trusted: bool,
    pub(super) failed: u32,
    pub(super) guests: Vec<Newcomer<S>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    InFlight(ReadId),
    Again { at_ms: u64 },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer<S> {
    pub(super) seat: S,
    pub(super) since: Since,
    /// Until when it is to be answered; none if it was, and now reads on.
    pub(super) until_ms: Option<u64>,
    /// The server was older than its position.
    pub(super) behind: bool,
    /// It is answered without events.
    pub(super) brief: bool,
    /// So many events are read for it at most: where events are large, few fill a page, and what is read beyond
    /// is read again.
    pub(super) count: usize,
}

impl<S> Default for Newcomers<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S> Default for Lists<S> {
    fn default() -> Self {
        Self { waiting: Vec::new(), reads: Vec::new(), pausing: Vec::new() }
    }
}

impl<S: Copy + PartialEq> Newcomers<S> {
    pub(super) fn lists(&mut self) -> &mut Lists<S> {
        self.0.get_or_insert_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|lists| lists.is_empty())
    }

    /// From where the first that waits for the place wants to hear.
    pub(super) fn first(&self) -> Option<Since> {
        self.0.as_ref()?.waiting.first().map(|newcomer| newcomer.since)
    }

    /// Most places have none at most times: they own no memory then.
    pub(super) fn tidy(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }

    pub(super) fn forget(&mut self, seat: S) {
        let Some(lists) = &mut self.0 else { return };
        let others = |newcomer: &Newcomer<S>| newcomer.seat != seat;
        lists.waiting.retain(others);
        lists.pausing.retain(others);
        for read in &mut lists.reads {
            read.guests.retain(others);
        }
        lists.reads.retain(|read| !read.guests.is_empty());
        self.tidy();
    }

    /// Commands may go to another server now: what was said of the former one holds no more.
    pub(super) fn distrust(&mut self) {
        let reads = self.0.iter_mut().flat_map(|lists| &mut lists.reads);
        reads.for_each(|read| read.trusted = false);
    }

    /// Refuses whoever was not answered yet.
    pub(super) fn refuse_all(&mut self, why: Refused, effects: &mut Effects<S>) {
        self.refuse(|newcomer| newcomer.until_ms.is_some(), |_| why, effects);
    }

    pub(super) fn refuse(
        &mut self,
        which: impl Fn(&Newcomer<S>) -> bool,
        why: impl Fn(&Newcomer<S>) -> Refused,
        effects: &mut Effects<S>,
    ) {
        let Some(lists) = &mut self.0 else { return };
        let mut refuse = |list: &mut Vec<Newcomer<S>>| {
            for newcomer in list.extract_if(.., |newcomer| which(newcomer)) {
                effects.push(Effect::Refused(newcomer.seat, why(&newcomer)));
            }
        };
        refuse(&mut lists.waiting);
        for read in &mut lists.reads {
            refuse(&mut read.guests);
        }
        lists.reads.retain(|read| !read.guests.is_empty());
        self.tidy();
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let lists = self.0.as_ref()?;
        let guests = lists.reads.iter().flat_map(|read| &read.guests);
        let patience = lists.waiting.iter().chain(guests).filter_map(|newcomer| newcomer.until_ms);
        let again = lists.reads.iter().filter_map(|read| match read.state {
            Asked::Again { at_ms } => Some(at_ms),
            Asked::InFlight(_) => None,
        });
        patience.chain(again).min()
    }
}

impl<S> Lists<S> {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reads.is_empty() && self.pausing.is_empty()
    }
}
