//! What a run must reach: limits as a scenario writes them, and the figures of a report they are about.

use serde::Deserialize;

use super::length::Length;
use super::settings::said;
use crate::report::Report;
use crate::report::threshold::Threshold;

/// Limits; what is not there is not asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Half of the deliveries within.
    #[serde(deserialize_with = "said")]
    pub p50: Option<Length>,
    /// 99 of 100.
    #[serde(deserialize_with = "said")]
    pub p99: Option<Length>,
    /// 999 of 1,000.
    #[serde(deserialize_with = "said")]
    pub p999: Option<Length>,
    /// All.
    #[serde(deserialize_with = "said")]
    pub max: Option<Length>,
    /// Events lost; 0 always holds, so it is written for readers.
    pub lost: Option<u64>,
    /// Events delivered twice; as above.
    pub twice: Option<u64>,
    /// Events out of order; as above.
    pub reordered: Option<u64>,
    /// Deliveries a second, at least.
    pub deliveries_per_second: Option<f64>,
    /// Attempts to connect that failed, at most.
    pub connect_failures: Option<u64>,
    /// Connects a second, at least.
    pub connects_per_second: Option<f64>,
    /// 99 of 100 connections open and subscribed within.
    #[serde(deserialize_with = "said")]
    pub connect_p99: Option<Length>,
    /// Connections that the server ended, slow ones aside, at most.
    pub ended: Option<u64>,
    /// After a storm all are back and have everything within.
    #[serde(deserialize_with = "said")]
    pub caught_up: Option<Length>,
}

impl Thresholds {
    /// Judges each limit that is there.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "limits of one run")]
    pub fn judge(&self, report: &Report) -> Vec<Threshold> {
        let us = |limit: Option<Length>| limit.map(|Length(limit)| limit.as_secs_f64() * 1e6);
        let count = |limit: Option<u64>| limit.map(|limit| limit as f64);
        let limits = [
            ("p50_us", us(self.p50), None),
            ("p99_us", us(self.p99), None),
            ("p999_us", us(self.p999), None),
            ("max_us", us(self.max), None),
            ("lost", count(self.lost), None),
            ("twice", count(self.twice), None),
            ("reordered", count(self.reordered), None),
            ("deliveries_per_second", None, self.deliveries_per_second),
            ("connect_failures", count(self.connect_failures), None),
            ("connects_per_second", None, self.connects_per_second),
            ("connect_p99_us", us(self.connect_p99), None),
            ("ended", count(self.ended), None),
            ("caught_up_max_us", us(self.caught_up), None),
        ];
        limits
            .into_iter()
            .filter(|(_, most, least)| most.is_some() || least.is_some())
            .map(|(key, most, least)| Threshold::judge(report, key, most, least))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::{Better, Figure};
    use crate::report::tests::sample;
    use crate::report::units::Unit;

    /// A report of 1.5 ms and 250 deliveries a second, with these figures of its connections.
    fn report(values: [(&'static str, f64); 4]) -> Report {
        let figure = |(key, value)| Figure::new(key, key, value, Unit::Count, Better::Told);
        sample().with_figures(values.map(figure).to_vec())
    }

    #[test]
    fn each_limit_that_is_missed_is_named() {
        let all = |limits: &str| -> Thresholds {
            toml::from_str(&format!("lost = 0\ntwice = 0\nreordered = 0\n{limits}")).unwrap()
        };
        let report = report([
            ("connect_failures", 3.0),
            ("connects_per_second", 10.5),
            ("connect_p99_us", 1e6),
            ("caught_up_max_us", 4e6),
        ]);
        let kept = all(
            "p50 = '2ms'\np99 = '50ms'\np999 = 1\nmax = '2s'\ndeliveries_per_second = 250\nconnect_failures = 3\n\
             connects_per_second = 10.5\nconnect_p99 = '1s'\nended = 1\ncaught_up = '4s'",
        );
        let judged = kept.judge(&report);
        assert_eq!(judged.len(), 13);
        assert!(judged.iter().all(|limit| limit.met), "{judged:?}");
        let missed = all(
            "p50 = '10us'\np99 = '1ms'\np999 = '1ms'\nmax = '1ms'\ndeliveries_per_second = 251\nconnect_failures = 2\n\
             connects_per_second = 11\nconnect_p99 = '999ms'\ncaught_up = '3s'",
        );
        let judged = missed.judge(&report);
        let words: Vec<String> = judged.iter().filter(|limit| !limit.met).map(ToString::to_string).collect();
        assert_eq!(words.len(), 9, "{words:?}");
        assert!(words.contains(&"latency p99: at most 1 ms, is 1.5 ms".to_owned()), "{words:?}");
        assert!(words.contains(&"deliveries a second: at least 251/s, is 250/s".to_owned()), "{words:?}");
        let never = missed.judge(&sample());
        assert!(never.iter().any(|limit| limit.figure == "caught_up_max_us" && !limit.met), "{never:?}");
        assert!(Thresholds::default().judge(&report).is_empty());
    }
}
