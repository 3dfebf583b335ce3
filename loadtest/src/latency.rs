//! How late deliveries were: an HDR histogram of nanoseconds since the due time.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Three significant digits up to an hour; what is longer counts as an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Points of the curve each time the distance to 100 % halves: about 200 for a million deliveries.
const TICKS: u32 = 20;

/// Latencies of one thread, or of a whole run once merged.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// What is told of them, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50_us: f64,
    /// Nine of ten were faster.
    pub p90_us: f64,
    /// 99 of 100 were faster.
    pub p99_us: f64,
    /// 999 of 1,000 were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// One point of the percentile curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The share of deliveries that took at most so long: 0.5 is the median, 1 the slowest.
    pub quantile: f64,
    /// How long, in microseconds.
    pub us: f64,
    /// How many deliveries that are.
    pub count: u64,
}

impl Default for Latency {
    fn default() -> Self {
        // The bounds are constants that the library accepts; without them it grows as needed.
        let histogram = Histogram::new_with_bounds(1_000, LONGEST, 3).or_else(|_| Histogram::new(3));
        Self(histogram.expect("three digits are allowed"))
    }
}

/// As pairs of a value and how often it came: the buckets of both sides are the same, so nothing is rounded again.
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
        pairs.collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latency = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latency.0.saturating_record_n(value, count);
        }
        Ok(latency)
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

    /// Forgets everything, and keeps the room it has.
    pub fn clear(&mut self) {
        // `clear` would leave the largest.
        self.0.reset();
    }

    /// Deliveries recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What to report; `None` of nothing.
    #[must_use]
    pub fn told(&self) -> Option<Percentiles> {
        (self.count() > 0).then(|| self.percentiles())
    }

    /// The whole distribution, ascending to the slowest; finer the closer to 100 %.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an hour is exact")]
    pub fn curve(&self) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        let mut count = 0;
        for step in self.0.iter_quantiles(TICKS) {
            count += step.count_since_last_iteration();
            let us = step.value_iterated_to().min(self.0.max()) as f64 / 1e3;
            let point = Point { quantile: count as f64 / self.count() as f64, us, count };
            match points.last_mut() {
                // Several steps may end in one value: the last says how many there are.
                Some(last) if last.us >= us => *last = Point { us: last.us, ..point },
                _ => points.push(point),
            }
        }
        points
    }

    /// What to report.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an hour is exact")]
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Percentiles {
            p50_us: at(0.5),
            p90_us: at(0.9),
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
    fn the_curve_ascends_to_the_slowest_and_agrees_with_the_percentiles() {
        let mut latency = Latency::default();
        for microseconds in 1..=100_000 {
            latency.record(microseconds * 1_000);
        }
        let curve = latency.curve();
        assert!(curve.len() > 100, "{}", curve.len());
        for pair in curve.windows(2) {
            assert!(pair[0].quantile < pair[1].quantile && pair[0].us < pair[1].us, "{pair:?}");
            assert!(pair[0].count < pair[1].count, "{pair:?}");
        }
        let percentiles = latency.percentiles();
        for (quantile, us) in [(0.5, percentiles.p50_us), (0.99, percentiles.p99_us)] {
            let point = curve.iter().find(|point| point.quantile >= quantile).unwrap();
            assert!((point.us / us - 1.0).abs() < 0.01, "{point:?} for {us}");
        }
        let last = curve.last().unwrap();
        assert_eq!((last.quantile, last.us, last.count), (1.0, percentiles.max_us, 100_000));
    }

    #[test]
    fn what_was_forgotten_is_not_told_again() {
        let mut latency = Latency::default();
        latency.record(9_000_000);
        latency.clear();
        latency.record(2_000_000);
        let percentiles = latency.told().unwrap();
        assert!(percentiles.max_us < 2_100.0 && latency.count() == 1, "{percentiles:?}");
    }

    #[test]
    fn one_delivery_is_a_curve_of_one_point() {
        let mut latency = Latency::default();
        latency.record(5_000_000);
        let curve = latency.curve();
        assert_eq!((curve.len(), curve[0].quantile, curve[0].count), (1, 1.0, 1));
        assert_eq!(curve[0].us, latency.percentiles().max_us);
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Latency::default().percentiles(), Percentiles::default());
        assert_eq!((Latency::default().told(), Latency::default().curve()), (None, Vec::new()));
    }
}
