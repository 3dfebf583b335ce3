//! The bounded queue between a broker and one lane of the relay.
//!
//! News is pushed by whatever reads from the broker, which must never wait, and taken by one lane
//! in batches. When events do not fit they are dropped and counted, and one [`News::Gap`] stands
//! where they would have stood. It must not know where news comes from.

use std::collections::VecDeque;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use tidegate_core::{ChannelName, Event};
use tokio::sync::Notify;

use crate::{GapCause, News, Shard};

/// Room kept when a queue runs empty; what a flood took beyond it is given back.
const KEPT: usize = 4096;

/// How much may wait in an [`EventQueue`]. An event that would go beyond either limit is dropped,
/// counted, and its channel gets a [`News::Gap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Events at once.
    pub events: usize,
    /// Bytes of events at once, as [`Event::weight`] counts them.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// 65,536 events, 64 MiB.
    fn default() -> Self {
        Self { events: 64 << 10, bytes: 64 << 20 }
    }
}

/// The event did not fit and is lost; the queue has counted it and marked its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// News from a broker for one consumer, in the order it was pushed.
///
/// Events are bounded by [`QueueLimits`]. A gap stands behind at most one event of its channel or
/// is the channel's first entry, so there are never more gaps than events and subscribed channels
/// together; Up and Down of a shard alternate, so they are bounded by what stands between them.
#[derive(Debug)]
pub struct EventQueue {
    inner: Mutex<Inner>,
    ready: Notify,
    limits: QueueLimits,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<News>,
    /// Entries ever taken: the number of the first entry in `entries`.
    taken: u64,
    /// Channels whose newest entry is a gap, and its number: what is lost next is part of it.
    gaps: HashMap<ChannelName, u64>,
    events: usize,
    bytes: usize,
    dropped: u64,
}

impl EventQueue {
    /// An empty queue.
    pub fn new(limits: QueueLimits) -> Self {
        Self { inner: Mutex::default(), ready: Notify::new(), limits }
    }

    /// Adds news; never waits. Everything but events always fits.
    ///
    /// # Errors
    /// [`QueueFull`] when an event did not fit.
    pub fn push(&self, news: News) -> Result<(), QueueFull> {
        let mut inner = self.inner.lock();
        let was_empty = inner.entries.is_empty();
        let pushed = match news {
            News::Event(channel, event) => inner.push_event(channel, event, &self.limits),
            News::Gap(channel, cause) => {
                inner.push_gap(channel, cause);
                Ok(())
            }
            News::Up(shard) => {
                inner.entries.push_back(News::Up(shard));
                Ok(())
            }
            News::Down(shard) => {
                inner.push_down(shard);
                Ok(())
            }
        };
        let wake = was_empty && !inner.entries.is_empty();
        drop(inner);
        if wake {
            self.ready.notify_one();
        }
        pushed
    }

    /// Waits until there is news, then appends up to `most` that are ready to `into`. For one
    /// consumer: a second one may wait for ever. Dropping the future loses nothing.
    pub async fn take(&self, most: usize, into: &mut Vec<News>) {
        while !self.take_ready(most, into) {
            self.ready.notified().await;
        }
    }

    /// Whether nothing waits: who takes from it would wait.
    pub fn is_empty(&self) -> bool {
        self.inner.lock().entries.is_empty()
    }

    /// Events dropped since the queue was made.
    pub fn dropped(&self) -> u64 {
        self.inner.lock().dropped
    }

    fn take_ready(&self, most: usize, into: &mut Vec<News>) -> bool {
        let mut inner = self.inner.lock();
        let count = inner.entries.len().min(most);
        let first = into.len();
        into.extend(inner.entries.drain(..count));
        for news in &into[first..] {
            inner.taken += 1;
            match news {
                News::Event(channel, event) => {
                    inner.events -= 1;
                    inner.bytes -= weight(channel, event);
                }
                News::Gap(channel, _) => {
                    let number = inner.taken - 1;
                    if inner.gaps.get(channel) == Some(&number) {
                        inner.gaps.remove(channel);
                    }
                }
                News::Up(_) | News::Down(_) => {}
            }
        }
        if inner.entries.is_empty() && inner.entries.capacity() > KEPT {
            inner.entries.shrink_to(KEPT);
        }
        count > 0
    }
}

impl Inner {
    fn push_event(
        &mut self,
        channel: ChannelName,
        event: Event,
        limits: &QueueLimits,
    ) -> Result<(), QueueFull> {
        let weight = weight(&channel, &event);
        if self.events >= limits.events || self.bytes + weight > limits.bytes {
            self.dropped += 1;
            self.push_gap(channel, GapCause::Overflowed);
            return Err(QueueFull);
        }
        if !self.gaps.is_empty() {
            self.gaps.remove(&channel); // what is lost after this event is another gap
        }
        self.events += 1;
        self.bytes += weight;
        self.entries.push_back(News::Event(channel, event));
        Ok(())
    }

    fn push_gap(&mut self, channel: ChannelName, cause: GapCause) {
        let number = self.taken + self.entries.len() as u64;
        match self.gaps.entry(channel) {
            Entry::Vacant(vacant) => {
                self.entries.push_back(News::Gap(vacant.key().clone(), cause));
                vacant.insert(number);
            }
            Entry::Occupied(known) => {
                let at = (known.get() - self.taken) as usize; // what was taken is not known any more
                if let Some(News::Gap(_, told)) = self.entries.get_mut(at) {
                    *told = cause.max(*told);
                }
            }
        }
    }

    /// A shard that fell again before anybody saw it come back has been down all along.
    fn push_down(&mut self, shard: Shard) {
        if self.entries.back() == Some(&News::Up(shard)) {
            self.entries.pop_back();
        }
        if self.entries.back() != Some(&News::Down(shard)) {
            self.entries.push_back(News::Down(shard));
        }
    }
}

fn weight(channel: &ChannelName, event: &Event) -> usize {
    channel.as_str().len() + event.weight()
}

#[cfg(test)]
mod tests;
