//! How late deliveries were: an HDR histogram of nanoseconds since the due time.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three significant digits up to an hour; what is longer counts as an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// Latencies of one thread, or of a whole run once merged.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// What is told of them, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50_us: f64,
    /// 99 of 100 were faster.
    pub p99_us: f64,
    /// 999 of 1,000 were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

impl Default for Latency {
    fn default() -> Self {
        // The bounds are constants that the library accepts; without them it grows as needed.
        let histogram = Histogram::new_with_bounds(1_000, LONGEST, 3).or_else(|_| Histogram::new(3));
        Self(histogram.expect("three digits are allowed"))
    }
}

impl Latency {
    /// Adds one delivery.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// Adds those of another thread.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of range.
        let _ = self.0.add(&other.0);
    }

    /// What to report.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an hour is exact")]
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Percentiles {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_true_to_three_digits() {
        let mut latency = Latency::default();
        for microseconds in 1..=10_000 {
            latency.record(microseconds * 1_000);
        }
        let got = latency.percentiles();
        for (value, expected) in
            [(got.p50_us, 5_000.0), (got.p99_us, 9_900.0), (got.p999_us, 9_990.0), (got.max_us, 10_000.0)]
        {
            assert!((value / expected - 1.0).abs() < 0.001, "{value} for {expected}");
        }
    }

    #[test]
    fn threads_add_up_and_nothing_is_too_long() {
        let (mut one, mut other) = (Latency::default(), Latency::default());
        one.record(1_000);
        other.record(u64::MAX);
        one.merge(&other);
        assert!(one.percentiles().max_us >= 3_600_000_000.0);
        assert!(one.percentiles().p50_us <= 2.0);
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Latency::default().percentiles(), Percentiles::default());
    }
}
