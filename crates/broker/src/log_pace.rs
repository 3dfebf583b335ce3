//! One log line a minute for what may happen at any rate.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two lines.
const PACE: Duration = Duration::from_secs(60);

/// Decides which occurrence is worth a line.
#[derive(Debug, Default)]
pub struct LogPace(Mutex<Pace>);

#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    times: u64,
}

impl LogPace {
    /// It happened once more. Returns how often since the last line, if it is time for one.
    pub fn tick(&self) -> Option<u64> {
        let mut pace = self.0.lock();
        pace.times += 1;
        if pace.last.is_some_and(|last| last.elapsed() < PACE) {
            return None;
        }
        pace.last = Some(Instant::now());
        Some(std::mem::take(&mut pace.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gets_a_line_the_next_wait_for_the_minute() {
        let pace = LogPace::default();
        assert_eq!(pace.tick(), Some(1));
        assert_eq!(pace.tick(), None);
        assert_eq!(pace.tick(), None);
        pace.0.lock().last = Instant::now().checked_sub(PACE);
        assert_eq!(pace.tick(), Some(3));
    }
}
