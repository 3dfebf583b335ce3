//! A run second by second: how many connections, deliveries, how late, and what the server used.
//!
//! A thread of its own makes the cuts and looks at the counters. Receivers know when the next cut is, and then leave what
//! they counted on the board: once a second, so a delivery costs them nothing. Deliveries before the first due
//! event (the ramp-up, a server that sends already) have negative times.

mod board;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::latency::Percentiles;
use crate::progress::Progress;
use crate::vitals::{Usage, Vitals, own_cpu};
use board::Part;
pub use board::{Board, Lately};

/// Between two cuts.
const SECOND: u64 = 1_000_000_000;

/// One row of the series: about a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// When it ended, in seconds since the first event was due; below 0 while connections open.
    pub at: f64,
    /// How long it was: 1, but for the last ones before and after the events.
    pub length: f64,
    /// Connections open at its end.
    pub open: u64,
    /// Events published in it.
    pub published: u64,
    /// Events to connections in it.
    pub delivered: u64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Events that a connection has not got so far though it got a later one.
    pub missing: u64,
    /// Of the deliveries in it, to all but slow readers; `None` without any.
    pub latency: Option<Percentiles>,
    /// CPU of the server in cores; `None` when it is not watched, or has ended.
    pub cores: Option<f64>,
    /// Resident memory of the server in bytes.
    pub memory: Option<u64>,
    /// CPU of the generator itself in cores, all its processes together.
    pub generator_cores: f64,
}

impl Second {
    /// Whether it lies after the first due event. The cut there is made a little late, never early.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.at > self.length / 2.0
    }
}

/// What was seen at one cut.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: u64,
    open: u64,
    published: u64,
    server: Option<Usage>,
    own_cpu: u64,
}

enum Order {
    Start(u64),
    Stop,
}

/// Makes the cuts while a run goes on.
#[derive(Debug)]
pub struct Recorder {
    orders: SyncSender<Order>,
    thread: JoinHandle<Vec<Look>>,
    progress: Arc<Progress>,
    start: u64,
}

impl Recorder {
    /// Begins, with the connections still to be opened. `workers` are the other processes of the generator.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn new(progress: &Arc<Progress>, mut server: Vitals, mut workers: Vitals) -> Result<Self> {
        // Two orders in a life: neither waits.
        let (orders, inbox) = sync_channel(2);
        let shared = Arc::clone(progress);
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let mut look = || look(&shared, &mut server, &mut workers);
            let mut looks = vec![look()];
            let mut next = looks[0].at + SECOND;
            // Each part lies between two looks.
            shared.cut(0, next);
            loop {
                let left = Duration::from_nanos(next.saturating_sub(clock::now()));
                match inbox.recv_timeout(left) {
                    Ok(Order::Start(start)) => {
                        next = start;
                        shared.cut(looks.len() - 1, next);
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        looks.push(look());
                        next += SECOND;
                        shared.cut(looks.len() - 1, next);
                    }
                    // What still comes belongs to the last part.
                    Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                        if shared.board.end(clock::now) {
                            looks.push(look());
                        }
                        looks.push(look());
                        return looks;
                    }
                }
            }
        })?;
        Ok(Self { orders, thread, progress: Arc::clone(progress), start: clock::now() })
    }

    /// Everybody is in; the first event is due at `start`, soon: a cut, and time 0.
    pub fn start(&mut self, start: u64) {
        self.start = start;
        let _ = self.orders.try_send(Order::Start(start));
    }

    /// Makes the last cut.
    ///
    /// # Errors
    /// When the thread has failed.
    pub fn stop(self) -> Result<Recording> {
        let _ = self.orders.try_send(Order::Stop);
        let looks = self.thread.join().map_err(|_| anyhow!("the recorder panicked"))?;
        Ok(Recording { looks, progress: self.progress, start: self.start })
    }
}

/// All cuts are made; receivers may still have something to leave.
#[derive(Debug)]
pub struct Recording {
    looks: Vec<Look>,
    progress: Arc<Progress>,
    start: u64,
}

impl Recording {
    /// The rows, once the receivers have ended.
    #[must_use]
    pub fn finish(self) -> Vec<Second> {
        rows(&self.looks, &self.progress.board.take(), self.start)
    }
}

fn look(progress: &Progress, server: &mut Vitals, workers: &mut Vitals) -> Look {
    // Who dropped or moves is not in until it has all it missed.
    let (open, published) = (progress.open().saturating_sub(progress.absent()), progress.published());
    let own_cpu = own_cpu() + workers.cpu();
    Look { at: clock::now(), open, published, server: server.look(), own_cpu }
}

#[expect(clippy::cast_precision_loss, reason = "counts and times of one run")]
fn rows(looks: &[Look], parts: &[Part], start: u64) -> Vec<Second> {
    let (mut missing, mut ended) = (0, 0);
    let mut rows = Vec::new();
    for (index, pair) in looks.windows(2).enumerate() {
        let (before, after) = (pair[0], pair[1]);
        let part = parts.get(index).copied();
        let part = part.unwrap_or_default();
        missing += part.missing;
        ended += part.ended;
        let nanos = after.at.saturating_sub(before.at).max(1) as f64;
        let cores = |after: u64, before: u64| after.saturating_sub(before) as f64 / nanos;
        rows.push(Second {
            at: (after.at as f64 - start as f64) / 1e9,
            length: nanos / 1e9,
            open: after.open.saturating_sub(ended),
            published: after.published - before.published,
            delivered: part.delivered,
            deliveries_per_second: part.delivered as f64 / nanos * 1e9,
            missing: missing.max(0).cast_unsigned(),
            latency: part.latency,
            cores: after.server.zip(before.server).map(|(after, before)| cores(after.cpu, before.cpu)),
            memory: after.server.map(|usage| usage.memory),
            generator_cores: cores(after.own_cpu, before.own_cpu),
        });
    }
    rows
}

#[cfg(test)]
mod tests;
