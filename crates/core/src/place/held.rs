//! Messages that wait behind a read.
//!
//! A read explains every numbered message that came before it was asked for: the server that sent the
//! message knows its event. So they go then, and only what comes later is looked at afterwards.

use std::collections::VecDeque;

use super::Bounds;
use crate::{Event, Position};

#[derive(Debug, Default)]
pub(super) struct Held {
    messages: VecDeque<Event>,
    bytes: usize,
    /// The furthest position that the read was asked for. Above the answer's: another server's.
    furthest: Option<Position>,
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
        self.keep(|message| message.position.is_some());
        self.dropped += (before - self.messages.len()) as u64;
        let fits = self.fits(bounds);
        if !fits {
            self.keep(|_| false);
        }
        fits
    }

    fn fits(&self, bounds: &Bounds) -> bool {
        self.messages.len() <= bounds.held_messages && self.bytes <= bounds.held_bytes
    }

    /// A read is asked for now: it explains what is here.
    pub(super) fn ask(&mut self) {
        for position in self.messages.iter().filter_map(|message| message.position) {
            let key = |position: Position| (position.epoch, position.offset);
            if self.furthest.is_none_or(|furthest| key(position) > key(furthest)) {
                self.furthest = Some(position);
            }
        }
        self.keep(|message| message.position.is_none());
    }

    /// Whether a message told of more than the reads found, which ended at `top`.
    pub(super) fn is_unexplained(&mut self, top: Position) -> bool {
        let furthest = self.furthest.take();
        furthest.is_some_and(|furthest| (furthest.epoch, furthest.offset) > (top.epoch, top.offset))
    }

    /// What was heard was another server's, and the topology has decided between the two.
    pub(super) fn forgive(&mut self) {
        self.furthest = None;
    }

    /// The first.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }

    /// Puts back what [`Held::pop`] gave.
    pub(super) fn put_back(&mut self, message: Event) {
        self.bytes += message.weight();
        self.messages.push_front(message);
    }

    fn keep(&mut self, which: impl Fn(&Event) -> bool) {
        self.messages.retain(which);
        self.bytes = self.messages.iter().map(Event::weight).sum();
    }
}
