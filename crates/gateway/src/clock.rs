//! The node's time: read from the system here and nowhere else, passed on as a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::session::Now;

/// Seconds since the node's start, cheap to read; and the two system clocks.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Instant,
    second: Arc<AtomicU32>,
}

impl Clock {
    /// A clock that starts now. [`Clock::tick`] moves its second on.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), second: Arc::new(AtomicU32::new(0)) }
    }

    /// The second of the last tick: for what is measured in many seconds.
    pub(crate) fn second(&self) -> u32 {
        self.second.load(Ordering::Relaxed)
    }

    /// Moves the second on to now, and returns it.
    pub(crate) fn tick(&self) -> u32 {
        let second = self.start.elapsed().as_secs() as u32; // 136 years
        self.second.store(second, Ordering::Relaxed);
        second
    }

    /// Milliseconds since the start, for what is measured in tenths of a second.
    pub(crate) fn ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 // more than the age of the universe
    }

    /// The time of a session's step.
    pub(crate) fn now(&self) -> Now {
        Now { monotonic_s: self.start.elapsed().as_secs(), unix_s: unix().as_secs() }
    }

    /// Microseconds since 1970, for the stamp of an event.
    pub(crate) fn unix_us(&self) -> u64 {
        unix().as_micros() as u64
    }
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
