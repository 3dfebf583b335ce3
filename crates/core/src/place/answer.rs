//! The answer to a read: whether it can be true, and what it means for whoever was sent up to somewhere.

use super::effect::at;
use super::{GapReason, Word};
use crate::{Epoch, Event, Position};

/// What a read found: the answer of the library's `read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The epoch of the channel's top.
    pub epoch: Epoch,
    /// The last offset given.
    pub offset: u64,
    /// The reader goes on behind this offset.
    pub start: u64,
    /// Where the reader's epoch ended; none if nobody knows. Of the reader's epoch nothing above
    /// survives.
    pub end: Option<u64>,
    /// What lies between the reader's position and `start` cannot be had.
    pub lost: bool,
    /// The reader is ahead of a history that nobody has numbered since a failover.
    pub ahead: bool,
    /// The events behind `start`, without a hole; fewer than up to `offset` where the page ends.
    pub events: Vec<Event>,
}

impl Answer {
    /// It comes from a history that does not know where the reader was, whatever it says.
    pub(super) fn forget_reader(&mut self) {
        (self.lost, self.end, self.ahead) = (true, None, false);
    }

    /// Whether it can be true for somebody who asked from `since`. One that cannot counts as no answer:
    /// what it would do to the place cannot be undone.
    pub(super) fn is_sound(&self, since: Option<Position>) -> bool {
        let from = match since {
            Some(_) if self.lost => !self.ahead,
            Some(since) if since.epoch == self.epoch => self.start == since.offset,
            Some(since) => !self.ahead && self.start <= since.offset,
            None => !self.ahead,
        };
        let last = self.start.checked_add(self.events.len() as u64);
        let numbers = self.events.iter().zip(1..).all(|(event, nth)| {
            event.position.is_none_or(|position| Some(position.offset) == self.start.checked_add(nth))
        });
        let reached = if self.ahead {
            self.events.is_empty() && self.offset < self.start
        } else {
            // A page of nothing would be asked for for ever.
            last.is_some_and(|last| last <= self.offset)
                && (self.start == self.offset || last > Some(self.start))
        };
        from && numbers && reached && self.offset < u64::MAX
    }
}

/// The events of an answer, numbered behind `start` under the epoch they are told in.
pub(super) fn number(events: &mut [Event], epoch: Epoch, start: u64) {
    for (event, before) in events.iter_mut().zip(start..) {
        event.position = Some(at(epoch, before + 1)); // an answer is sound: no more than its top
    }
}

/// What a subscription that was sent up to `sent` is told, and up to where it was sent then.
pub(super) fn word(
    sent: u64,
    new: bool,
    epoch: Epoch,
    start: u64,
    end: Option<u64>,
    lost: bool,
    own: bool,
) -> (Option<Word>, u64) {
    let mine = end.filter(|_| own).map(|end| sent.min(end));
    match mine {
        _ if !lost => {
            let offset = mine.unwrap_or(start);
            (Some(Word::Position(at(epoch, offset))), offset)
        }
        // It has what the place could not get.
        Some(mine) if mine >= start && new => (Some(Word::Position(at(epoch, mine))), mine),
        Some(mine) if mine >= start => (None, sent),
        _ => (Some(Word::Gap(at(epoch, start), GapReason::Lost)), start),
    }
}
