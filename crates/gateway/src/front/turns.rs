//! Whose turn it is: a crowd that comes at once must not hold up what those who are here are to hear.
//!
//! A handshake that has something to read takes a turn, and keeps it until everybody else who was ready has run. So
//! between two looks of a task at its work stand as many handshakes as there are turns, however many wait. Who says
//! nothing holds no turn: the slow keep nobody out.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The turns of a node.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

/// One of them.
#[derive(Debug)]
pub(crate) struct Turn<'a>(SemaphorePermit<'a>);

impl Turns {
    pub(crate) fn new(turns: usize) -> Self {
        Self(Semaphore::new(turns))
    }

    /// Waits for a turn, behind those who came before.
    pub(super) async fn take(&self) -> Turn<'_> {
        Turn(self.0.acquire().await.expect("turns are never closed"))
    }
}

impl Turn<'_> {
    /// Gives it back when all who are ready now have run.
    pub(super) async fn end(self) {
        tokio::task::yield_now().await;
        drop(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Ran {
        Handshake,
        Other,
    }

    /// What runs on one thread while a hundred handshakes are ready and something else is, always.
    async fn crowd(turns: usize) -> Vec<Ran> {
        let (turns, ran) = (Arc::new(Turns::new(turns)), Arc::new(Mutex::new(Vec::new())));
        let tasks = tokio_util::task::TaskTracker::new();
        let log = Arc::clone(&ran);
        let other = tokio::spawn(async move {
            loop {
                log.lock().push(Ran::Other);
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..100 {
            let (turns, ran) = (Arc::clone(&turns), Arc::clone(&ran));
            tasks.spawn(async move {
                let turn = turns.take().await;
                ran.lock().push(Ran::Handshake);
                turn.end().await;
            });
        }
        tasks.close();
        tasks.wait().await;
        other.abort();
        ran.lock().clone()
    }

    /// The most handshakes between two looks of the other task.
    fn longest_wait(ran: &[Ran]) -> usize {
        ran.split(|ran| *ran == Ran::Other).map(<[Ran]>::len).max().unwrap_or(0)
    }

    #[tokio::test]
    async fn others_run_after_as_many_handshakes_as_there_are_turns() {
        let ran = crowd(4).await;
        assert_eq!(ran.iter().filter(|ran| **ran == Ran::Handshake).count(), 100, "all come in");
        assert!(longest_wait(&ran) <= 4, "{ran:?}");
        assert_eq!(longest_wait(&crowd(100).await), 100, "the control: turns for all");
    }
}
