//! How long to wait before coming back: full jitter, so that a crowd does not come back as one.
//!
//! Chance is passed in. It must not know clocks or sockets.

use std::time::Duration;

use tidegate_protocol::codes::{ComeBack, come_back};

/// The range of the first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The range of the longest wait.
const LONGEST: Duration = Duration::from_secs(20);
/// A connection that held so long was a good one: the count of failures starts anew.
const GOOD: Duration = Duration::from_secs(20);
/// What a server that asks for patience (4100–4199) counts as.
const PATIENCE: u32 = 3;

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes how long the connection that just ended had held.
    pub(crate) fn held(&mut self, time: Duration) {
        if time >= GOOD {
            self.failures = 0;
        }
    }

    /// The wait after a failure with this close code, if there was one; none: never come back.
    /// `chance` is uniform in 0 … 1.
    pub(crate) fn wait(&mut self, code: Option<u16>, chance: f64) -> Option<Duration> {
        match code.map_or(ComeBack::Later, come_back) {
            ComeBack::Never => return None,
            ComeBack::Soon => self.failures = 0,
            ComeBack::Later if code.is_some_and(|c| (4100..4200).contains(&c)) => {
                self.failures = self.failures.max(PATIENCE);
            }
            ComeBack::Later => {}
        }
        // 500 ms << 6 is beyond the longest already.
        let range = (FIRST * (1 << self.failures.min(6))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        Some(range.mul_f64(chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(backoff: &mut Backoff, codes: &[Option<u16>]) -> Vec<Option<u128>> {
        codes.iter().map(|code| backoff.wait(*code, 1.0).map(|wait| wait.as_millis())).collect()
    }

    #[test]
    fn the_range_doubles_from_half_a_second_to_twenty() {
        let waits = ranges(&mut Backoff::default(), &[None; 8]);
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000].map(Some));
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(Backoff::default().wait(None, 0.0), Some(Duration::ZERO));
        assert_eq!(Backoff::default().wait(None, 0.5), Some(Duration::from_millis(250)));
        assert_eq!(Backoff { failures: u32::MAX }.wait(None, 1.0), Some(LONGEST));
    }

    #[test]
    fn close_codes_are_honoured() {
        let mut backoff = Backoff::default();
        assert_eq!(ranges(&mut backoff, &[Some(4001), Some(1009)]), [None, None]);
        assert_eq!(ranges(&mut backoff, &[Some(4100), Some(4101)]), [Some(4000), Some(8000)]);
        assert_eq!(ranges(&mut backoff, &[Some(4200), Some(4200)]), [Some(500), Some(500)]);
        assert_eq!(ranges(&mut backoff, &[Some(1000)]), [Some(1000)]);
    }

    #[test]
    fn a_good_connection_forgives() {
        let mut backoff = Backoff { failures: 9 };
        backoff.held(GOOD - Duration::from_millis(1));
        assert_eq!(ranges(&mut backoff, &[None]), [Some(20_000)]);
        backoff.held(GOOD);
        assert_eq!(ranges(&mut backoff, &[None]), [Some(500)]);
    }
}
