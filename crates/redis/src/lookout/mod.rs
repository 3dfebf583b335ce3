//! Who knows where the masters are: Sentinels, or the nodes of a Cluster. They are asked once a second,
//! and at once when something seems wrong; the newest of their answers counts.

pub(crate) mod jury;
pub(crate) mod sentinel;
pub(crate) mod slots;
mod witness;

use std::time::Duration;

/// Between two looks without a doubt.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks with many doubts.
const AGAIN: Duration = Duration::from_millis(100);
/// Between two log lines of one trouble.
const LOG_PACE: Duration = Duration::from_secs(10);

/// Waits until it is time to look again.
pub(crate) async fn next_look(doubt: &tokio::sync::Notify) {
    tokio::time::sleep(AGAIN).await;
    let _looked_anyway = tokio::time::timeout(LOOK - AGAIN, doubt.notified()).await;
}

/// Lets a log line through now and then.
#[derive(Default)]
pub(crate) struct LogPace(Option<tokio::time::Instant>);

impl LogPace {
    pub(crate) fn is_time(&mut self) -> bool {
        let is_time = self.0.is_none_or(|last| last.elapsed() >= LOG_PACE);
        if is_time {
            self.0 = Some(tokio::time::Instant::now());
        }
        is_time
    }
}
