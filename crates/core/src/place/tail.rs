//! The newest events of a channel: a resume among them costs no read.
//!
//! They stand without a hole and end at the place, each under the place's epoch. What leaves that
//! history leaves the tail.

use std::collections::VecDeque;

use super::Bounds;
use crate::{Epoch, Event};

#[derive(Debug, Default)]
pub(super) struct Tail {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Tail {
    /// One more. Above the bounds the oldest go.
    pub(super) fn push(&mut self, event: &Event, bounds: &Bounds) {
        if bounds.tail_events == 0 {
            return;
        }
        self.bytes += event.weight();
        self.events.push_back(event.clone());
        while self.events.len() > bounds.tail_events || self.bytes > bounds.tail_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.weight();
        }
    }

    /// The history goes on behind `offset`, under `epoch`.
    pub(super) fn cut(&mut self, epoch: Epoch, offset: u64) {
        while self.events.back().is_some_and(|event| number(event) > offset) {
            self.bytes -= self.events.pop_back().map_or(0, |event| event.weight());
        }
        self.name(epoch);
    }

    /// The events are numbered under `epoch` from now on: one event may have several names.
    pub(super) fn name(&mut self, epoch: Epoch) {
        for position in self.events.iter_mut().filter_map(|event| event.position.as_mut()) {
            position.epoch = epoch;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default(); // gives the memory back, too
    }

    /// The events behind `offset`; none if some of them are not here.
    pub(super) fn behind(&self, offset: u64) -> Option<impl Iterator<Item = &Event>> {
        let first = number(self.events.front()?);
        let known = offset.wrapping_add(1) >= first && offset <= self.events.back().map_or(0, number);
        let from = offset.wrapping_add(1).saturating_sub(first);
        known.then(|| self.events.range(self.events.len().min(from as usize)..))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Only numbered events come here.
fn number(event: &Event) -> u64 {
    event.position.map_or(0, |position| position.offset)
}
