//! A task with an owner: it ends when the owner says so, or is dropped.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running task. Dropping it tells the task to end; [`Task::stop`] also waits for that.
#[derive(Debug)]
pub(crate) struct Task {
    stop: DropGuard,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Task {
    /// Starts `work` on the current runtime. It is dropped at its next await after the end is told.
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let handle = tokio::spawn(async move {
            stopped.run_until_cancelled(work).await;
        });
        Self { stop: stop.drop_guard(), handle: Mutex::new(Some(handle)) }
    }

    /// Tells the task to end and waits until it has.
    pub(crate) async fn stop(&self) {
        self.stop.token().cancel();
        let handle = self.handle.lock().take();
        if let Some(handle) = handle
            && let Err(error) = handle.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic()); // a broken invariant stays one
        }
    }
}
