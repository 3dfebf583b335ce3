//! Hot channels, round and round: whoever is written to gets all that came since it was last.
//!
//! With thousands of subscribers a batch takes tens of milliseconds. What comes meanwhile would wait for its end, and
//! so would all other channels of the lane. So the lane goes in steps: some subscribers of each hot channel, then
//! whatever else is there. A batch gets on where the round is, and gets off when it comes there again. Each
//! subscriber hears a channel in order, since everybody is visited with all batches that have not been there yet.
//! It must not know places: channels with history are delivered to at once, as their places say.

use std::collections::VecDeque;
use std::time::Instant;

use tidegate_core::hub::{Batch, ChannelKey};
use tidegate_core::{ChannelName, Event};

use super::segments::Load;
use crate::wire::Encoded;

/// Events on their way round, of all channels of a lane: above it the lane takes no more from its queue, which has a
/// bound of its own. So nobody is given more at once than a lane takes at once.
const RIDING: usize = 512;
/// Bytes of these events' payloads; only below the lane takes more, which may be as much as its queue holds. An
/// outbox's usual limit: what is more would not leave in one write anyway.
const RIDING_BYTES: usize = 1 << 20;

/// The hot channels of a lane that have something under way.
pub(super) struct Rounds {
    rounds: VecDeque<Round>,
    /// Slots of a step.
    step: u32,
    riding: usize,
    riding_bytes: usize,
}

/// One channel's.
struct Round {
    channel: ChannelName,
    /// Of the batches under way, the last that was opened.
    newest: Batch,
    /// How many steps a round has, and which comes next.
    steps: u32,
    at: u32,
    riders: VecDeque<Rider>,
    /// Those of all riders.
    events: Vec<Event>,
}

/// A batch on its way round.
struct Rider {
    number: u64,
    events: usize,
    /// Steps until it has been everywhere.
    left: u32,
    taken: Instant,
}

/// A batch that has been everywhere.
pub(super) struct Arrived {
    pub(super) events: Vec<Event>,
    pub(super) taken: Instant,
}

impl Rounds {
    pub(super) fn new(step: u32) -> Self {
        Self { rounds: VecDeque::new(), step, riding: 0, riding_bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// How many events more may get on.
    pub(super) fn room(&self) -> usize {
        match self.riding_bytes < RIDING_BYTES {
            true => RIDING.saturating_sub(self.riding),
            false => 0,
        }
    }

    /// Whether a channel has something under way, which must not be overtaken.
    pub(super) fn has(&self, channel: &ChannelName, key: ChannelKey) -> bool {
        self.find(channel, key).is_some()
    }

    /// By both: a name may have gone and come again, and a key have been taken over.
    fn find(&self, channel: &ChannelName, key: ChannelKey) -> Option<usize> {
        self.rounds.iter().position(|round| round.newest.channel() == key && round.channel == *channel)
    }

    /// Takes a batch along.
    pub(super) fn join(&mut self, channel: &ChannelName, events: &[Event], batch: Batch, taken: Instant) {
        let at = self.find(channel, batch.channel()).unwrap_or_else(|| {
            let steps = steps(&batch, self.step);
            let newest = batch.part(0..u32::MAX);
            let (riders, none) = (VecDeque::new(), Vec::new());
            self.rounds.push_back(Round {
                channel: channel.clone(),
                newest,
                steps,
                at: 0,
                riders,
                events: none,
            });
            self.rounds.len() - 1
        });
        let round = &mut self.rounds[at];
        let (number, left) = (batch.number(), round.steps);
        round.riders.push_back(Rider { number, events: events.len(), left, taken });
        round.events.extend_from_slice(events);
        round.newest = batch;
        self.riding += events.len();
        self.riding_bytes += weight(events);
    }

    /// The next step: whom to visit, with what. Channels have it in turn.
    pub(super) fn next(&mut self) -> Option<(Batch, Load<'_>)> {
        let round = self.rounds.pop_front()?;
        self.rounds.push_back(round);
        let round = self.rounds.back()?;
        let first = round.at * self.step;
        let last = round.at + 1 == round.steps;
        // Who came since the round began may sit beyond its end.
        let part = round.newest.part(first..if last { u32::MAX } else { first + self.step });
        let mut events = 0;
        let batches = round.riders.iter().map(|rider| {
            events += rider.events;
            (rider.number, events - rider.events)
        });
        Some((part, Load::new(Encoded::new(&round.channel, &round.events), batches)))
    }

    /// The step that [`Rounds::next`] gave is done; says what has been everywhere now.
    pub(super) fn done(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let Some(round) = self.rounds.back_mut() else { return arrived };
        round.at += 1;
        if round.at == round.steps {
            round.at = 0;
            // Who came sits beyond its end. What gets on from now on goes so far, and what is under way has been
            // there, with the last step. It never becomes shorter: what is under way would come to some twice.
            round.steps = round.steps.max(steps(&round.newest, self.step));
        }
        round.riders.iter_mut().for_each(|rider| rider.left -= 1);
        while let Some(rider) = round.riders.pop_front_if(|rider| rider.left == 0) {
            let events: Vec<Event> = round.events.drain(..rider.events).collect();
            self.riding -= events.len();
            self.riding_bytes -= weight(&events);
            arrived.push(Arrived { events, taken: rider.taken });
        }
        if round.riders.is_empty() {
            self.rounds.pop_back();
        }
        arrived
    }
}

/// Steps to all seats there are.
fn steps(batch: &Batch, step: u32) -> u32 {
    batch.end().div_ceil(step).max(1)
}

fn weight(events: &[Event]) -> usize {
    events.iter().map(|event| event.payload.bytes().len()).sum()
}

#[cfg(test)]
mod tests;
