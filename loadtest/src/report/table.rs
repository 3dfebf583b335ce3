//! The report as a table for a terminal.

use std::fmt;

use super::Report;
use super::units::Unit;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<14} {value:>14}");
        row("door", self.scenario.door.clone())?;
        row("connections", self.scenario.connections.to_string())?;
        row("channels", self.scenario.channels.to_string())?;
        row("published", self.totals.published.to_string())?;
        row("delivered", self.totals.delivered.to_string())?;
        row("lost", self.faults.lost.to_string())?;
        row("twice", self.faults.twice.to_string())?;
        row("reordered", self.faults.reordered.to_string())?;
        if self.faults.stray > 0 {
            row("stray", self.faults.stray.to_string())?;
        }
        for (reason, count) in &self.totals.ended {
            row("ended", format!("{count} ({reason})"))?;
        }
        for (reason, count) in &self.totals.slow_ended {
            row("ended, slow", format!("{count} ({reason})"))?;
        }
        if self.totals.other > 0 {
            row("other frames", self.totals.other.to_string())?;
        }
        row("p50", milliseconds(self.latency.p50_us))?;
        row("p90", milliseconds(self.latency.p90_us))?;
        row("p99", milliseconds(self.latency.p99_us))?;
        row("p99.9", milliseconds(self.latency.p999_us))?;
        row("max", milliseconds(self.latency.max_us))?;
        row("deliveries/s", format!("{:.0}", self.totals.deliveries_per_second))?;
        if let Some(server) = &self.server {
            row("server cores", format!("{:.2}", server.cores))?;
            row("CPU a delivery", format!("{:.2} µs", server.cpu_us_per_delivery))?;
            #[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
            row("server memory", Unit::Bytes.show(server.memory as f64))?;
        }
        for figure in &self.more {
            row(&figure.name, figure.unit.show(figure.value))?;
        }
        for threshold in &self.thresholds {
            row(if threshold.met { "met" } else { "NOT MET" }, threshold.to_string())?;
        }
        row("verdict", if self.passed() { "all well" } else { "FAILED" }.to_owned())
    }
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.3} ms", microseconds / 1e3)
}
