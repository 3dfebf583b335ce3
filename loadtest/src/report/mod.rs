//! What a run found. One object holds everything that is told of it; [`table`] writes it for people at a terminal,
//! [`file`](mod@file) for machines, [`html`] for everybody else, [`compare`] beside another one.
//!
//! The outcome of a run comes in and is only summed up here; nothing is measured.

pub mod compare;
pub mod figures;
pub mod file;
pub mod html;
pub mod table;
pub mod threshold;
pub mod units;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::checker::Faults;
use crate::latency::{Percentiles, Point};
use crate::receiver::Heard;
use crate::scenario::Scenario;
use crate::series::Second;
use figures::Figure;
use threshold::Threshold;

/// The version of the JSON. It goes up when a field changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

/// The result of a run, and the whole of its JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The program that made it.
    pub generator: String,
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
    /// Whether every event came once, in order, any came at all, and all thresholds are met.
    pub passed: bool,
    /// What was asked for.
    pub scenario: Shape,
    /// What was counted.
    pub totals: Totals,
    /// Loss, duplicates, order.
    pub faults: Faults,
    /// From the due time to the delivery; those of who reads slowly stand in `more`.
    pub latency: Percentiles,
    /// What the server used; only where it was watched.
    pub server: Option<ServerUse>,
    /// What else this scenario measures: shown, compared and demanded as all others are.
    pub more: Vec<Figure>,
    /// What was demanded of the figures.
    pub thresholds: Vec<Threshold>,
    /// All these latencies, ascending.
    pub curve: Vec<Point>,
    /// Second by second.
    pub series: Vec<Second>,
}

/// What was asked for: two reports with the same can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// What the scenario is called, if it has a name.
    pub name: Option<String>,
    /// The gateway.
    pub url: String,
    /// How connections came in.
    pub door: String,
    /// Sockets.
    pub connections: u32,
    /// Channels.
    pub channels: u32,
    /// Events a second, or `max`.
    pub rate: String,
    /// Bytes of each payload.
    pub payload: usize,
    /// Processes that share the connections.
    #[serde(default = "one")]
    pub processes: u32,
}

fn one() -> u32 {
    1
}

/// When a run did what, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// How long it took until all connections were in.
    pub ramp: u64,
    /// When the first event was due, or came.
    pub start: u64,
    /// When the warm-up was over.
    pub measured_from: u64,
}

/// What was counted, all of the run together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Until all connections were in.
    pub ramp_seconds: f64,
    /// From the first event to the last delivery.
    pub seconds: f64,
    /// Events; 0 when the server sends by itself.
    pub published: u64,
    /// Events to connections.
    pub delivered: u64,
    /// Deliveries a second, of what was due after the warm-up.
    pub deliveries_per_second: f64,
    /// From the end of the warm-up to the last delivery.
    #[serde(default)]
    pub measured_seconds: f64,
    /// Frames that carried no event of this run.
    pub other: u64,
    /// Connections that the server ended, by reason; slow ones aside.
    pub ended: BTreeMap<String, u64>,
    /// Connections that read slowly and were ended for it, by reason.
    #[serde(default)]
    pub slow_ended: BTreeMap<String, u64>,
}

/// What the server used since the first event was due.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerUse {
    /// CPU, in cores, on average.
    pub cores: f64,
    /// CPU time for each delivery, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// The most resident memory it had, in bytes.
    pub memory: u64,
}

impl Report {
    /// Sums up a run.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts and durations of one run")]
    pub fn new(
        scenario: &Scenario,
        rate: String,
        times: Times,
        published: u64,
        outcome: &Heard,
        series: Vec<Second>,
    ) -> Self {
        let tally = &outcome.tally;
        let since = |start: u64| tally.last.saturating_sub(start) as f64 / 1e9;
        // Only these have latencies.
        let measured = (tally.latency.count() + tally.slow_latency.count()) as f64;
        let measured_seconds = since(times.measured_from);
        Self {
            version: VERSION,
            generator: format!("tidegate-loadtest {}", env!("CARGO_PKG_VERSION")),
            made_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            passed: outcome.faults.none() && tally.delivered > 0,
            scenario: Shape {
                name: None,
                url: scenario.url.clone(),
                door: scenario.doors.to_string(),
                connections: scenario.connections,
                channels: scenario.channels,
                rate,
                payload: scenario.payload,
                processes: 1,
            },
            totals: Totals {
                ramp_seconds: times.ramp as f64 / 1e9,
                seconds: since(times.start),
                published,
                delivered: tally.delivered,
                deliveries_per_second: if measured_seconds > 0.0 { measured / measured_seconds } else { 0.0 },
                measured_seconds,
                other: tally.other,
                ended: tally.ended.clone(),
                slow_ended: tally.slow_ended.clone(),
            },
            faults: outcome.faults,
            latency: tally.latency.percentiles(),
            server: ServerUse::of(&series),
            more: Vec::new(),
            thresholds: Vec::new(),
            curve: tally.latency.curve(),
            series,
        }
    }

    /// Whether every event came once, in order, any came at all, and all thresholds are met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// Adds what else was measured, so that it can be demanded.
    #[must_use]
    pub fn with_figures(mut self, figures: Vec<Figure>) -> Self {
        self.more.extend(figures);
        self
    }

    /// Adds what is demanded; a threshold that is not met fails the run.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Vec<Threshold>) -> Self {
        self.passed &= thresholds.iter().all(|threshold| threshold.met);
        self.thresholds.extend(thresholds);
        self
    }

    /// Connections that the server ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.totals.ended.values().sum()
    }
}

impl ServerUse {
    /// Over the seconds since the first event was due, as far as the server was watched.
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    fn of(series: &[Second]) -> Option<Self> {
        let (mut cpu, mut seconds, mut delivered) = (0.0, 0.0, 0);
        for row in series.iter().filter(|row| row.counts()) {
            let Some(cores) = row.cores else { continue };
            cpu += cores * row.length;
            seconds += row.length;
            delivered += row.delivered;
        }
        let memory = series.iter().filter_map(|row| row.memory).max()?;
        let cpu_us_per_delivery = if delivered > 0 { cpu * 1e6 / delivered as f64 } else { 0.0 };
        (seconds > 0.0).then(|| Self { cores: cpu / seconds, cpu_us_per_delivery, memory })
    }
}

#[cfg(test)]
pub(crate) mod tests;
