//! Waiting with a deadline: what a test does instead of sleeping.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until the answer is yes. Blocks the thread, so in async tests only for questions about other processes.
///
/// # Panics
/// When the answer is still no at the deadline; the message says how long `what` was waited for.
#[track_caller]
pub fn eventually(within: Duration, what: &str, mut question: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !question() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(PAUSE);
    }
}

/// [`eventually`] for questions that await.
///
/// # Panics
/// When the answer is still no at the deadline.
pub async fn eventually_async(within: Duration, what: &str, mut question: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !question().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
