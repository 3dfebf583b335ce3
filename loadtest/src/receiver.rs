//! One receiving thread: opens its share of the connections and reads them all with one epoll. Who drops, leaves or reads
//! slowly does it here, when it is time.
//!
//! A thread, not a runtime: with thousands of sockets on a shared core, a delivery must cost one
//! read and little else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Error, Result};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::checker::Faults;
use crate::clock;
use crate::connection::{Connection, Phase};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::seat::{Away, Seat};
use crate::tally::{Ear, Tally};

/// As much as one read may bring.
const SCRATCH: usize = 64 * 1024;
/// How late a stop may be noticed.
const TICK: Duration = Duration::from_millis(50);
/// How often a slow connection reads a little.
const SIP: u64 = 100_000_000;
/// Attempts in a row before a connection that cannot open fails the run.
const ATTEMPTS: u32 = 10;

/// What a thread brings back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Its counts.
    pub tally: Tally,
    /// What was wrong with its connections' deliveries.
    pub faults: Faults,
}

/// Where connections go.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The same as it was written, for the request.
    pub host: String,
}

/// Opens the connections of one thread, to these gateways in turn, and receives until stopped.
///
/// # Errors
/// When a connection cannot be opened or the server breaks the protocol.
pub fn receive(
    scenario: &Scenario,
    receiver: u32,
    gateways: &[Gateway],
    progress: &Progress,
) -> Result<Heard> {
    let slots: Vec<Slot> = scenario
        .numbers(receiver)
        .map(|number| Slot { seat: Seat::new(scenario, number), connection: None })
        .collect();
    let threads = f64::from(scenario.receivers.max(1) * scenario.slice.of);
    let now = clock::now();
    let gap = scenario.ramp_up.map_or(0.0, |rate| 1e9 * threads / rate);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let waiting = (0..slots.len()).map(|slot| Reverse((now + (gap * slot as f64) as u64, slot))).collect();
    Receiver {
        scenario,
        gateways,
        progress,
        pace: Pace::new(scenario, threads),
        poll: Poll::new()?,
        slots,
        waiting,
        opening: 0,
        tally: Tally::default(),
        sipped: 0,
        free: false,
    }
    .run()
}

/// A client and its connection, if it has one now.
struct Slot {
    seat: Seat,
    connection: Option<Connection>,
}

struct Receiver<'a> {
    scenario: &'a Scenario,
    gateways: &'a [Gateway],
    progress: &'a Progress,
    pace: Pace,
    poll: Poll,
    slots: Vec<Slot>,
    /// Who connects next: time and slot. Each slot is here at most once.
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    opening: u32,
    tally: Tally,
    /// When the slow ones read last.
    sipped: u64,
    /// Whether the slow ones may read all.
    free: bool,
}

