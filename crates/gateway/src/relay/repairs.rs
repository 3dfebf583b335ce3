//! What places repaired: counted, and said once a second for each cause.

use tidegate_core::place::Cause;
use tidegate_metrics::{IntCounter, Metrics};

use super::keeper::spell;

/// All causes but the first subscriber, which repairs nothing.
const CAUSES: [Cause; 7] = [
    Cause::Hole,
    Cause::Epoch,
    Cause::Connected,
    Cause::Moved,
    Cause::Overflowed,
    Cause::Check,
    Cause::Subscriber,
];
/// Between two lines: a reconnect repairs every channel at once.
const PACE_MS: u64 = 1_000;

/// The repairs of one lane.
pub(super) struct Repairs {
    counters: [IntCounter; CAUSES.len()],
    since_line: [Tally; CAUSES.len()],
    line_ms: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    channels: u64,
    events: u64,
    dropped: u64,
    longest_ms: u64,
}

impl Repairs {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let counters = CAUSES.map(|cause| metrics.repairs(spell(cause)));
        Self { counters, since_line: [Tally::default(); CAUSES.len()], line_ms: 0 }
    }

    /// A place is even again.
    pub(super) fn note(&mut self, cause: Cause, events: u64, dropped: u64, took_ms: u64) {
        let Some(at) = CAUSES.iter().position(|other| *other == cause) else { return };
        self.counters[at].inc();
        let tally = &mut self.since_line[at];
        tally.channels += 1;
        tally.events += events;
        tally.dropped += dropped;
        tally.longest_ms = tally.longest_ms.max(took_ms);
    }

    /// Says what was noted since the last line.
    pub(super) fn report(&mut self, now_ms: u64) {
        if now_ms < self.line_ms + PACE_MS {
            return;
        }
        self.line_ms = now_ms;
        for (cause, tally) in CAUSES.iter().zip(&mut self.since_line) {
            let Tally { channels, events, dropped, longest_ms } = std::mem::take(tally);
            if channels > 0 {
                let cause = spell(*cause);
                tracing::info!(cause, channels, events, dropped, longest_ms, "channels repaired");
            }
        }
    }
}
