//! A place with its script: each step returns what came out.

use bytes::Bytes;

use super::super::*;
use crate::{Epoch, Payload};

pub(super) const A: u64 = 1_763_700_000_000_000_001;
pub(super) const B: u64 = A + 1_000_000;

/// An effect in short.
pub(super) use Effect::{Refused as No, Seek, Tell};

pub(super) fn epoch(number: u64) -> Epoch {
    super::servers::epoch(number)
}

pub(super) fn at(e: u64, offset: u64) -> Position {
    Position { epoch: epoch(e), offset }
}

pub(super) fn live(text: &'static str) -> Event {
    Event::live(Payload::new(Bytes::from_static(text.as_bytes())))
}

pub(super) fn event(e: u64, offset: u64) -> Event {
    Event { position: Some(at(e, offset)), ..live("") }
}

/// The events of an answer.
pub(super) fn events(e: u64, offsets: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    offsets.map(|offset| event(e, offset)).collect()
}

/// An answer that continues the reader's own epoch.
pub(super) fn answer(e: u64, start: u64, top: u64) -> Answer {
    let events = events(e, start + 1..=top);
    Answer { epoch: epoch(e), offset: top, start, end: Some(top), lost: false, ahead: false, events }
}

pub(super) fn each<T>(others: T) -> Each<u8, T> {
    Each { others, but: Vec::new() }
}

pub(super) fn pass(events: Vec<Event>, above: Each<u8, u64>) -> Effect<u8> {
    Effect::Pass { events, above }
}

pub(super) fn position(e: u64, offset: u64) -> Option<Word> {
    Some(Word::Position(at(e, offset)))
}

pub(super) fn gap(e: u64, offset: u64) -> Option<Word> {
    Some(Word::Gap(at(e, offset), GapReason::Lost))
}

pub(super) struct Script {
    pub(super) place: Place<u8>,
    pub(super) bounds: Bounds,
    pub(super) ms: u64,
    /// Reads that were asked for and not answered, oldest first.
    pub(super) reads: Vec<(ReadId, Since)>,
}

impl Script {
    pub(super) fn cold() -> Self {
        let bounds = Bounds { held_messages: 3, tail_events: 4, page_events: 10, ..Bounds::default() };
        Self { place: Place::new(), bounds, ms: 1000, reads: Vec::new() }
    }

    /// Even at `offset` of epoch A, with subscription 1.
    pub(super) fn even(offset: u64) -> Self {
        let mut script = Self::cold();
        script.step(Input::Connected);
        script.answer(answer(A, offset, offset));
        script.subscribe(1, Since::Now);
        assert_eq!((script.place.phase(), script.place.position()), (Phase::Even, Some(at(A, offset))));
        script
    }

    /// What comes out, without the log line of a repair.
    pub(super) fn step(&mut self, input: Input<u8>) -> Effects<u8> {
        let mut effects = Effects::new();
        self.place.step(input, Now { ms: self.ms, dice: 7 }, &self.bounds, &mut effects);
        for effect in &effects {
            if let Effect::Read { id, since, .. } = effect {
                self.reads.push((*id, *since));
            }
        }
        effects.retain(|effect| !matches!(effect, Effect::Repaired { .. } | Effect::Read { .. }));
        effects
    }

    pub(super) fn hear(&mut self, event: Event) -> Effects<u8> {
        self.step(Input::Message(event))
    }

    /// The oldest read is answered.
    pub(super) fn answer(&mut self, answer: Answer) -> Effects<u8> {
        let (id, _) = self.reads.remove(0);
        self.step(Input::Answer(id, Ok(answer)))
    }

    pub(super) fn fail(&mut self, failure: Failure) -> Effects<u8> {
        let (id, _) = self.reads.remove(0);
        self.step(Input::Answer(id, Err(failure)))
    }

    pub(super) fn subscribe(&mut self, seat: u8, since: Since) -> Effects<u8> {
        self.step(Input::Subscribe { seat, since, brief: false })
    }

    pub(super) fn later(&mut self, ms: u64) -> Effects<u8> {
        self.ms += ms;
        self.step(Input::Tick)
    }

    /// From where the reads in flight were asked.
    pub(super) fn asked(&self) -> Vec<Since> {
        self.reads.iter().map(|(_, since)| *since).collect()
    }
}
