//! One client over all its connections: what outlives a socket that drops and comes back.

use crate::checker::{Checker, Start};
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
    /// What it received.
    pub checker: Checker,
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
        let names = |channel| (channel, scenario.channel_name(channel));
        let places = scenario.resumes().then(|| Places::new(scenario.channels_of(number, 0).map(names)));
        Self {
            number,
            turn: 0,
            slow: scenario.is_slow(number),
            sips: scenario.is_slow(number),
            checker: Checker::new(scenario.channels_of(number, 0), scenario.start),
            places,
            attempts: 0,
            began: 0,
            away: None,
        }
    }

    /// Goes on to the next channels; returns how the old ones were left.
    pub fn move_on(&mut self, scenario: &Scenario) -> Checker {
        self.turn = self.turn.wrapping_add(1);
        self.away = Some(Away::Moving);
        let next = Checker::new(scenario.channels_of(self.number, self.turn), Start::Joined);
        std::mem::replace(&mut self.checker, next)
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
