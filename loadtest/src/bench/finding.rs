//! What was measured, as it is kept: one measurement of one subject in one round, with its figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::subject::Subject;
use crate::checker::Faults;
use crate::latency::Percentiles;

/// What a number says. Each has one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// CPU time of the server for each confirmed delivery, in microseconds.
    CpuUs,
    /// The same, by the floor's of this round and case.
    CpuToFloor,
    /// Confirmed deliveries (or calls) a second.
    PerSecond,
    /// How much of its core the server used.
    Cores,
    /// Latency from the due time, in microseconds: half were faster.
    P50Us,
    /// 99 of 100 were faster.
    P99Us,
    /// 999 of 1,000 were faster.
    P999Us,
    /// Resident memory of each connection, in bytes.
    Bytes,
    /// CPU time of each resting connection for a second, in microseconds.
    IdleUs,
    /// CPU time to connect and subscribe one, in microseconds.
    OpenUs,
    /// From the first attempt until the last was done, in seconds.
    Seconds,
    /// Commands that Redis counted for each connection and channel.
    Commands,
    /// Events a second that were published.
    Published,
    /// Of the deliveries that fell due while measured, the share that came meanwhile, at most 1.
    Held,
}

/// One subject, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The row of the performance table.
    pub row: u32,
    /// Which of the row's works.
    pub case: String,
    /// 1, 2, 3 …
    pub round: u32,
    /// Who.
    pub subject: Subject,
    /// How it did.
    pub figures: BTreeMap<Figure, f64>,
    /// Over the whole run.
    pub faults: Faults,
    /// Connections that the server ended.
    pub ended: u64,
}

/// What one measurement brings back.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How it did.
    pub figures: BTreeMap<Figure, f64>,
    /// What was wrong.
    pub faults: Faults,
    /// Connections that the server ended.
    pub ended: u64,
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The day, as 2026-11-21.
    pub day: String,
    /// Where.
    pub machine: Machine,
    /// Programs and their versions.
    pub programs: Vec<String>,
    /// What could not be measured, and why.
    pub skipped: Vec<String>,
    /// What of ours went wrong.
    pub failed: Vec<String>,
    /// Smaller and shorter, for development: the figures do not count.
    pub quick: bool,
    /// Rounds that were asked for.
    pub rounds: u32,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Events under way in row 2.
    pub window: u32,
    /// All of it, in order.
    pub measurements: Vec<Measurement>,
}

/// Four digits behind the point are more than any figure is good for, and read back as written.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

impl Outcome {
    /// Adds a figure.
    #[must_use]
    pub fn with(mut self, figure: Figure, value: f64) -> Self {
        self.figures.insert(figure, rounded(value));
        self
    }

    /// Adds latencies.
    #[must_use]
    pub fn with_latency(self, latency: &Percentiles) -> Self {
        self.with(Figure::P50Us, latency.p50_us)
            .with(Figure::P99Us, latency.p99_us)
            .with(Figure::P999Us, latency.p999_us)
    }
}

impl Measurement {
    /// One of its figures.
    #[must_use]
    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.figures.get(&figure).copied()
    }
}

impl Findings {
    /// Whether every event of every measurement came once and in order, and nobody was thrown out.
    /// What a peer does is its own affair; the page says it.
    #[must_use]
    pub fn correct(&self) -> bool {
        let ours = self.measurements.iter().filter(|measurement| !measurement.subject.is_peer());
        self.failed.is_empty()
            && ours.fold(true, |well, known| well && known.faults.none() && known.ended == 0)
    }

    /// The figure of each round, in order.
    pub fn figures(&self, row: u32, case: &str, subject: Subject, figure: Figure) -> Vec<(u32, f64)> {
        self.measurements
            .iter()
            .filter(|known| known.row == row && known.case == case && known.subject == subject)
            .filter_map(|known| Some((known.round, known.get(figure)?)))
            .collect()
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, {}, {}", self.row, self.case, self.subject)?;
        for (separator, (figure, value)) in
            std::iter::once(": ").chain(std::iter::repeat(", ")).zip(&self.figures)
        {
            let (scale, digits, unit) = match figure {
                Figure::CpuUs => (1.0, 2, "µs a delivery"),
                Figure::CpuToFloor => (1.0, 2, "of the floor"),
                Figure::PerSecond => (1.0, 0, "a second"),
                Figure::Cores => (1.0, 2, "cores"),
                Figure::P50Us => (1e-3, 2, "ms p50"),
                Figure::P99Us => (1e-3, 2, "ms p99"),
                Figure::P999Us => (1e-3, 2, "ms p99.9"),
                Figure::Bytes => (1.0 / 1024.0, 2, "KiB"),
                Figure::IdleUs => (1.0, 2, "µs/s at rest"),
                Figure::OpenUs => (1.0, 1, "µs to open"),
                Figure::Seconds => (1.0, 2, "s"),
                Figure::Commands => (1.0, 3, "commands"),
                Figure::Published => (1.0, 0, "published a second"),
                Figure::Held => (100.0, 0, "% of what was due"),
            };
            write!(f, "{separator}{:.digits$} {unit}", value * scale)?;
        }
        if !self.faults.none() || self.ended > 0 {
            write!(f, ", {:?}, {} ended", self.faults, self.ended)?;
        }
        Ok(())
    }
}
