//! The places of one lane: one for each channel with history that somebody here subscribes to.
//!
//! It keeps their time, looks at their tops, and counts what they repair; what they decide is carried out by
//! the lane. It must not know wire formats or how a history is read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use tidegate_core::hub::Seat;
use tidegate_core::place::{Bounds, Cause, Effect, Effects, Input, Now, Place};
use tidegate_core::{ChannelName, Event, Position};

use super::order::{Newcomer, Top, Whose};
use super::repairs::Repairs;

/// Between two looks at a channel's top: with what follows, a last event whose message was lost is heard
/// within 5 s.
const CHECK_MS: u64 = 4_500;
/// How long a message may be on its way when its event is in the top already.
const ON_ITS_WAY_MS: u64 = 250;
/// Tops asked for at once: a lane looks at no more in one [`PULSE_MS`], so above about 100,000 channels the
/// looks are further apart.
const TOPS: usize = 256;
/// How often a lane with places looks at its clock.
pub(super) const PULSE_MS: u64 = 20;
/// A place renews the life of its channel's position this often, or more often where that is short.
const RENEW_MS: u64 = 24 * 60 * 60 * 1000;
/// How long the node may say that it is not ready because places of a shard that came back read. What takes
/// longer (a slot on the move) concerns few channels.
const RESYNC_MS: u64 = 5_000;

/// One channel's place, and what is known of its channel.
pub(super) struct Kept {
    pub(super) place: Place<Seat>,
    pub(super) life: u32,
    /// The broker was asked to subscribe, and has not refused.
    wanted: bool,
    /// The broker confirmed.
    subscribed: bool,
    /// It was told that its shard is not heard.
    down: bool,
    renew_ms: u64,
    renew_every_ms: u64,
}

/// A lane's places.
pub(super) struct Keeper {
    places: HashMap<ChannelName, Kept>,
    /// Subscribers that are not attached yet.
    newcomers: HashMap<Seat, Newcomer>,
    bounds: Bounds,
    lives: u32,
    /// Places that want to be told the time.
    restless: HashSet<ChannelName>,
    /// When to look at whose top; in order, since each waits equally long.
    checks: VecDeque<(u64, Whose)>,
    /// One question about tops is under way.
    looking: bool,
    /// Tops whose messages should be here by then.
    expected: Vec<(u64, Whose, Position)>,
    /// Places that read since their shard came back, and until when the node waits for them.
    resyncing: HashSet<ChannelName>,
    resync_until_ms: u64,
    /// How many those are, for the node's health.
    unready: Arc<AtomicUsize>,
    tail_bytes: usize,
    most_tail_bytes: usize,
    repairs: Repairs,
}

/// What the clock asks for.
pub(super) struct Due {
    /// Places that are to be told the time.
    pub(super) ticks: Vec<ChannelName>,
    /// Whose tops to look at, and where their places are.
    pub(super) tops: Vec<(Whose, Position)>,
    /// Channels whose messages should have been here.
    pub(super) missing: Vec<(Whose, Position)>,
    /// Whose positions to renew.
    pub(super) renew: Vec<ChannelName>,
}

