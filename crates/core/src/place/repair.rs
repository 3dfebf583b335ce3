//! The place reads: what it missed is read once for the whole node, and told in order.
//!
//! One read is in flight at most. Messages wait behind it and are looked at again when it has reached
//! the top. What else could be missing meanwhile makes it read once more.

use super::answer::{number, word};
use super::effect::at;
use super::held::Held;
use super::{Answer, Cause, Effect, Failure, Judged, Place, ReadId, Refused, Rule, Since, Turn, Word};
use crate::{Event, Position};

/// A failed read is done again after 1, 2, 4, 8, then always 16 times `Bounds::retry_ms`.
const LONGEST_RETRY: u32 = 4;

#[derive(Debug)]
pub(super) struct Repair {
    step: Step,
    /// Where a cold place reads from: what its first subscriber wants serves both.
    asked: Option<Position>,
    held: Held,
    cause: Cause,
    /// Messages may have been lost after the read in flight was asked for.
    again: bool,
    /// The topology has named the server as master: it is followed, whatever its epoch.
    trusted: bool,
    failed: u32,
    events: u64,
    began_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Reading(ReadId),
    Beginning(ReadId),
    Waiting { until_ms: u64 },
    Behind,
}

impl Repair {
    pub(super) fn waits_for(&self, id: ReadId) -> bool {
        self.step == Step::Reading(id)
    }

    pub(super) fn is_behind(&self) -> bool {
        self.step == Step::Behind
    }

    pub(super) fn retry_ms(&self) -> Option<u64> {
        match self.step {
            Step::Waiting { until_ms } => Some(until_ms),
            _ => None,
        }
    }
}

impl<S: Copy + PartialEq> Place<S> {
    /// Something may be missing.
    pub(super) fn doubt(&mut self, cause: Cause, turn: &mut Turn<'_, S>) {
        self.newcomers.distrust(); // commands may go to another server now
        let Some(repair) = &mut self.repair else {
            // Cold and not heard: it reads once it is.
            if self.at.is_some() || self.heard {
                self.begin_repair(cause, turn);
            }
            return;
        };
        repair.trusted = false;
        match repair.step {
            // The answer on its way may be older than what was lost just now.
            Step::Reading(_) | Step::Beginning(_) => repair.again = true,
            Step::Waiting { .. } | Step::Behind => self.ask(turn),
        }
    }

    pub(super) fn begin_repair(&mut self, cause: Cause, turn: &mut Turn<'_, S>) {
        self.begin_repair_for(Held::default(), cause, turn);
    }

    /// Begins to read because of what is held.
    pub(super) fn begin_repair_for(&mut self, held: Held, cause: Cause, turn: &mut Turn<'_, S>) {
        self.repair = Some(Box::new(Repair {
            step: Step::Behind,
            asked: None,
            held,
            cause,
            again: false,
            trusted: false,
            failed: 0,
            events: 0,
            began_ms: turn.now.ms,
        }));
        self.ask(turn);
    }

    /// Reads from the place on.
    fn ask(&mut self, turn: &mut Turn<'_, S>) {
        let id = self.read_id();
        let cold = || self.newcomers.first().unwrap_or(Since::Now);
        let since = self.at.map_or_else(cold, Since::At);
        let Some(repair) = &mut self.repair else { return };
        repair.asked = match since {
            Since::At(position) => Some(position),
            Since::Now | Since::Last(_) => None,
        };
        repair.step = Step::Reading(id);
        repair.again = false;
        repair.held.ask();
        turn.effects.push(Effect::Read { id, since, count: turn.bounds.page_events });
    }

    /// A message while it reads.
    pub(super) fn hold(&mut self, event: Event, turn: &Turn<'_, S>) {
        let Some(repair) = &mut self.repair else { return };
        if !repair.held.push(event, turn.bounds) {
            repair.again = true;
        }
    }