impl Receiver<'_> {
    fn run(mut self) -> Result<Heard> {
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; SCRATCH];
        let mut cut = self.progress.board.cut(clock::now());
        while !self.progress.stopped() {
            let now = clock::now();
            self.act(now)?;
            self.open_due(now)?;
            self.sip(now, &mut scratch)?;
            match self.poll.poll(&mut events, Some(self.patience(now))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let current = self.progress.board.cut(clock::now());
            if current != cut {
                self.tally.hand_over(&self.progress.board, cut);
                cut = current;
            }
            let before = self.tally.delivered;
            for event in &events {
                let (slot, ends) = (event.token().0, event.is_read_closed());
                self.step(slot, event.is_writable(), ends, &mut scratch)?;
            }
            self.progress.deliver(self.tally.delivered - before);
        }
        self.tally.hand_over(&self.progress.board, cut);
        let mut faults = Faults::default();
        for Slot { seat, connection } in &self.slots {
            faults.add(seat.left);
            let ended = matches!(connection.as_ref().map(Connection::phase), Some(Phase::Ended(_)));
            // Who read slowly and was closed for it lacks the rest, but nothing in between.
            faults.add(match seat.slow && ended {
                true => seat.checker.left(),
                false => seat.checker.finish(|channel| self.progress.total(channel)),
            });
        }
        Ok(Heard { tally: self.tally, faults })
    }

    fn patience(&self, now: u64) -> Duration {
        let room = self.opening < self.scenario.opening;
        let next = self.waiting.peek().filter(|_| room).map_or(u64::MAX, |Reverse((when, _))| *when);
        let next = next.min(self.pace.next());
        TICK.min(Duration::from_nanos(next.saturating_sub(now)))
    }

    /// Drops and leaves that are due.
    fn act(&mut self, now: u64) -> Result<()> {
        if self.progress.begun() == 0 || self.progress.settling() {
            return Ok(());
        }
        self.pace.begin(self.progress.begun());
        while let Some(turn) = self.pace.leave(now) {
            let slot = turn % self.slots.len().max(1);
            self.move_on(slot, now)?;
        }
        if self.pace.storm(now) {
            for slot in 0..self.slots.len() {
                self.drop_out(slot, now);
            }
        }
        Ok(())
    }

    fn move_on(&mut self, slot: usize, now: u64) -> Result<()> {
        let Some(Slot { seat, connection }) = self.slots.get_mut(slot) else { return Ok(()) };
        // Who is not in now is passed over, and who was thrown out stays out.
        let Some(open) =
            connection.as_mut().filter(|open| *open.phase() == Phase::Open && seat.away.is_none())
        else {
            return Ok(());
        };
        let leave = seat.names(self.scenario);
        seat.move_on(self.scenario);
        self.progress.went(1);
        // Who reads slowly would not read the answers; who cannot write comes back.
        if !seat.slow && open.move_on(&leave, &seat.names(self.scenario)).unwrap_or(false) {
            return Ok(());
        }
        open.leave();
        *connection = None;
        seat.part();
        self.waiting.push(Reverse((now, slot)));
        Ok(())
    }

    fn drop_out(&mut self, slot: usize, now: u64) {
        let Slot { seat, connection } = &mut self.slots[slot];
        match connection.as_ref().map(Connection::phase) {
            Some(Phase::Open) => {
                if seat.away.is_none() {
                    self.progress.went(1);
                }
            }
            // Those that are opening go on; those that were ended stay so.
            _ => return,
        }
        *connection = None;
        seat.away = Some(Away::Dropped(now));
        self.waiting.push(Reverse((now + self.scenario.away, slot)));
    }

    fn open_due(&mut self, now: u64) -> Result<()> {
        while self.opening < self.scenario.opening
            && let Some(&Reverse((when, slot))) = self.waiting.peek()
            && when <= now
        {
            self.waiting.pop();
            let Slot { seat, connection } = &mut self.slots[slot];
            seat.began = clock::now();
            let Some(to) = self.gateways.get(seat.number as usize % self.gateways.len().max(1)) else {
                continue;
            };
            let fresh = connection.insert(Connection::start(self.scenario, seat, to.address, &to.host)?);
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut fresh.stream, Token(slot), interests)?;
            self.opening += 1;
        }
        Ok(())
    }

    fn step(&mut self, slot: usize, writable: bool, ends: bool, scratch: &mut [u8]) -> Result<()> {
        let Slot { seat, connection } = &mut self.slots[slot];
        let Some(open) = connection else { return Ok(()) };
        if matches!(open.phase(), Phase::Ended(_)) {
            return Ok(());
        }
        let (was_open, was_moving) = (*open.phase() == Phase::Open, open.is_moving());
        let mut ear = Ear {
            run: self.scenario.run,
            payload: self.scenario.payload,
            now: 0,
            measure_from: self.progress.measured_from(),
            slow: seat.slow,
            tally: &mut self.tally,
        };
        let mut outcome = if !was_open && !was_moving && writable { open.writable() } else { Ok(()) };
        if outcome.is_ok() {
            outcome = open.readable(seat, scratch, ends, &mut ear);
        }
        if let (Ok(()), Phase::Ended(reason), false) = (&outcome, open.phase(), was_open) {
            outcome = Err(anyhow::anyhow!("a connection ended before it was open: {reason}"));
        }
        match (outcome, open.phase()) {
            (Err(error), _) if was_open => return Err(error.context("a connection failed")),
            (Err(error), _) => return self.failed(slot, error, was_moving),
            (Ok(()), Phase::Open) if was_moving => self.moved(slot),
            (Ok(()), Phase::Open) if !was_open => self.arrived(slot)?,
            (Ok(()), Phase::Ended(reason)) => {
                let ended = if seat.slow { &mut self.tally.slow_ended } else { &mut self.tally.ended };
                *ended.entry(reason.clone()).or_default() += 1;
                self.tally.lately.ended += 1;
                if seat.away.take().is_some() {
                    self.progress.went(-1);
                }
                return Ok(());
            }
            _ => {}
        }
        let seat = &mut self.slots[slot].seat;
        if let Some(dropped) = seat.caught_up() {
            self.tally.returns.record(clock::now().saturating_sub(dropped));
            self.tally.returned += 1;
            self.progress.went(-1);
        }
        Ok(())
    }

    fn arrived(&mut self, slot: usize) -> Result<()> {
        let Slot { seat, connection } = &mut self.slots[slot];
        let Some(open) = connection else { return Ok(()) };
        self.opening -= 1;
        self.tally.connects.record(clock::now().saturating_sub(seat.began));
        match seat.away {
            None => self.progress.opened(1),
            Some(Away::Moving) => {
                self.tally.joined += 1;
                self.progress.went(-1);
            }
            Some(_) => {}
        }
        seat.arrive(self.progress);
        if seat.slow && !self.free {
            self.poll.registry().deregister(&mut open.stream)?;
        } else {
            self.poll.registry().reregister(&mut open.stream, Token(slot), Interest::READABLE)?;
        }
        Ok(())
    }

    /// It has left its channels and joined others on the same connection.
    fn moved(&mut self, slot: usize) {
        self.tally.joined += 1;
        self.tally.parted += 1;
        self.progress.went(-1);
        self.slots[slot].seat.arrive(self.progress);
    }

    /// An attempt failed, or moving to other channels, which is done by connecting anew then. Where nobody is in yet the
    /// address is wrong, or nobody there: that ends the run at once.
    fn failed(&mut self, slot: usize, error: Error, moving: bool) -> Result<()> {
        let Slot { seat, connection } = &mut self.slots[slot];
        *connection = None;
        seat.part();
        self.opening -= u32::from(!moving);
        seat.attempts += 1;
        if !self.progress.anybody() {
            return Err(error.context("a connection failed"));
        }
        if seat.attempts >= ATTEMPTS {
            return Err(error.context(format!("a connection failed {ATTEMPTS} times")));
        }
        self.progress.failed(1);
        let pause = clock::nanos(Duration::from_millis(50)) << seat.attempts.min(4);
        self.waiting.push(Reverse((clock::now() + pause, slot)));
        Ok(())
    }

    /// The slow ones read a little, or all that is left once nothing more is published.
    fn sip(&mut self, now: u64, scratch: &mut [u8]) -> Result<()> {
        let Some(slow) = self.scenario.slow else { return Ok(()) };
        let settling = self.progress.settling();
        if self.free || (!settling && (slow.bytes == 0 || now - self.sipped < SIP)) {
            return Ok(());
        }
        self.sipped = now;
        self.free = settling;
        let share = (slow.bytes / 10).max(1) as usize;
        for slot in 0..self.slots.len() {
            let Slot { seat, connection } = &mut self.slots[slot];
            let Some(open) = connection.as_mut().filter(|open| seat.slow && *open.phase() == Phase::Open)
            else {
                continue;
            };
            seat.sips = !settling;
            if settling {
                self.poll.registry().register(&mut open.stream, Token(slot), Interest::READABLE)?;
            }
            let most = if settling { scratch.len() } else { share.min(scratch.len()) };
            self.step_slow(slot, &mut scratch[..most], settling)?;
        }
        Ok(())
    }

    fn step_slow(&mut self, slot: usize, scratch: &mut [u8], to_end: bool) -> Result<()> {
        let before = self.tally.delivered;
        self.step(slot, false, to_end, scratch)?;
        self.progress.deliver(self.tally.delivered - before);
        Ok(())
    }
}
