//! Every figure of a report by its name: what is compared, demanded, and shown in the table of the page.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Report;
use super::units::Unit;

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    More,
    /// Less is better.
    Less,
    /// There should be none; no tolerance.
    None,
    /// It is told, not judged.
    Told,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name in files: in thresholds and on the page.
    pub key: Cow<'static, str>,
    /// Its name for people.
    pub name: Cow<'static, str>,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// Which way it should go.
    pub better: Better,
}

impl Figure {
    /// One of ours.
    #[must_use]
    pub fn new(key: &'static str, name: &'static str, value: f64, unit: Unit, better: Better) -> Self {
        Self { key: key.into(), name: name.into(), value, unit, better }
    }
}

impl Report {
    /// All figures, in the order of a table. Those of the server only where it was watched; those of the scenario last.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    pub fn figures(&self) -> Vec<Figure> {
        use Better::{Less, More, None, Told};
        use Unit::{Bytes, Cores, Count, Microseconds, PerSecond, Seconds};
        let figure = Figure::new;
        let (totals, faults, latency) = (&self.totals, &self.faults, &self.latency);
        let mut figures = vec![
            figure("published", "events published", totals.published as f64, Count, Told),
            figure("delivered", "deliveries", totals.delivered as f64, Count, Told),
            figure(
                "deliveries_per_second",
                "deliveries a second",
                totals.deliveries_per_second,
                PerSecond,
                More,
            ),
            figure("p50_us", "latency p50", latency.p50_us, Microseconds, Less),
            figure("p90_us", "latency p90", latency.p90_us, Microseconds, Less),
            figure("p99_us", "latency p99", latency.p99_us, Microseconds, Less),
            figure("p999_us", "latency p99.9", latency.p999_us, Microseconds, Less),
            // One delivery of all: it says something of the run, and little of the server.
            figure("max_us", "latency max", latency.max_us, Microseconds, Told),
            figure("lost", "lost", faults.lost as f64, Count, None),
            figure("twice", "delivered twice", faults.twice as f64, Count, None),
            figure("reordered", "out of order", faults.reordered as f64, Count, None),
            figure("stray", "not asked for", faults.stray as f64, Count, None),
            figure("ended", "connections ended", self.ended() as f64, Count, None),
            figure("ramp_seconds", "all connections open after", totals.ramp_seconds, Seconds, Told),
            figure("seconds", "length", totals.seconds, Seconds, Told),
        ];
        if let Some(server) = &self.server {
            figures.extend([
                figure(
                    "cpu_us_per_delivery",
                    "server CPU a delivery",
                    server.cpu_us_per_delivery,
                    Microseconds,
                    Less,
                ),
                figure("cores", "server CPU", server.cores, Cores, Told),
                figure("memory", "server memory, most", server.memory as f64, Bytes, Less),
            ]);
        }
        figures.extend(self.more.iter().cloned());
        figures
    }

    /// One figure by its name in files.
    #[must_use]
    pub fn figure(&self, key: &str) -> Option<Figure> {
        self.figures().into_iter().find(|figure| figure.key == key)
    }
}