    /// The read of the place is answered.
    pub(super) fn repaired(&mut self, answer: Result<Answer, Failure>, turn: &mut Turn<'_, S>) {
        let id = self.read_id();
        let Some(repair) = &mut self.repair else { return };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(Failure::Missing) => {
                repair.step = Step::Beginning(id);
                turn.effects.push(Effect::Begin(id));
                return;
            }
            Err(Failure::TryAgain | Failure::Unavailable) => return self.wait(turn),
        };
        let older = self.at.is_some_and(|place| answer.epoch < place.epoch);
        if older && self.rules.hold(Rule::OrderedEpochs) {
            if !repair.trusted {
                repair.step = Step::Behind;
                if repair.again {
                    return self.ask(turn);
                }
                self.stale(turn);
                turn.effects.push(Effect::Seek);
                return;
            }
            answer.forget_reader();
            repair.held.forgive();
        }
        if !answer.is_sound(repair.asked) {
            return self.wait(turn);
        }
        repair.trusted = false;
        repair.events += answer.events.len() as u64;
        let top = answer.offset;
        let ahead = answer.ahead;
        self.take(answer, turn);
        let more = !ahead && self.at.is_some_and(|place| place.offset < top);
        if more || self.repair.as_ref().is_some_and(|repair| repair.again) {
            return self.ask(turn);
        }
        self.replay(turn);
    }

    /// Tells everybody what the answer means for it, passes its events on, and goes there.
    fn take(&mut self, answer: Answer, turn: &mut Turn<'_, S>) {
        let Answer { epoch, offset, start, end, lost, ahead, mut events } = answer;
        let Some(place) = self.at else {
            self.at = Some(at(epoch, offset));
            self.sent.begin(offset);
            if start + events.len() as u64 == offset {
                number(&mut events, epoch, start);
                events.iter().for_each(|event| self.tail.push(event, turn.bounds));
            }
            return;
        };
        if ahead {
            // Back with the history, until somebody numbers it. Nobody is told: they have it already.
            self.at = Some(at(epoch, offset));
            self.tail.cut(epoch, offset);
            return;
        }
        let new = epoch != place.epoch;
        let first = self.rules.hold(Rule::PositionBeforeEvents);
        if lost || (new && first) {
            let own = self.rules.hold(Rule::PositionIsEachOnesOwn);
            let word = |sent| word(sent, new, epoch, start, end, lost, own);
            let told = self.sent.turn(word);
            if told.others.is_some() || !told.but.is_empty() {
                turn.effects.push(Effect::Tell(told));
            }
        }
        if lost {
            self.tail.clear();
        } else if self.rules.hold(Rule::TailEndsWithItsEpoch) {
            self.tail.cut(epoch, start);
        } else {
            self.tail.name(epoch);
        }
        self.at = Some(at(epoch, start));
        number(&mut events, epoch, start);
        self.pass(events, turn);
        if new && !lost && !first {
            let last = self.at.map_or(start, |place| place.offset);
            let told = self.sent.turn(|_| (Some(Word::Position(at(epoch, last))), last));
            turn.effects.push(Effect::Tell(told));
        }
    }

    /// The read has reached the top: what waited behind it is looked at.
    fn replay(&mut self, turn: &mut Turn<'_, S>) {
        let (Some(mut repair), Some(mut place)) = (self.repair.take(), self.at) else { return };
        let unexplained = repair.held.is_unexplained(place);
        let mut run = Vec::new();
        let mut beyond = false;
        while let Some(message) = repair.held.pop() {
            match self.judge(&message, place) {
                Judged::Old => {}
                Judged::Next => {
                    place = message.position.map_or(place, |position| at(place.epoch, position.offset));
                    run.push(message);
                }
                Judged::Beyond(cause) => {
                    repair.cause = cause;
                    repair.held.put_back(message);
                    beyond = true;
                    break;
                }
            }
        }
        self.pass(run, turn);
        self.repair = Some(repair);
        if unexplained {
            // The server that is heard and the one that answers are not the same. Reading on and on
            // would help nobody before they are.
            turn.effects.push(Effect::Seek);
            self.wait(turn);
        } else if beyond {
            self.ask(turn);
        } else {
            self.even(turn);
        }
    }

    fn even(&mut self, turn: &mut Turn<'_, S>) {
        let Some(repair) = self.repair.take() else { return };
        if self.heard {
            self.stale_since_ms = None;
        }
        turn.effects.push(Effect::Repaired {
            cause: repair.cause,
            events: repair.events,
            dropped: repair.held.dropped,
            began_ms: repair.began_ms,
        });
        self.serve_waiting(false, turn);
    }

    /// Again after a short, jittered wait. Until then the channel counts as stale.
    fn wait(&mut self, turn: &mut Turn<'_, S>) {
        if self.at.is_none() && self.newcomers.is_empty() {
            self.repair = None; // nobody needs to know; the next subscriber asks
            return;
        }
        self.stale(turn);
        let Some(repair) = &mut self.repair else { return };
        repair.trusted = false;
        repair.step = Step::Waiting { until_ms: turn.after(repair.failed) };
        repair.failed = repair.failed.saturating_add(1);
    }

    /// Time has passed.
    pub(super) fn retry(&mut self, turn: &mut Turn<'_, S>) {
        if self.repair.as_ref().and_then(|repair| repair.retry_ms()).is_some_and(|until| until <= turn.now.ms)
        {
            self.ask(turn);
        }
    }

    /// The library was asked to give the channel an epoch.
    pub(super) fn begun(&mut self, id: ReadId, begun: bool, turn: &mut Turn<'_, S>) {
        match &self.repair {
            Some(repair) if repair.step == Step::Beginning(id) => {}
            _ => return,
        }
        if begun {
            return self.ask(turn);
        }
        // There is no empty epoch to subscribe in.
        self.newcomers.refuse_all(Refused::Unavailable, turn.effects);
        self.wait(turn);
    }

    /// The periodic look found the channel's top.
    pub(super) fn check(&mut self, top: Option<Position>, turn: &mut Turn<'_, S>) {
        let Some(place) = self.at else { return };
        let older = top.is_some_and(|top| top.epoch < place.epoch);
        match &self.repair {
            None if top != Some(place) => self.begin_repair(Cause::Check, turn),
            Some(repair) if repair.is_behind() && older => turn.effects.push(Effect::Seek),
            Some(repair) if repair.is_behind() => self.ask(turn),
            _ => {}
        }
    }

    /// The topology has named the server as master.
    pub(super) fn confirmed(&mut self, turn: &mut Turn<'_, S>) {
        match &mut self.repair {
            Some(repair) if repair.is_behind() => {
                repair.trusted = true;
                self.ask(turn);
            }
            Some(_) => {}
            None => self.serve_waiting(true, turn),
        }
    }
}

impl<S> Turn<'_, S> {
    /// When to try again what has failed so many times before.
    pub(super) fn after(&self, failed: u32) -> u64 {
        let wait = self.bounds.retry_ms.max(1) << failed.min(LONGEST_RETRY);
        self.now.ms + wait / 2 + u64::from(self.now.dice) % (wait / 2 + 1)
    }
}
