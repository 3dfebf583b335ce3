//! One receiving thread: opens its share of the connections and reads them all with one epoll.
//!
//! A thread, not a runtime: with thousands of sockets on a shared core, a delivery must cost one
//! read and little else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::checker::Checker;
use crate::connection::{Connection, Phase};
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::tally::{Ear, Tally};

/// Connections that may be opening at once: well below any listen backlog.
const OPENING: usize = 128;
/// As much as one read may bring.
const SCRATCH: usize = 64 * 1024;
/// How late a stop may be noticed.
const TICK: Duration = Duration::from_millis(50);

/// What a thread brings back.
#[derive(Debug)]
pub struct Heard {
    /// Its counts.
    pub tally: Tally,
    /// Its connections' deliveries.
    pub checkers: Vec<Checker>,
}

/// Opens the connections `numbers` of the scenario and receives until stopped.
///
/// # Errors
/// When a connection cannot be opened or the server breaks the protocol.
pub fn receive(
    scenario: &Scenario,
    numbers: impl IntoIterator<Item = u32>,
    address: SocketAddr,
    host: &str,
    progress: &Progress,
) -> Result<Heard> {
    let mut numbers = numbers.into_iter();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Connection> = Vec::new();
    let mut scratch = vec![0; SCRATCH];
    let mut tally = Tally::default();
    let mut opening = 0;
    let mut cut = progress.board.cut();
    while !progress.stopped() {
        while opening < OPENING
            && let Some(number) = numbers.next()
        {
            let mut connection = Connection::start(scenario, number, address, host)?;
            let token = Token(connections.len());
            poll.registry().register(
                &mut connection.stream,
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            connections.push(connection);
            opening += 1;
        }
        match poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        let current = progress.board.cut();
        if current != cut {
            tally.hand_over(&progress.board, cut);
            cut = current;
        }
        let before = tally.delivered;
        for event in &events {
            let connection = &mut connections[event.token().0];
            if matches!(connection.phase(), Phase::Ended(_)) {
                continue;
            }
            let was_open = *connection.phase() == Phase::Open;
            let mut ear = Ear {
                run: scenario.run,
                payload: scenario.payload,
                now: 0,
                measure_from: progress.measured_from(),
                tally: &mut tally,
            };
            if !was_open && event.is_writable() {
                connection.writable().context("a connection failed")?;
            }
            connection
                .readable(&mut scratch, event.is_read_closed(), &mut ear)
                .context("a connection failed")?;
            match connection.phase() {
                Phase::Open if !was_open => {
                    poll.registry().reregister(&mut connection.stream, event.token(), Interest::READABLE)?;
                    opening -= 1;
                    progress.opened();
                }
                Phase::Ended(reason) if was_open => {
                    *tally.ended.entry(reason.clone()).or_default() += 1;
                    tally.lately.ended += 1;
                }
                Phase::Ended(reason) => bail!("a connection ended before it was open: {reason}"),
                _ => {}
            }
        }
        progress.deliver(tally.delivered - before);
    }
    tally.hand_over(&progress.board, cut);
    let checkers = connections.into_iter().map(|connection| connection.checker).collect();
    Ok(Heard { tally, checkers })
}
