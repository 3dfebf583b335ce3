//! The one clock of a measurement: monotonic nanoseconds, the same for all processes of a machine.
//!
//! `std::time::Instant` has no number that could travel in a payload, and wall-clock time may step.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Sleeps until `due` (nanoseconds of [`now`]); returns at once when that has passed.
pub fn sleep_until(due: u64) {
    let left = due.saturating_sub(now());
    if left > 0 {
        std::thread::sleep(Duration::from_nanos(left));
    }
}

/// `duration` in nanoseconds; 584 years are the longest.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
