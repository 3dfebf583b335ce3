//! How a subscriber gets to the place.
//!
//! Each is answered from the tail, or by a read that it shares with all who ask from the same position,
//! and attached in the step whose answer ends at the place. One that misses more than a page is
//! answered with the first, and reads on by itself, as fast as it takes what it is told.

use super::answer::number;
use super::effect::at;
use super::newcomers::{Asked, Newcomer, Read};
use super::{
    Answer, Bounds, Cause, Effect, Failure, GapReason, Phase, Place, ReadId, Refused, Rule, Since, Turn, Word,
};
use crate::{Event, Position};

impl<S: Copy + PartialEq> Place<S> {
    pub(super) fn subscribe(&mut self, seat: S, since: Since, brief: bool, turn: &mut Turn<'_, S>) {
        let until_ms = Some(turn.now.ms + turn.bounds.patience_ms);
        let count = turn.bounds.page_events;
        self.serve(Newcomer { seat, since, until_ms, behind: false, brief, count }, false, turn);
        // A cold place whose first subscribers were refused does not read by itself.
        if self.at.is_none() && self.repair.is_none() && self.heard {
            self.begin_repair(Cause::First, turn);
        }
    }

    /// What was told to it has left.
    pub(super) fn room(&mut self, seat: S, turn: &mut Turn<'_, S>) {
        let Some(lists) = &mut self.newcomers.0 else { return };
        let Some(found) = lists.pausing.iter().position(|newcomer| newcomer.seat == seat) else { return };
        let newcomer = lists.pausing.swap_remove(found);
        self.serve(newcomer, false, turn);
        self.newcomers.tidy();
    }

    /// The place is even again, or the topology has spoken.
    pub(super) fn serve_waiting(&mut self, trusted: bool, turn: &mut Turn<'_, S>) {
        let Some(lists) = &mut self.newcomers.0 else { return };
        for mut newcomer in std::mem::take(&mut lists.waiting) {
            let trusted = trusted && newcomer.behind;
            newcomer.behind = false;
            self.serve(newcomer, trusted, turn);
        }
        self.newcomers.tidy();
    }

    pub(super) fn tick_newcomers(&mut self, turn: &mut Turn<'_, S>) {
        let now_ms = turn.now.ms;
        let behind = self.phase() == Phase::Behind;
        self.newcomers.refuse(
            |newcomer| newcomer.until_ms.is_some_and(|until| until <= now_ms),
            |newcomer| if behind || newcomer.behind { Refused::Behind } else { Refused::Unavailable },
            turn.effects,
        );
        let Some(lists) = &mut self.newcomers.0 else { return };
        for read in &mut lists.reads {
            if matches!(read.state, Asked::Again { at_ms } if at_ms <= now_ms) {
                self.reads = self.reads.wrapping_add(1);
                let id = ReadId(self.reads);
                read.state = Asked::InFlight(id);
                turn.effects.push(Effect::Read { id, since: read.since, count: read.count });
            }
        }
    }

    /// Answers it at once where that needs no read.
    fn serve(&mut self, newcomer: Newcomer<S>, trusted: bool, turn: &mut Turn<'_, S>) {
        let (Some(place), None, true) = (self.at, &self.repair, self.heard) else {
            // What is even now may not be so in a moment, and while Redis is away nobody is promised
            // anything: it is answered when the place is even, or refused in time.
            return self.newcomers.lists().waiting.push(newcomer);
        };
        let from = match newcomer.since {
            Since::Now => Some(place.offset),
            Since::At(since) => (since.epoch == place.epoch).then_some(since.offset),
            Since::Last(n) => Some(place.offset.saturating_sub(n)),
        };
        let here = from.filter(|_| self.rules.hold(Rule::OnePlacePerChannel) || newcomer.since == Since::Now);
        if let Some(from) = here
            && let Some(events) = match newcomer.brief && from < place.offset {
                true => Some(Vec::new()), // what lies between is read when it takes it, and told then if it is lost
                false => self.between(from, place.offset),
            }
        {
            let found = Found { start: at(place.epoch, from), lost: false, word: None, events };
            return self.welcome(newcomer, found, turn);
        }
        self.read_for(newcomer, trusted, turn);
    }

    /// The events of the tail behind `from`, up to the place; none if a read is needed.
    fn between(&self, from: u64, place: u64) -> Option<Vec<Event>> {
        if from == place {
            return Some(Vec::new());
        }
        self.tail.behind(from).map(|events| events.cloned().collect())
    }

    /// One read for all who ask from there. Whenever it is answered, it fits the place or is done again.
    fn read_for(&mut self, newcomer: Newcomer<S>, trusted: bool, turn: &mut Turn<'_, S>) {
        let id = self.read_id();
        let Newcomer { since, count, .. } = newcomer;
        let reads = &mut self.newcomers.lists().reads;
        if let Some(read) = reads.iter_mut().find(|read| read.since == since && read.trusted == trusted) {
            return read.guests.push(newcomer);
        }
        let guests = vec![newcomer];
        reads.push(Read { since, state: Asked::InFlight(id), count, trusted, failed: 0, guests });
        turn.effects.push(Effect::Read { id, since, count });
    }

