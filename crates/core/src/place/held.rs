//! Messages that wait behind a read.

use std::collections::VecDeque;

use super::Bounds;
use crate::Event;

#[derive(Debug, Default)]
pub(super) struct Held {
    messages: VecDeque<Event>,
    bytes: usize,
    /// So many of the first were here when the read in flight was asked for: it explains them.
    asked: usize,
    /// Unnumbered ones that found no room.
    pub(super) dropped: u64,
}

impl Held {
    /// One more. False: there was no room, all are gone, and the read is to be done again.
    pub(super) fn push(&mut self, message: Event, bounds: &Bounds) -> bool {
        self.bytes += message.weight();
        self.messages.push_back(message);
        if self.fits(bounds) {
            return true;
        }
        // Nobody can bring these back, but nobody was promised them either.
        let before = self.messages.len();
        self.messages.retain(|message| message.position.is_some());
        self.dropped += (before - self.messages.len()) as u64;
        self.bytes = self.messages.iter().map(Event::weight).sum();
        // Some of those counted may be among the dropped; a smaller count costs a read, no event.
        self.asked = self.asked.saturating_sub(before - self.messages.len());
        let fits = self.fits(bounds);
        if !fits {
            *self = Self { dropped: self.dropped, ..Self::default() };
        }
        fits
    }

    fn fits(&self, bounds: &Bounds) -> bool {
        self.messages.len() <= bounds.held_messages && self.bytes <= bounds.held_bytes
    }

    /// A read is asked for now: what is here came before it.
    pub(super) fn mark(&mut self) {
        self.asked = self.messages.len();
    }

    /// The first, and whether the last read was asked for after it came.
    pub(super) fn pop(&mut self) -> Option<(Event, bool)> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        let explained = self.asked > 0;
        self.asked = self.asked.saturating_sub(1);
        Some((message, explained))
    }

    /// Puts back what [`Held::pop`] gave.
    pub(super) fn put_back(&mut self, message: Event) {
        self.bytes += message.weight();
        self.messages.push_front(message);
    }
}
