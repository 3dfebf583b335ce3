//! When each event is due: computed from its number alone, so no delay of one event moves the next,
//! and latency can be counted from the due time.

/// An open-loop schedule: event `k` is due at `k / rate`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: f64,
    /// Length in nanoseconds; events due at or after it are not sent.
    length: u64,
}

impl Schedule {
    /// `rate` events a second (above 0) for `length` nanoseconds.
    #[must_use]
    pub fn new(rate: f64, length: u64) -> Self {
        Self { rate, length }
    }

    /// Nanoseconds after the start at which event `k` is due; `None` when the schedule is over.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn due(&self, k: u64) -> Option<u64> {
        // An f64 counts nanoseconds exactly for 104 days.
        let due = (k as f64 * 1e9 / self.rate).round() as u64;
        (due < self.length).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_to_the_event() {
        let schedule = Schedule::new(20.0, 5_000_000_000);
        assert_eq!((0..1000).filter(|&k| schedule.due(k).is_some()).count(), 100);
        assert_eq!(schedule.due(1), Some(50_000_000));
        assert_eq!(schedule.due(99), Some(4_950_000_000));
        assert_eq!(schedule.due(100), None);
    }

    #[test]
    fn odd_rates_do_not_drift() {
        let schedule = Schedule::new(3.0, u64::MAX);
        assert_eq!(schedule.due(1), Some(333_333_333));
        assert_eq!(schedule.due(3 * 86_400), Some(86_400_000_000_000));
    }
}
