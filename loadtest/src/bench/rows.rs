//! The rows of the performance table as works: who is measured, with what, in which order.

use std::time::Duration;

use anyhow::Result;

use super::comeback::{Comeback, Where};
use super::echo;
use super::finding::{Figure, rounded};
use super::flow::Flow;
use super::functions::{self, Call};
use super::idle::Guests;
use super::subject::Subject::{self, Bun, Floor, Native, Paced, Plain, Redis, RoomFloor, SocketIo};
use super::{Bench, case};
use crate::rate::Rate;

/// All that can be asked for; row 7 comes with 6.
pub const ROWS: [u32; 12] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13];

impl Bench {
    /// Measures one row, all its rounds.
    ///
    /// # Errors
    /// When it does not exist, or the stand falls.
    pub(super) fn row(&mut self, row: u32) -> Result<()> {
        // Resting takes long and hardly varies.
        let rounds = if row == 6 { 1 } else { self.settings.rounds };
        for round in 1..=rounds {
            match row {
                1 => self.one_channel(row, round, case::LOW_RATE, Rate::PerSecond(20.0)),
                2 => self.one_channel(row, round, case::FULL_SPEED, Rate::Max),
                3 => self.through_redis(row, round, case::ROOMS, 1_000),
                4 => self.through_redis(row, round, case::DIRECT, 10_000),
                5 => self.history(round),
                6 => self.resting(round),
                8 => self.echoing(round),
                9 => self.coming(round),
                10 => self.returning(round)?,
                11 => self.two_nodes(round),
                12 => self.functions(round),
                13 => self.growth(round),
                _ => anyhow::bail!("rows are 1 to 13, not {row}"),
            }
        }
        Ok(())
    }

    fn flow(&self, connections: u32, channels: u32, rate: f64) -> Flow {
        let (connections, channels) = (self.size(connections), self.size(channels));
        Flow::new(connections, channels, Rate::PerSecond(rate), self.settings.length)
    }

    fn one_channel(&mut self, row: u32, round: u32, case: &str, rate: Rate) {
        let connections = self.size(2_000);
        let window = self.settings.window;
        let flow = Flow { window, ..Flow::new(connections, 1, rate, self.settings.length) };
        for subject in [Floor, Plain, Native, Bun, SocketIo] {
            self.measure(row, case, round, subject, |stand| flow.measure(stand, subject));
        }
    }

    fn through_redis(&mut self, row: u32, round: u32, case: &str, channels: u32) {
        let flow = self.flow(10_000, channels, 5_000.0);
        for subject in [RoomFloor, Plain, Native, Paced, Bun, SocketIo] {
            self.measure(row, case, round, subject, |stand| flow.measure(stand, subject));
        }
    }

    fn history(&mut self, round: u32) {
        let live = self.flow(10_000, 1_000, 5_000.0);
        for (case, history) in [(case::LIVE, false), (case::KEPT, true)] {
            let flow = Flow { history, ..live };
            self.measure(5, case, round, Native, |stand| flow.measure(stand, Native));
        }
    }

    fn resting(&mut self, round: u32) {
        let guests = Guests { connections: self.size(15_000), token: false, rest: Some(self.rest()) };
        for subject in [Plain, Native, Bun, SocketIo] {
            self.measure(6, case::IDLE, round, subject, |stand| guests.measure(stand, subject));
        }
    }

    fn rest(&self) -> (Duration, Duration) {
        let seconds = Duration::from_secs;
        if self.settings.quick { (seconds(1), seconds(3)) } else { (seconds(5), seconds(25)) }
    }

    fn echoing(&mut self, round: u32) {
        let connections = self.size(10_000);
        for subject in [Plain, Native, Bun, SocketIo] {
            self.measure(8, case::ECHO, round, subject, |stand| echo::measure(stand, subject, connections));
        }
    }

