//! What a run found: one table for people, one object for machines.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::checker::Faults;
use crate::latency::Percentiles;
use crate::load::Outcome;
use crate::scenario::Scenario;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How connections came in.
    pub door: String,
    /// Sockets.
    pub connections: u32,
    /// Channels.
    pub channels: u32,
    /// Asked for, events a second or `max`.
    pub rate: String,
    /// Bytes of each payload.
    pub payload: usize,
    /// From the first event to the last delivery.
    pub seconds: f64,
    /// Events; 0 when the server sends by itself.
    pub published: u64,
    /// Events to connections.
    pub delivered: u64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Loss, duplicates, order.
    pub faults: Faults,
    /// Frames that carried no event of this run.
    pub other: u64,
    /// Connections that the server ended, by reason.
    pub ended: BTreeMap<String, u64>,
    /// From the due time to the delivery.
    pub latency: Percentiles,
}

impl Report {
    /// Sums up a run that began at `start`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts and durations of one run")]
    pub fn new(scenario: &Scenario, rate: String, start: u64, published: u64, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let seconds = tally.last.saturating_sub(start) as f64 / 1e9;
        Self {
            door: scenario.doors.to_string(),
            connections: scenario.connections,
            channels: scenario.channels,
            rate,
            payload: scenario.payload,
            seconds,
            published,
            delivered: tally.delivered,
            deliveries_per_second: if seconds > 0.0 { tally.delivered as f64 / seconds } else { 0.0 },
            faults: outcome.faults,
            other: tally.other,
            ended: tally.ended.clone(),
            latency: tally.latency.percentiles(),
        }
    }

    /// Whether every event came once, in order, and any came at all.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.faults.none() && self.delivered > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<14} {value:>14}");
        row("door", self.door.clone())?;
        row("connections", self.connections.to_string())?;
        row("channels", self.channels.to_string())?;
        row("published", self.published.to_string())?;
        row("delivered", self.delivered.to_string())?;
        row("lost", self.faults.lost.to_string())?;
        row("twice", self.faults.twice.to_string())?;
        row("reordered", self.faults.reordered.to_string())?;
        if self.faults.stray > 0 {
            row("stray", self.faults.stray.to_string())?;
        }
        for (reason, count) in &self.ended {
            row("ended", format!("{count} ({reason})"))?;
        }
        if self.other > 0 {
            row("other frames", self.other.to_string())?;
        }
        row("p50", milliseconds(self.latency.p50_us))?;
        row("p99", milliseconds(self.latency.p99_us))?;
        row("p99.9", milliseconds(self.latency.p999_us))?;
        row("max", milliseconds(self.latency.max_us))?;
        row("deliveries/s", format!("{:.0}", self.deliveries_per_second))?;
        row("verdict", if self.passed() { "all well" } else { "FAILED" }.to_owned())
    }
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.3} ms", microseconds / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{Door, Doors};
    use crate::tally::Tally;

    fn report(faults: Faults) -> Report {
        let scenario = Scenario::new("ws://h", 10, 2, Doors::One(Door::Plain), 128);
        let mut tally = Tally { delivered: 500, last: 3_000_000_000, ..Tally::default() };
        tally.latency.record(1_500_000);
        Report::new(&scenario, "50".to_owned(), 1_000_000_000, 100, &Outcome { tally, faults })
    }

    #[test]
    fn the_table_has_every_figure() {
        let table = report(Faults::default()).to_string();
        for line in ["delivered 500", "lost 0", "deliveries/s 250", "p99 1.500 ms", "verdict all well"] {
            let squeezed = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            assert!(squeezed.into_iter().any(|row| row == line), "{line} in\n{table}");
        }
    }

    #[test]
    fn any_fault_fails_the_run() {
        assert!(report(Faults::default()).passed());
        for faults in [
            Faults { lost: 1, ..Faults::default() },
            Faults { twice: 1, ..Faults::default() },
            Faults { reordered: 1, ..Faults::default() },
            Faults { stray: 1, ..Faults::default() },
        ] {
            assert!(!report(faults).passed());
            assert!(report(faults).to_string().contains("FAILED"));
        }
    }
}
