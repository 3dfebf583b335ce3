//! The place: up to where a node has passed one channel on, and how it never loses count.
//!
//! What is heard, what reads found, who comes and goes reach it as [`Input`]s; what to pass on,
//! tell, read and answer leave it as [`Effect`]s. It repairs holes, follows new epochs, and attaches
//! a subscription only where it is itself. The rules, and what each is there for, are in the
//! model of its tests. It must not know sockets, clocks, Redis or what a subscription is.

mod answer;
mod bounds;
mod effect;
mod held;
mod input;
mod newcomers;
mod repair;
mod rule;
mod sent;
mod tail;
mod welcome;

use crate::{Event, Position};

pub use answer::Answer;
pub use bounds::Bounds;
pub use effect::{Each, Effect, Effects, GapReason, Refused, Word};
use held::Held;
pub use input::{Cause, Failure, Input, Now, ReadId, Since};
use newcomers::Newcomers;
use repair::Repair;
pub(crate) use rule::{Rule, Rules};
use sent::Sent;
use tail::Tail;

/// What a place is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It is nowhere yet.
    Cold,
    /// It passes on what comes.
    Even,
    /// It reads, or waits to read; messages wait behind.
    Reading,
    /// The server answered with an older epoch; messages wait until the topology is clear.
    Behind,
}

/// One channel's place on one node. `S` names a subscription.
///
/// An even place with any number of even subscriptions is this struct and its tail, no more.
#[derive(Debug)]
pub struct Place<S> {
    at: Option<Position>,
    sent: Sent<S>,
    tail: Tail,
    /// There while it reads, waits or is behind.
    repair: Option<Box<Repair>>,
    newcomers: Newcomers<S>,
    /// The channel is subscribed to at the broker.
    heard: bool,
    stale_since_ms: Option<u64>,
    reads: u32,
    rules: Rules,
}

/// What every step has at hand.
struct Turn<'a, S> {
    now: Now,
    bounds: &'a Bounds,
    effects: &'a mut Effects<S>,
}

impl<S> Default for Place<S> {
    fn default() -> Self {
        Self {
            at: None,
            sent: Sent::default(),
            tail: Tail::default(),
            repair: None,
            newcomers: Newcomers::default(),
            heard: false,
            stale_since_ms: None,
            reads: 0,
            rules: Rules::default(),
        }
    }
}

impl<S: Copy + PartialEq> Place<S> {
    /// A cold place of a channel that is not heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    fn with(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The usual step, before all others: true if `event` is simply the next one for everybody, and
    /// may be passed on as it is. Else it is to be given to [`Place::step`].
    #[inline]
    pub fn follows(&mut self, event: &Event, bounds: &Bounds) -> bool {
        let (None, Some(at)) = (&self.repair, &mut self.at) else { return false };
        let Some(position) = event.position else { return true };
        // Offsets come from outside: they may be as large as they like.
        let next = position.epoch == at.epoch && position.offset == at.offset.wrapping_add(1);
        if !next || !self.sent.is_even(at.offset) {
            return false;
        }
        at.offset = position.offset;
        self.sent.step(position.offset);
        self.tail.push(event, bounds);
        true
    }

    /// One step: what `input` leads to is appended to `effects`, in order.
    pub fn step(&mut self, input: Input<S>, now: Now, bounds: &Bounds, effects: &mut Effects<S>) {
        let turn = &mut Turn { now, bounds, effects };
        match input {
            Input::Message(event) => self.hear(event, turn),
            Input::Answer(id, answer) => {
                if self.repair.as_ref().is_some_and(|repair| repair.waits_for(id)) {
                    self.repaired(answer, turn);
                } else {
                    self.found(id, answer, turn);
                }
            }
            Input::Begun(id, begun) => self.begun(id, begun, turn),
            Input::Top(top) => self.check(top, turn),
            Input::Connected => {
                self.heard = true;
                self.doubt(if self.at.is_none() { Cause::First } else { Cause::Connected }, turn);
            }
            Input::Unheard => self.newcomers.refuse_all(Refused::Unavailable, turn.effects),
            Input::Down => {
                self.heard = false;
                self.stale(turn);
            }
            Input::Missed(cause) => self.doubt(cause, turn),
            Input::Confirmed => self.confirmed(turn),
            Input::Subscribe { seat, since, brief } => self.subscribe(seat, since, brief, turn),
            Input::Room(seat) => self.room(seat, turn),
            Input::Unsubscribe(seat) => {
                self.sent.detach(seat);
                self.newcomers.forget(seat);
            }
            Input::Tick => {
                self.retry(turn);
                self.tick_newcomers(turn);
            }
        }
    }