    /// A read for newcomers is answered.
    pub(super) fn found(&mut self, id: ReadId, answer: Result<Answer, Failure>, turn: &mut Turn<'_, S>) {
        let Some(lists) = &mut self.newcomers.0 else { return };
        let Some(found) = lists.reads.iter().position(|read| read.state == Asked::InFlight(id)) else {
            return;
        };
        let mut read = lists.reads.swap_remove(found);
        let position = match read.since {
            Since::At(position) => Some(position),
            Since::Now | Since::Last(_) => None,
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(Failure::Missing) => return self.after_repair(read, turn),
            Err(Failure::TryAgain | Failure::Unavailable) => return self.later(read, turn),
        };
        let older = position.is_some_and(|position| answer.epoch < position.epoch);
        if older && self.rules.hold(Rule::OrderedEpochs) {
            if !read.trusted {
                read.guests.iter_mut().for_each(|newcomer| newcomer.behind = true);
                lists.waiting.append(&mut read.guests);
                turn.effects.push(Effect::Seek);
                return;
            }
            answer.forget_reader();
        }
        if !answer.is_sound(position) {
            return self.later(read, turn);
        }
        match self.fit(answer, position, turn.bounds) {
            Some(found) => {
                for newcomer in read.guests {
                    self.welcome(newcomer, found.clone(), turn);
                }
                self.newcomers.tidy();
            }
            None => self.after_repair(read, turn),
        }
    }

    /// Again after a short, jittered wait; those who wait too long are refused meanwhile.
    fn later(&mut self, mut read: Read<S>, turn: &Turn<'_, S>) {
        read.state = Asked::Again { at_ms: turn.after(read.failed) };
        read.failed = read.failed.saturating_add(1);
        self.newcomers.lists().reads.push(read);
    }

    /// The answer does not fit the place: the place is repaired, then they are served anew.
    fn after_repair(&mut self, mut read: Read<S>, turn: &mut Turn<'_, S>) {
        self.newcomers.lists().waiting.append(&mut read.guests);
        if self.repair.is_none() {
            self.begin_repair(Cause::Subscriber, turn);
        }
    }

    /// The answer, cut at the place or led up to it; none if that cannot be.
    fn fit(&self, answer: Answer, asked: Option<Position>, bounds: &Bounds) -> Option<Found> {
        let place = self.at?;
        let Answer { epoch, offset, start, mut events, lost, .. } = answer;
        number(&mut events, epoch, start);
        let word = match asked {
            _ if lost => Some(Word::Gap(at(epoch, start), GapReason::Lost)),
            Some(asked) if asked.epoch != epoch => Some(Word::Position(at(epoch, start))),
            _ => None,
        };
        if !self.rules.hold(Rule::OnePlacePerChannel) {
            return Some(Found { start: at(epoch, start), lost, word, events });
        }
        if epoch != place.epoch || self.phase() == Phase::Behind {
            return None;
        }
        events.truncate(usize::try_from(place.offset.saturating_sub(start)).unwrap_or(usize::MAX));
        let reached = start + events.len() as u64;
        // The place went on while the answer was on its way, or the answer is an older server's. In
        // both cases the tail has what follows in this epoch, if it reaches back far enough.
        if reached >= offset && reached < place.offset && events.len() < bounds.page_events {
            events.extend(self.between(reached, place.offset)?);
        }
        Some(Found { start: at(epoch, start), lost, word, events })
    }

    /// Tells it what it missed, a page at most, and attaches it if that ends at the place.
    fn welcome(&mut self, newcomer: Newcomer<S>, found: Found, turn: &mut Turn<'_, S>) {
        let Found { start, lost, word, mut events } = found;
        let Some(place) = self.at else { return };
        let seat = newcomer.seat;
        if newcomer.brief {
            events.clear();
        }
        let fits = page(&events, turn.bounds);
        let count = match fits < events.len() {
            true => fits.saturating_mul(2).min(turn.bounds.page_events), // they may be smaller again
            false => turn.bounds.page_events,
        };
        events.truncate(fits);
        let reached = start.offset + events.len() as u64;
        let attach = reached >= place.offset || !self.rules.hold(Rule::OnePlacePerChannel);
        let own = at(start.epoch, reached);
        turn.effects.push(if newcomer.until_ms.is_some() {
            let recovered = matches!(newcomer.since, Since::At(_)).then_some(!lost);
            Effect::Subscribed { seat, at: own, recovered, events, attach }
        } else {
            Effect::Page { seat, word, events, attach }
        });
        if attach {
            self.sent.attach(seat, reached);
        } else {
            let next =
                Newcomer { seat, since: Since::At(own), until_ms: None, behind: false, brief: false, count };
            self.newcomers.lists().pausing.push(next);
        }
    }
}

/// What newcomers are given: the same to all who shared a read.
#[derive(Clone)]
struct Found {
    start: Position,
    lost: bool,
    word: Option<Word>,
    events: Vec<Event>,
}

/// How many of the events a page holds.
fn page(events: &[Event], bounds: &Bounds) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += event.weight();
        bytes <= bounds.page_bytes
    });
    fits.count().max(1).min(bounds.page_events.max(1)).min(events.len())
}
