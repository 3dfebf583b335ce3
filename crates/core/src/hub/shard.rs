//! One shard of the hub: some channels and their seats, behind one lock.
//!
//! The name table stores an index only; channels and seats live in slabs, so that leaving is O(1)
//! and a subscription costs one slot (a handle and a number).

use std::ops::Range;

use hashbrown::HashTable;
use slab::Slab;

use crate::ChannelName;

/// A seat that was joined but not attached hears no batch.
const DEAF: u64 = u64::MAX;
/// Nor does one that is about to be given back, and it is not attached again.
const MUTED: u64 = u64::MAX - 1;

pub(super) struct Shard<S> {
    names: HashTable<u32>,
    channels: Slab<Channel<S>>,
    /// Batches opened in this shard. Counted here and not in the channel, so that a batch which is
    /// still on its way never reaches a channel that took over its index.
    batches: u64,
}

struct Channel<S> {
    name: ChannelName,
    /// Whether the broker confirmed it.
    live: bool,
    seats: Seats<S>,
}

/// Most channels of a node have one subscriber: it needs no slab.
enum Seats<S> {
    Nobody,
    One(Slot<S>),
    // Boxed: it would make room for itself in every channel that has one.
    Many(Box<Slab<Slot<S>>>),
}

struct Slot<S> {
    subscriber: S,
    /// The number of the last batch before it was attached.
    since: u64,
}

impl<S> Default for Shard<S> {
    fn default() -> Self {
        Self { names: HashTable::new(), channels: Slab::new(), batches: 0 }
    }
}

impl<S: Clone> Shard<S> {
    pub(super) fn find(&self, hash: u64, name: &ChannelName) -> Option<u32> {
        self.names.find(hash, |&index| self.channels[index as usize].name == *name).copied()
    }

    pub(super) fn insert(
        &mut self,
        hash: u64,
        name: ChannelName,
        rehash: impl Fn(&ChannelName) -> u64,
    ) -> u32 {
        let index = self.channels.insert(Channel { name, live: false, seats: Seats::Nobody }) as u32;
        let channels = &self.channels;
        self.names.insert_unique(hash, index, |&other| rehash(&channels[other as usize].name));
        index
    }

    pub(super) fn join(&mut self, index: u32, subscriber: S) -> (u32, bool) {
        let channel = &mut self.channels[index as usize];
        let slot = channel.seats.insert(Slot { subscriber, since: DEAF });
        (slot, channel.live)
    }

    pub(super) fn is_muted(&mut self, index: u32, slot: u32) -> bool {
        self.channels[index as usize].seats.get_mut(slot).since == MUTED
    }

    pub(super) fn attach(&mut self, index: u32, slot: u32) {
        let since = self.batches;
        self.channels[index as usize].seats.get_mut(slot).since = since;
    }

    pub(super) fn mute(&mut self, index: u32, slot: u32) {
        self.channels[index as usize].seats.get_mut(slot).since = MUTED;
    }

    pub(super) fn name(&self, index: u32) -> ChannelName {
        self.channels[index as usize].name.clone()
    }

    pub(super) fn leave(&mut self, index: u32, slot: u32) -> Option<ChannelName> {
        let channel = &mut self.channels[index as usize];
        channel.seats.remove(slot);
        channel.seats.is_empty().then(|| channel.name.clone())
    }

    pub(super) fn confirm(&mut self, hash: u64, name: &ChannelName) -> bool {
        let Some(index) = self.find(hash, name) else {
            return false;
        };
        self.channels[index as usize].live = true;
        true
    }

    pub(super) fn retire(&mut self, hash: u64, name: &ChannelName) -> bool {
        let Some(index) = self.find(hash, name) else {
            return false;
        };
        if !self.channels[index as usize].seats.is_empty() {
            return false;
        }
        if let Ok(entry) = self.names.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
        self.channels.remove(index as usize);
        true
    }

    /// The batch's number; the slot behind its last, beyond which only they sit who come later; seats taken.
    pub(super) fn open_batch(&mut self, index: u32) -> Option<(u64, u32, u32)> {
        let (end, seats) = match &self.channels[index as usize].seats {
            Seats::Nobody => return None,
            Seats::One(_) => (1, 1),
            Seats::Many(slots) => (slots.capacity() as u32, slots.len() as u32),
        };
        self.batches += 1;
        Some((self.batches, end, seats))
    }

    /// Returns the slot to go on with, none at the end.
    pub(super) fn deliver(
        &self,
        index: u32,
        batch: u64,
        wanted: Range<u32>,
        most: usize,
        mut each: impl FnMut(u32, u64, &S),
    ) -> Option<u32> {
        let channel = self.channels.get(index as usize)?;
        let mut visit = |number: u32, slot: &Slot<S>| {
            if slot.since < batch {
                each(number, slot.since, &slot.subscriber);
            }
        };
        match &channel.seats {
            Seats::Nobody => None,
            Seats::One(slot) => {
                if wanted.contains(&0) {
                    visit(0, slot);
                }
                None
            }
            Seats::Many(slots) => {
                let end = wanted.end.min(slots.capacity() as u32);
                let mut visited = 0;
                let mut at = wanted.start;
                // By number, not by iterator: a resumed walk must not start over.
                while at < end {
                    if visited == most {
                        return Some(at);
                    }
                    if let Some(slot) = slots.get(at as usize) {
                        visit(at, slot);
                        visited += 1;
                    }
                    at += 1;
                }
                None
            }
        }
    }
}

impl<S> Seats<S> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Nobody => true,
            Self::One(_) => false,
            Self::Many(slots) => slots.is_empty(),
        }
    }

    fn insert(&mut self, slot: Slot<S>) -> u32 {
        match std::mem::replace(self, Self::Nobody) {
            Self::Nobody => {
                *self = Self::One(slot);
                0
            }
            Self::One(first) => {
                let mut slots = Box::new(Slab::with_capacity(2));
                slots.insert(first);
                let number = slots.insert(slot);
                *self = Self::Many(slots);
                number as u32
            }
            Self::Many(mut slots) => {
                let number = slots.insert(slot);
                *self = Self::Many(slots);
                number as u32
            }
        }
    }

    fn get_mut(&mut self, number: u32) -> &mut Slot<S> {
        match self {
            Self::Many(slots) => &mut slots[number as usize],
            Self::One(slot) if number == 0 => slot,
            _ => unreachable!("a seat is given back once, by its owner"),
        }
    }

    fn remove(&mut self, number: u32) {
        match self {
            Self::Many(slots) => {
                slots.remove(number as usize);
                if slots.is_empty() {
                    *self = Self::Nobody;
                }
            }
            Self::One(_) if number == 0 => *self = Self::Nobody,
            _ => unreachable!("a seat is given back once, by its owner"),
        }
    }
}
