//! Who subscribes here: channel → local subscribers, sharded by channel.
//!
//! Connections join, are attached and leave; the relay opens a batch and hands it to everybody who
//! was attached before. The hub owns no socket: a subscriber is a small handle that takes, queues
//! or refuses at once, on the caller's thread. It must not know what a subscriber is or what an
//! event looks like.
//!
//! Lock order: routes (gateway) → hub shard → outbox. No caller holds two shards.

mod shard;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::ChannelName;
use shard::Shard;

/// A channel that has seats on this node; valid as long as one of its seats is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelKey {
    shard: u16,
    index: u32,
}

/// One subscriber's place in one channel, from joining to leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seat {
    channel: ChannelKey,
    slot: u32,
}

impl Seat {
    /// The channel it belongs to.
    pub fn channel(self) -> ChannelKey {
        self.channel
    }
}

/// What joining found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The seat; it hears nothing until it is attached.
    pub seat: Seat,
    /// Whether the broker already confirmed the channel, so that the seat may be attached at once.
    pub live: bool,
}

/// Events of one channel on their way to everybody who was attached when it was opened.
#[derive(Debug)]
pub struct Batch {
    channel: ChannelKey,
    number: u64,
    next_slot: u32,
    end_slot: u32,
    seats: u32,
}

impl Batch {
    /// The channel it is for.
    pub fn channel(&self) -> ChannelKey {
        self.channel
    }

    /// How many sat in the channel when it was opened.
    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// Its number: greater than that of any batch opened before it for this channel.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The slot behind its last.
    pub fn end(&self) -> u32 {
        self.end_slot
    }

    /// The part of it in these slots, of which the last may be beyond its end: who sits there came later.
    pub fn part(&self, slots: Range<u32>) -> Self {
        Self { next_slot: slots.start, end_slot: slots.end.min(self.end_slot), ..*self }
    }

    /// Cuts off a segment: the next `slots`, taken or free, for [`Hub::deliver`] on any thread. None when all are
    /// cut off or delivered.
    pub fn cut(&mut self, slots: u32) -> Option<Self> {
        let first = self.next_slot;
        self.next_slot = first.saturating_add(slots).min(self.end_slot);
        (self.next_slot > first).then_some(Self { next_slot: first, end_slot: self.next_slot, ..*self })
    }
}

/// Channel → local subscribers. `S` is the subscriber's handle.
pub struct Hub<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    hasher: RandomState, // SipHash: channel names are chosen by clients
    subscriptions: AtomicUsize,
    channels: AtomicUsize,
}