impl Keeper {
    /// One without places. Their tails hold at most `most_tail_bytes`; above, some are forgotten, and who
    /// resumes there costs a read.
    pub(super) fn new(most_tail_bytes: usize, unready: Arc<AtomicUsize>, repairs: Repairs) -> Self {
        Self {
            places: HashMap::new(),
            newcomers: HashMap::new(),
            bounds: Bounds::default(),
            lives: 0,
            restless: HashSet::new(),
            checks: VecDeque::new(),
            looking: false,
            expected: Vec::new(),
            resyncing: HashSet::new(),
            resync_until_ms: 0,
            unready,
            tail_bytes: 0,
            most_tail_bytes,
            repairs,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn has(&self, channel: &ChannelName) -> bool {
        self.places.contains_key(channel)
    }

    /// The names of all places.
    pub(super) fn channels(&self) -> Vec<ChannelName> {
        self.places.keys().cloned().collect()
    }

    /// Whose orders of this channel are for the place there is.
    pub(super) fn whose(&self, channel: &ChannelName) -> Option<Whose> {
        let life = self.places.get(channel)?.life;
        Some(Whose { channel: channel.clone(), life })
    }

    /// Whether an order is for the place there is, and not for one before it.
    pub(super) fn is_alive(&self, whose: &Whose) -> bool {
        self.places.get(&whose.channel).is_some_and(|kept| kept.life == whose.life)
    }

    /// Takes a subscriber in. True: the broker is to be asked for the channel, whose position lives for so long.
    pub(super) fn welcome(&mut self, newcomer: Newcomer, position_ttl: Duration, now_ms: u64) -> bool {
        let channel = newcomer.channel.clone();
        self.newcomers.insert(newcomer.seat, newcomer);
        if !self.places.contains_key(&channel) {
            self.lives = self.lives.wrapping_add(1);
            let life = self.lives;
            self.checks.push_back((now_ms + CHECK_MS, Whose { channel: channel.clone(), life }));
            let renew_every_ms = renew_every_ms(position_ttl);
            let renew_ms = now_ms + renew_every_ms;
            let kept = Kept {
                place: Place::new(),
                life,
                wanted: false,
                subscribed: false,
                down: false,
                renew_ms,
                renew_every_ms,
            };
            self.places.insert(channel.clone(), kept);
        }
        let kept = self.places.get_mut(&channel).filter(|kept| !kept.wanted);
        kept.is_some_and(|kept| !std::mem::replace(&mut kept.wanted, true))
    }

    /// A subscriber that is not attached yet.
    pub(super) fn newcomer(&self, seat: Seat) -> Option<&Newcomer> {
        self.newcomers.get(&seat)
    }

    /// A subscriber is attached, refused or gone.
    pub(super) fn settle(&mut self, seat: Seat) -> Option<Newcomer> {
        let newcomer = self.newcomers.remove(&seat)?;
        if newcomer.in_turn {
            newcomer.connection.entered();
        }
        Some(newcomer)
    }

    /// A subscriber takes its turn, or waits for room and lets others go on meanwhile.
    pub(super) fn turn(&mut self, seat: Seat, in_turn: bool) {
        let Some(newcomer) = self.newcomers.get_mut(&seat) else { return };
        if std::mem::replace(&mut newcomer.in_turn, in_turn) && !in_turn {
            newcomer.connection.entered();
        }
    }

    /// The broker has confirmed the channel, or refused it: then it is asked again for the next subscriber.
    pub(super) fn heard(&mut self, channel: &ChannelName, confirmed: bool) {
        if let Some(kept) = self.places.get_mut(channel) {
            (kept.wanted, kept.subscribed) = (confirmed, confirmed);
        }
    }

    /// Nobody subscribes any more.
    pub(super) fn forget(&mut self, channel: &ChannelName) {
        if let Some(kept) = self.places.remove(channel) {
            self.tail_bytes -= kept.place.tail_bytes();
        }
        self.restless.remove(channel);
        self.synced(channel);
    }

    /// The first of `events` that simply follow, in order: how many.
    pub(super) fn follow(&mut self, channel: &ChannelName, events: &[Event]) -> usize {
        let Some(kept) = self.places.get_mut(channel) else { return events.len() };
        let before = kept.place.tail_bytes();
        let bounds = &self.bounds;
        let count = events.iter().take_while(|event| kept.place.follows(event, bounds)).count();
        self.tail_bytes = self.tail_bytes + kept.place.tail_bytes() - before;
        count
    }

    /// One step of a place. Nothing comes of it if there is none.
    pub(super) fn step(&mut self, channel: &ChannelName, input: Input<Seat>, now: Now) -> Effects<Seat> {
        let mut effects = Effects::new();
        let Some(kept) = self.places.get_mut(channel) else { return effects };
        let before = kept.place.tail_bytes();
        kept.place.step(input, now, &self.bounds, &mut effects);
        self.tail_bytes = self.tail_bytes + kept.place.tail_bytes() - before;
        // In this order: a place with thousands of newcomers has to look at them all to know.
        if !self.restless.contains(channel) && kept.place.deadline_ms().is_some() {
            self.restless.insert(channel.clone());
        }
        for effect in &effects {
            if let Effect::Repaired { cause, events, dropped, began_ms } = *effect {
                self.repairs.note(cause, events, dropped, now.ms.saturating_sub(began_ms));
                self.synced(channel);
            }
        }
        effects
    }

    /// A shard is heard again, or not any more: which of these places are to be told, and what.
    pub(super) fn shard(&mut self, channels: Vec<ChannelName>, up: bool, now_ms: u64) -> Vec<ChannelName> {
        let mut told = Vec::new();
        for channel in channels {
            let Some(kept) = self.places.get_mut(&channel) else { continue };
            if !kept.subscribed {
                continue; // it is not heard for another reason: its subscribing is under way
            }
            kept.down = !up;
            if up && kept.place.position().is_some() {
                self.resyncing.insert(channel.clone());
                self.resync_until_ms = now_ms + RESYNC_MS;
            }
            told.push(channel);
        }
        self.unready.store(self.resyncing.len(), Ordering::Release);
        told
    }

    /// Whether a place was told that it is not heard.
    pub(super) fn is_down(&self, channel: &ChannelName) -> bool {
        self.places.get(channel).is_some_and(|kept| kept.down)
    }

    fn synced(&mut self, channel: &ChannelName) {
        if self.resyncing.remove(channel) {
            self.unready.store(self.resyncing.len(), Ordering::Release);
        }
    }

    /// What was found of the tops: channels whose place is elsewhere for sure. Where the top is only further
    /// on, the message may be on its way.
    pub(super) fn found(&mut self, tops: Vec<Top>, now_ms: u64) -> Vec<(ChannelName, Option<Position>)> {
        self.looking = false;
        let mut differ = Vec::new();
        for Top { whose, asked_at, found } in tops {
            if !self.is_alive(&whose) {
                continue;
            }
            match found {
                Some(top) if top.epoch == asked_at.epoch && top.offset >= asked_at.offset => {
                    if !self.has_reached(&whose, top) {
                        self.expected.push((now_ms + ON_ITS_WAY_MS, whose, top));
                    }
                }
                // Events that the place had passed on are not there.
                found => differ.push((whose.channel, found)),
            }
        }
        differ
    }

    fn has_reached(&self, whose: &Whose, top: Position) -> bool {
        let place = self.places.get(&whose.channel).and_then(|kept| kept.place.position());
        place.is_some_and(|at| at.epoch > top.epoch || (at.epoch == top.epoch && at.offset >= top.offset))
    }

    /// Time has passed.
    pub(super) fn pulse(&mut self, now_ms: u64) -> Due {
        let (mut ticks, mut missing) = (Vec::new(), Vec::new());
        let places = &self.places;
        self.restless.retain(|channel| {
            let deadline = places.get(channel).and_then(|kept| kept.place.deadline_ms());
            if deadline.is_some_and(|deadline| deadline <= now_ms) {
                ticks.push(channel.clone());
            }
            deadline.is_some()
        });
        let expected = std::mem::take(&mut self.expected);
        for (due_ms, whose, top) in expected {
            if due_ms > now_ms {
                self.expected.push((due_ms, whose, top));
            } else if self.is_alive(&whose) && !self.has_reached(&whose, top) {
                missing.push((whose, top));
            }
        }
        if now_ms >= self.resync_until_ms && !self.resyncing.is_empty() {
            self.resyncing.clear();
            self.unready.store(0, Ordering::Release);
        }
        self.repairs.report(now_ms);
        let (tops, renew) = self.due_checks(now_ms);
        Due { ticks, tops, missing, renew }
    }

    fn due_checks(&mut self, now_ms: u64) -> (Vec<(Whose, Position)>, Vec<ChannelName>) {
        let (mut tops, mut renew) = (Vec::new(), Vec::new());
        while !self.looking && tops.len() < TOPS {
            if self.checks.front().is_none_or(|(due_ms, _)| *due_ms > now_ms) {
                break;
            }
            let Some((_, whose)) = self.checks.pop_front() else { break };
            let too_much = self.tail_bytes > self.most_tail_bytes;
            let Some(kept) = self.places.get_mut(&whose.channel).filter(|kept| kept.life == whose.life)
            else {
                continue;
            };
            if too_much {
                self.tail_bytes -= kept.place.tail_bytes();
                kept.place.drop_tail();
            }
            if now_ms >= kept.renew_ms {
                kept.renew_ms = now_ms + kept.renew_every_ms;
                renew.push(whose.channel.clone());
            }
            if kept.subscribed
                && let Some(at) = kept.place.position()
            {
                tops.push((whose.clone(), at));
            }
            self.checks.push_back((now_ms + CHECK_MS, whose));
        }
        self.looking |= !tops.is_empty();
        (tops, renew)
    }
}

/// Often enough that a position outlives its subscribers: one that ended would be told to all of them as lost.
fn renew_every_ms(position_ttl: Duration) -> u64 {
    let third = u64::try_from(position_ttl.as_millis() / 3).unwrap_or(u64::MAX);
    third.min(RENEW_MS)
}

/// How a cause is spelled in logs and metrics.
pub(super) fn spell(cause: Cause) -> &'static str {
    match cause {
        Cause::First => "first",
        Cause::Hole => "hole",
        Cause::Epoch => "epoch",
        Cause::Connected => "reconnected",
        Cause::Moved => "moved",
        Cause::Overflowed => "overflowed",
        Cause::Check => "check",
        Cause::Subscriber => "subscriber",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_renewed_before_it_ends_and_once_a_day_at_least() {
        let hour = Duration::from_secs(60 * 60);
        assert_eq!(renew_every_ms(30 * 24 * hour), RENEW_MS);
        assert_eq!(renew_every_ms(hour), 20 * 60 * 1000);
    }
}