    /// Up to where the channel was passed on; none while cold. What the periodic look at the tops
    /// compares with.
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        match (&self.repair, self.at) {
            (Some(repair), _) if repair.is_behind() => Phase::Behind,
            (_, None) => Phase::Cold,
            (Some(_), _) => Phase::Reading,
            (None, _) => Phase::Even,
        }
    }

    /// Since when the channel may miss events; none while it does not.
    pub fn stale_since_ms(&self) -> Option<u64> {
        self.stale_since_ms
    }

    /// The millisecond at which this place wants [`Input::Tick`]; none = never.
    pub fn deadline_ms(&self) -> Option<u64> {
        let retry = self.repair.as_ref().and_then(|repair| repair.retry_ms());
        retry.into_iter().chain(self.newcomers.deadline_ms()).min()
    }

    /// Bytes its tail holds, for a bound over all places of a node.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// Forgets the tail: the next resume costs a read.
    pub fn drop_tail(&mut self) {
        self.tail.clear();
    }

    fn hear(&mut self, event: Event, turn: &mut Turn<'_, S>) {
        if self.repair.is_some() {
            return self.hold(event, turn);
        }
        let Some(at) = self.at else { return }; // cold: nobody was promised anything yet
        match self.judge(&event, at) {
            Judged::Old => {}
            Judged::Next => self.pass(vec![event], turn),
            Judged::Beyond(cause) => {
                let mut held = Held::default();
                held.push(event, turn.bounds);
                self.begin_repair_for(held, cause, turn);
            }
        }
    }

    /// What a message is to a place at `at`.
    fn judge(&self, event: &Event, at: Position) -> Judged {
        let Some(position) = event.position else { return Judged::Next };
        match position.epoch.cmp(&at.epoch) {
            std::cmp::Ordering::Greater => Judged::Beyond(Cause::Epoch),
            std::cmp::Ordering::Less if self.rules.hold(Rule::OrderedEpochs) => Judged::Old,
            std::cmp::Ordering::Less => Judged::Beyond(Cause::Epoch),
            std::cmp::Ordering::Equal if position.offset <= at.offset => Judged::Old,
            std::cmp::Ordering::Equal if position.offset - 1 == at.offset => Judged::Next,
            std::cmp::Ordering::Equal if !self.rules.hold(Rule::HoldAtHole) => Judged::Next,
            std::cmp::Ordering::Equal => Judged::Beyond(Cause::Hole),
        }
    }

    /// Passes on what follows the place, and moves it there.
    fn pass(&mut self, events: Vec<Event>, turn: &mut Turn<'_, S>) {
        if events.is_empty() {
            return;
        }
        let above = self.sent.each();
        if let (Some(at), Some(last)) = (&mut self.at, events.iter().rev().find_map(|event| event.position)) {
            at.offset = last.offset;
            self.sent.reach(last.offset);
        }
        for event in events.iter().filter(|event| event.position.is_some()) {
            self.tail.push(event, turn.bounds);
        }
        turn.effects.push(Effect::Pass { events, above });
    }

    fn stale(&mut self, turn: &mut Turn<'_, S>) {
        if self.at.is_some() && self.stale_since_ms.is_none() {
            self.stale_since_ms = Some(turn.now.ms);
            turn.effects.push(Effect::Stale { since_ms: turn.now.ms });
        }
    }

    fn read_id(&mut self) -> ReadId {
        self.reads = self.reads.wrapping_add(1);
        ReadId(self.reads)
    }
}

/// What a message is to a place.
enum Judged {
    /// Passed on already, or of an epoch that is over.
    Old,
    /// To be passed on.
    Next,
    /// Only a read can tell.
    Beyond(Cause),
}

#[cfg(test)]
mod tests;
