//! Publishes with a key: they wait for a connection, and are sent until they are answered.
//!
//! The key makes that safe: the server knows a second attempt as such, for as long as it remembers the key.
//! Within that window an attempt that got no answer is made again; behind it, whoever waits is told that it
//! may have happened. Held is at most what [`Room`] allows: above, a publish is refused at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::ChannelName;

use crate::requests::ANSWER;

/// What one parcel counts beside its bytes.
const OVERHEAD: usize = 128;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
    /// How long the server remembers a key.
    pub(crate) window: Duration,
}

/// One publish that has no answer yet.
#[derive(Debug)]
pub(super) struct Parcel<R> {
    pub(super) channel: ChannelName,
    pub(super) data: Bytes,
    pub(super) key: Arc<str>,
    pub(super) reply: R,
    /// When it was first sent.
    pub(super) first: Option<Instant>,
    /// Refusals so far.
    pub(super) refused: u32,
}

#[derive(Debug)]
pub(super) struct Parcels<R> {
    room: Room,
    bytes: usize,
    last: u64,
    /// By number, so in the order in which they were given.
    held: BTreeMap<u64, Parcel<R>>,
    /// To be sent, oldest first.
    due: VecDeque<u64>,
    /// To be sent then.
    later: Vec<(Instant, u64)>,
}

impl<R> Parcel<R> {
    fn weight(&self) -> usize {
        self.channel.as_str().len() + self.data.len() + self.key.len() + OVERHEAD
    }
}

impl<R> Parcels<R> {
    pub(super) fn new(room: Room) -> Self {
        Self { room, bytes: 0, last: 0, held: BTreeMap::new(), due: VecDeque::new(), later: Vec::new() }
    }

    /// Takes one more; gives it back with what is full.
    pub(super) fn push(&mut self, parcel: Parcel<R>) -> Result<(), (Parcel<R>, Room)> {
        let weight = parcel.weight();
        if self.held.len() >= self.room.count || self.bytes + weight > self.room.bytes {
            return Err((parcel, self.room));
        }
        self.bytes += weight;
        self.last += 1;
        self.held.insert(self.last, parcel);
        self.due.push_back(self.last);
        Ok(())
    }

    /// The next to be sent.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.due.pop_front()
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Parcel<R>> {
        self.held.get_mut(&number)
    }

    /// It is answered, or given up.
    pub(super) fn remove(&mut self, number: u64) -> Option<Parcel<R>> {
        let parcel = self.held.remove(&number)?;
        self.bytes -= parcel.weight();
        Some(parcel)
    }

    /// Sends it again, after a wait if there is one. Gives it back once the server may have forgotten its key.
    pub(super) fn again(&mut self, number: u64, now: Instant, wait: Duration) -> Option<Parcel<R>> {
        let parcel = self.held.get_mut(&number)?;
        if parcel.first.is_some_and(|first| now + wait >= self.room.ends(first)) {
            return self.remove(number);
        }
        if wait.is_zero() {
            self.due.push_back(number);
        } else {
            self.later.push((now + wait, number));
        }
        None
    }

    /// A new connection: all of them are to be sent, in their order.
    pub(super) fn all_due(&mut self) {
        self.due = self.held.keys().copied().collect();
        self.later.clear();
    }

    /// The connection is gone: nothing is to be sent until there is one.
    pub(super) fn rest(&mut self) {
        self.due.clear();
        self.later.clear();
    }

    /// When [`Parcels::tick`] is wanted.
    pub(super) fn when(&self) -> Option<Instant> {
        let later = self.later.iter().map(|(at, _)| *at).min();
        // Who was given first was nearly always sent first.
        let oldest = self.held.values().next().and_then(|parcel| parcel.first);
        later.into_iter().chain(oldest.map(|first| self.room.ends(first))).min()
    }

    /// Time has come: what waited is due. Gives back those whose key the server may have forgotten.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Parcel<R>> {
        let (ready, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        self.due.extend(Vec::into_iter(ready).map(|(_, number)| number));
        let old = |parcel: &Parcel<R>| parcel.first.is_some_and(|first| now >= self.room.ends(first));
        let old: Vec<u64> = self.held.iter().filter(|(_, p)| old(p)).map(|(number, _)| *number).collect();
        old.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    /// All of them; none is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Parcel<R>> + use<R> {
        self.rest();
        self.bytes = 0;
        std::mem::take(&mut self.held).into_values()
    }
}

impl Room {
    /// Until when one that was first sent then may be sent again: it must arrive while the key is remembered.
    fn ends(&self, first: Instant) -> Instant {
        first + self.window.saturating_sub(ANSWER * 2)
    }
}
