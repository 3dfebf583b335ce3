//! When the connections of one thread drop and leave: from the first event on, evenly over the run.

use crate::scenario::Scenario;

/// The times of one thread.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    begun: u64,
    /// Between two leaves, in nanoseconds; infinite where nobody leaves.
    leaves: f64,
    left: u64,
    /// Between two storms; they stand at its multiples, `storms` of them.
    storms: u64,
    to_come: u32,
    stormed: u32,
}

impl Pace {
    /// For one of so many threads that share the scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, threads: f64) -> Self {
        Self {
            begun: u64::MAX,
            leaves: if scenario.churn > 0.0 { 1e9 * threads / scenario.churn } else { f64::INFINITY },
            left: 0,
            storms: scenario.length / (u64::from(scenario.storms) + 1),
            to_come: scenario.storms,
            stormed: 0,
        }
    }

    /// The first event is due then.
    pub fn begin(&mut self, time: u64) {
        self.begun = time;
    }

    /// The number of the leave that is due, if one is.
    pub fn leave(&mut self, now: u64) -> Option<usize> {
        if now < self.next_leave() {
            return None;
        }
        self.left += 1;
        usize::try_from(self.left - 1).ok()
    }

    /// Whether a storm is due. One that was slept through is made up for.
    pub fn storm(&mut self, now: u64) -> bool {
        let due = now >= self.next_storm();
        self.stormed += u32::from(due);
        due
    }

    /// When something is due next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next_leave().min(self.next_storm())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn next_leave(&self) -> u64 {
        // Infinity becomes the largest number.
        self.begun.saturating_add((self.leaves * (self.left + 1) as f64) as u64)
    }

    fn next_storm(&self) -> u64 {
        if self.stormed >= self.to_come {
            return u64::MAX;
        }
        self.begun.saturating_add(self.storms.saturating_mul(u64::from(self.stormed) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Doors;

    #[test]
    fn storms_and_leaves_stand_evenly_over_the_run() {
        let scenario = Scenario::new("ws://h", 10, 1, Doors::Mixed, 128);
        let mut pace = Pace::new(&scenario, 1.0);
        pace.begin(1_000);
        assert_eq!(
            (pace.next(), pace.leave(u64::MAX - 1), pace.storm(u64::MAX - 1)),
            (u64::MAX, None, false)
        );

        let scenario = Scenario { churn: 4.0, storms: 2, length: 3_000_000_000, ..scenario };
        let mut pace = Pace::new(&scenario, 2.0);
        assert_eq!(pace.next(), u64::MAX, "not begun");
        pace.begin(1_000);
        assert_eq!(pace.next(), 500_001_000);
        assert_eq!((pace.leave(500_000_000), pace.leave(500_001_000)), (None, Some(0)));
        assert_eq!((pace.leave(1_000_001_000), pace.leave(1_000_001_000)), (Some(1), None));
        assert!(!pace.storm(1_000_000_999) && pace.storm(1_000_001_000) && !pace.storm(1_000_001_000));
        assert!(pace.storm(9_000_000_000) && !pace.storm(9_000_000_000));
    }
}
