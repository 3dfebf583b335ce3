//! One client over all its connections: what outlives a socket that drops and comes back, and the channels it moves between.

use crate::checker::{Checker, Faults, Start};
use crate::places::Places;
use crate::progress::Progress;
use crate::scenario::Scenario;

/// One client.
#[derive(Debug)]
pub struct Seat {
    /// Its number in the scenario.
    pub number: u32,
    /// How often it has moved to another channel.
    pub turn: u32,
    /// Whether it reads slowly.
    pub slow: bool,
    /// Whether it takes one read at a time now.
    pub sips: bool,
    /// What it received in its channels.
    pub checker: Checker,
    /// What was wrong in those that it has left.
    pub left: Faults,
    /// Where it goes: its old channels are not left yet.
    next: Option<(Checker, Option<Places>)>,
    /// Where it is, if it will come back.
    pub places: Option<Places>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// When the connection that is opening was begun.
    pub began: u64,
    /// Why it is away, if it is.
    pub away: Option<Away>,
}

/// Why a client that was in is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Away {
    /// It left for other channels.
    Moving,
    /// It dropped, at that time.
    Dropped(u64),
    /// It dropped at that time and is back: it must have so many events of each channel.
    CatchingUp(u64, Vec<u64>),
}

impl Seat {
    /// The `number`th client of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, number: u32) -> Self {
        Self {
            number,
            turn: 0,
            slow: scenario.is_slow(number),
            sips: scenario.is_slow(number),
            checker: Checker::new(scenario.channels_of(number, 0), scenario.start),
            left: Faults::default(),
            next: None,
            places: places(scenario, number, 0),
            attempts: 0,
            began: 0,
            away: None,
        }
    }

    /// Its channels by name.
    #[must_use]
    pub fn names(&self, scenario: &Scenario) -> Vec<String> {
        let channels = scenario.channels_of(self.number, self.turn);
        channels.map(|channel| scenario.channel_name(channel)).collect()
    }

    /// It goes on to the next channels; until [`Seat::part`] the old ones are checked.
    pub fn move_on(&mut self, scenario: &Scenario) {
        self.turn = self.turn.wrapping_add(1);
        self.away = Some(Away::Moving);
        let next = Checker::new(scenario.channels_of(self.number, self.turn), Start::Joined);
        self.next = Some((next, places(scenario, self.number, self.turn)));
    }

    /// It has left the old channels, if it was about to: from here on nothing of them may come.
    pub fn part(&mut self) {
        if let Some((checker, places)) = self.next.take() {
            self.left.add(std::mem::replace(&mut self.checker, checker).left());
            self.places = places;
        }
    }

    /// It is in: what must come from here on is known now.
    pub fn arrive(&mut self, progress: &Progress) {
        self.attempts = 0;
        match self.away.take() {
            Some(Away::Moving) => self.checker.expect(|channel| progress.sent(channel)),
            Some(Away::Dropped(at) | Away::CatchingUp(at, _)) => {
                let sent = self.checker.channels().map(|channel| progress.sent(channel)).collect();
                self.away = Some(Away::CatchingUp(at, sent));
            }
            None => {}
        }
    }

    /// When it dropped, if it has caught up just now.
    pub fn caught_up(&mut self) -> Option<u64> {
        let Some(Away::CatchingUp(at, sent)) = &self.away else { return None };
        let at = *at;
        self.checker.reached(sent).then(|| {
            self.away = None;
            at
        })
    }
}

/// Where it goes on after a drop, if it drops.
fn places(scenario: &Scenario, number: u32, turn: u32) -> Option<Places> {
    let names = |channel| (channel, scenario.channel_name(channel));
    scenario.resumes().then(|| Places::new(scenario.channels_of(number, turn).map(names)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Verdict;
    use crate::door::Doors;

    #[test]
    fn who_has_left_a_channel_may_hear_nothing_of_it() {
        let scenario = Scenario { storms: 1, ..Scenario::new("ws://h", 4, 4, Doors::Mixed, 128) };
        let mut seat = Seat::new(&scenario, 2);
        assert_eq!((seat.checker.take(2, 1), seat.checker.take(2, 3)), (Verdict::Fine, Verdict::Skipped(1)));
        seat.move_on(&scenario);
        // Not confirmed yet: what comes is as good as before, and what it lacks is lost.
        assert_eq!(seat.checker.take(2, 4), Verdict::Fine);
        assert!(seat.places.as_ref().is_some_and(|places| *places == self::places(&scenario, 2, 0).unwrap()));
        seat.part();
        assert_eq!((seat.left.lost, seat.names(&scenario)), (1, vec![scenario.channel_name(3)]));
        assert_eq!((seat.checker.take(2, 5), seat.checker.take(3, 8)), (Verdict::Stray, Verdict::Fine));
        assert_eq!(seat.places, self::places(&scenario, 2, 1), "it comes back to where it is now");
        seat.part();
        assert_eq!(seat.checker.finish(|_| 8), Faults { stray: 1, ..Faults::default() });
    }
}