    fn coming(&mut self, round: u32) {
        let connections = self.size(5_000);
        for (case, token) in [(case::NO_TOKEN, false), (case::TOKEN, true)] {
            let guests = Guests { connections, token, rest: None };
            for subject in [Plain, Native, Bun, SocketIo] {
                if !token || !subject.is_peer() {
                    self.measure(9, case, round, subject, |stand| guests.measure(stand, subject));
                }
            }
        }
    }

    fn returning(&mut self, round: u32) -> Result<()> {
        let connections = self.size(10_000);
        for (case, sharing, place) in [
            (case::SHARED_NEW, 100, Where::NewNode),
            (case::OWN_NEW, 1, Where::NewNode),
            (case::SHARED_SAME, 100, Where::SameNode),
            (case::OWN_SAME, 1, Where::SameNode),
        ] {
            let comeback = Comeback { connections, channels_each: 5, sharing, place };
            self.measure(10, case, round, Native, |stand| comeback.measure(stand));
            self.stand.ask(&self.stand.kept, &["FLUSHALL"])?;
        }
        Ok(())
    }

    fn two_nodes(&mut self, round: u32) {
        let rooms = Flow { nodes: 2, window: 256, ..self.flow(10_000, 1_000, 1.0) };
        let full = Flow { rate: Rate::Max, ..rooms };
        self.measure(11, case::SATURATED, round, Plain, |stand| full.measure(stand, Plain));
        let figures = self.findings.figures(11, case::SATURATED, Plain, Figure::Published);
        if let Some(&(_, rate)) = figures.iter().find(|figure| figure.0 == round) {
            let half = Flow { rate: Rate::PerSecond(rate / 2.0), ..rooms };
            self.measure(11, case::HALF, round, Plain, |stand| half.measure(stand, Plain));
        }
    }

    fn functions(&mut self, round: u32) {
        let length = self.settings.length;
        for (case, call) in
            [(case::PUBLISH, Call::Publish), (case::FUNCTION, Call::Function), (case::KEYED, Call::Keyed)]
        {
            self.measure(12, case, round, Redis, |stand| functions::measure(stand, call, length));
        }
    }

    fn growth(&mut self, round: u32) {
        for (many, case) in case::RESTING {
            let rest = (round == 1).then(|| self.rest()); // it hardly varies, as in row 6
            let guests = Guests { connections: self.size(4_000 * many), token: false, rest };
            self.measure(13, case, round, Plain, |stand| guests.measure(stand, Plain));
        }
        for ((many, rooms), (nodes, subscriptions)) in case::CONNECTIONS
            .into_iter()
            .zip(case::CHANNELS)
            .zip(case::NODES.into_iter().zip(case::SUBSCRIPTIONS))
        {
            let flow = self.flow(1_000 * many.0, 1, 20.0);
            self.beside(many.1, round, Floor, flow);
            let flow = self.flow(2_500 * rooms.0, 250 * rooms.0, 2_000.0);
            self.beside(rooms.1, round, RoomFloor, flow);
            let flow = Flow { nodes: nodes.0, ..self.flow(4_000, 1, 20.0) };
            self.measure(13, nodes.1, round, Plain, |stand| flow.measure(stand, Plain));
            let flow = self.flow(2_000, 2_000 * subscriptions.0, 5_000.0);
            self.measure(13, subscriptions.1, round, Plain, |stand| flow.measure(stand, Plain));
        }
    }

    /// Sockets alone cost the kernel more when there are more of them, so growth is held against
    /// the floor's.
    fn beside(&mut self, case: &str, round: u32, floor: Subject, flow: Flow) {
        for subject in [floor, Plain] {
            self.measure(13, case, round, subject, |stand| flow.measure(stand, subject));
        }
        let cost = |bench: &Self, subject| {
            let figures = bench.findings.figures(13, case, subject, Figure::CpuUs);
            figures.into_iter().find(|figure| figure.0 == round).map(|figure| figure.1)
        };
        let (Some(ours), Some(floor)) = (cost(self, Plain), cost(self, floor)) else { return };
        if let Some(last) = self.findings.measurements.last_mut() {
            last.figures.insert(Figure::CpuToFloor, rounded(ours / floor));
        }
    }
}