impl<S: Clone> Hub<S> {
    /// A hub of at least `shards` shards (a power of two, at most 65,536).
    pub fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::default())).collect(),
            hasher: RandomState::new(),
            subscriptions: AtomicUsize::new(0),
            channels: AtomicUsize::new(0),
        }
    }

    /// Takes a seat in `name`, which comes into being with its first. The seat is deaf until
    /// [`Hub::attach`].
    pub fn join(&self, name: &ChannelName, subscriber: S) -> Joined {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard_of(hash);
        let mut held = self.shards[usize::from(shard)].lock();
        let index = match held.find(hash, name) {
            Some(index) => index,
            None => {
                self.channels.fetch_add(1, Ordering::Relaxed);
                held.insert(hash, name.clone(), |name| self.hasher.hash_one(name))
            }
        };
        let (slot, live) = held.join(index, subscriber);
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        Joined { seat: Seat { channel: ChannelKey { shard, index }, slot }, live }
    }

    /// From now on the seat hears. `before` runs first, under the shard's lock: what it puts into
    /// an outbox comes before the channel's first event. Nothing happens to one that was muted.
    pub fn attach(&self, seat: Seat, before: impl FnOnce()) {
        let mut shard = self.lock(seat.channel);
        if !shard.is_muted(seat.channel.index, seat.slot) {
            before();
            shard.attach(seat.channel.index, seat.slot);
        }
    }

    /// Does `this` for a seat that is not attached yet, unless it was muted.
    pub fn whisper(&self, seat: Seat, this: impl FnOnce()) {
        let mut shard = self.lock(seat.channel);
        if !shard.is_muted(seat.channel.index, seat.slot) {
            this();
        }
    }

    /// From now on the seat hears nothing, until it is given back: no batch, not even an open one, whoever still
    /// wants to attach it.
    pub fn mute(&self, seat: Seat) {
        self.lock(seat.channel).mute(seat.channel.index, seat.slot);
    }

    /// The name of a seat's channel.
    pub fn name(&self, channel: ChannelKey) -> ChannelName {
        self.lock(channel).name(channel.index)
    }

    /// Gives the seat back. Returns the channel's name if this was its last seat: the channel then
    /// lingers until somebody joins or [`Hub::retire`] removes it.
    pub fn leave(&self, seat: Seat) -> Option<ChannelName> {
        let mut shard = self.lock(seat.channel);
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        shard.leave(seat.channel.index, seat.slot)
    }

    /// The broker confirmed the channel: whoever joins from now on may be attached at once.
    /// False if nobody knows the channel any more.
    pub fn confirm(&self, name: &ChannelName) -> bool {
        let hash = self.hasher.hash_one(name);
        let mut shard = self.shards[usize::from(self.shard_of(hash))].lock();
        shard.confirm(hash, name)
    }

    /// Removes the channel if it has no seats; false if somebody sits there.
    pub fn retire(&self, name: &ChannelName) -> bool {
        let hash = self.hasher.hash_one(name);
        let retired = self.shards[usize::from(self.shard_of(hash))].lock().retire(hash, name);
        if retired {
            self.channels.fetch_sub(1, Ordering::Relaxed);
        }
        retired
    }

    /// Opens a batch for `name`; none if nobody subscribes to it here. Whoever is attached later
    /// does not hear it, even if [`Hub::deliver`] has not come that far yet.
    pub fn open_batch(&self, name: &ChannelName) -> Option<Batch> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard_of(hash);
        let mut held = self.shards[usize::from(shard)].lock();
        let index = held.find(hash, name)?;
        let (number, end_slot, seats) = held.open_batch(index)?;
        Some(Batch { channel: ChannelKey { shard, index }, number, next_slot: 0, end_slot, seats })
    }

    /// Calls `each` for up to `most` subscribers of the batch, and goes on from there in the next
    /// call. True while some are left: the caller can let others run in between.
    pub fn deliver(&self, batch: &mut Batch, most: usize, mut each: impl FnMut(Seat, &S)) -> bool {
        self.deliver_since(batch, most, |seat, _, subscriber| each(seat, subscriber))
    }

    /// Like [`Hub::deliver`]; tells also the number of the last batch before the seat was attached.
    pub fn deliver_since(&self, batch: &mut Batch, most: usize, mut each: impl FnMut(Seat, u64, &S)) -> bool {
        let shard = self.lock(batch.channel);
        let channel = batch.channel;
        let each = |slot, since, subscriber: &S| each(Seat { channel, slot }, since, subscriber);
        let slots = batch.next_slot..batch.end_slot;
        let next = shard.deliver(channel.index, batch.number, slots, most, each);
        batch.next_slot = next.unwrap_or(batch.end_slot);
        next.is_some()
    }

    /// Seats taken, in all channels.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Channels known, lingering ones included.
    pub fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    fn shard_of(&self, hash: u64) -> u16 {
        // The table inside the shard uses the low and the topmost bits; take others.
        (hash >> 32) as u16 & (self.shards.len() - 1) as u16
    }

    fn lock(&self, channel: ChannelKey) -> parking_lot::MutexGuard<'_, Shard<S>> {
        self.shards[usize::from(channel.shard)].lock()
    }
}

#[cfg(test)]
mod tests;
