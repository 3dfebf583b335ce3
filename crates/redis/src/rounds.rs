//! A question that many ask at once, and that is asked once for all of them.

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Shares answers. A caller gets one that was asked for after the caller came: an older one may be outdated.
pub(crate) struct Rounds<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Rounds<T> {
    /// The answer of the first round that begins from now on. If whoever asks is dropped meanwhile, the next asks.
    pub(crate) async fn next(&self, ask: impl AsyncFnOnce() -> T) -> T {
        let called = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, answer)) = &*last
            && *began > called
        {
            return answer.clone();
        }
        let began = Instant::now();
        let answer = ask().await;
        *last = Some((began, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn who_comes_during_a_round_gets_the_next_which_is_one_for_all() {
        let (rounds, asked, gate) = (Rounds::default(), AtomicU32::new(0), Semaphore::new(0));
        let ask = async || {
            let round = asked.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.expect("open").forget();
            round
        };
        // Polled in this order, so all callers wait before the first round ends.
        let late = join_all((0..100).map(|_| rounds.next(ask)));
        let (first, late, ()) = tokio::join!(rounds.next(ask), late, async { gate.add_permits(2) });
        assert_eq!((first, late), (0, vec![1; 100]));
        gate.add_permits(1);
        assert_eq!(rounds.next(ask).await, 2);
    }

    #[tokio::test]
    async fn who_gives_up_holds_up_nobody() {
        let rounds = Rounds::default();
        let never = rounds.next(async || std::future::pending::<u32>().await);
        tokio::select! {
            biased;
            _ = never => panic!("nobody answers"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(rounds.next(async || 7).await, 7);
    }
}
