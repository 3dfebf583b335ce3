//! The feed: one connection to a Redis node that is used for pub/sub and nothing else.
//!
//! Requests reach it as names; messages leave in the connection's own task, straight into
//! [`Ears`], so that nothing unbounded stands between Redis and whoever bounds. A supervisor
//! keeps the connection up for ever and subscribes anew to all that is wanted.

mod commands;
mod requests;
mod supervisor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::dialect::Dialect;
use crate::link::Line;
use crate::task::Task;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};
use requests::{Request, Subscribe};
use supervisor::{Supervisor, Voice};

/// Requests that may wait for the supervisor. One more waits with its caller, and fails with it
/// when its time is over.
const REQUESTS: usize = 256;

/// Hears what a feed hears. Its functions are called from the tasks that read: they must not block.
pub(crate) trait Ears: Send + Sync + 'static {
    /// A message on a pub/sub channel.
    fn message(&self, channel: &[u8], payload: Vec<u8>);
    /// Redis is heard and all that is wanted is subscribed. `link` counts connections from 1; the
    /// same number again means that it fell silent for a while.
    fn up(&self, link: u64);
    /// Redis is not heard any more.
    fn down(&self, why: &RedisError);
    /// These are not subscribed any more: their slots are another node's.
    fn moved(&self, names: Vec<String>);
}

/// A feed of one Redis node.
pub(crate) struct Feed {
    requests: mpsc::Sender<Request>,
    /// Whether Redis is heard.
    heard: Arc<AtomicBool>,
    /// The way to the server that is heard.
    line: Arc<Mutex<Option<Line>>>,
    /// Rung when the connection is deaf.
    deaf: Arc<Notify>,
    supervisor: Task,
}

impl Feed {
    /// Starts to reach Redis. Must be called inside a tokio runtime.
    pub(crate) fn start(
        whereabouts: Whereabouts,
        dialect: Dialect,
        patience: Patience,
        ears: impl Ears,
    ) -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let heard = Arc::new(AtomicBool::new(false));
        let line = Arc::default();
        let voice = Voice::new(ears, &heard, &line);
        let deaf = Arc::new(Notify::new());
        let supervisor = Supervisor::new(whereabouts, dialect, patience, voice, Arc::clone(&deaf), inbox);
        Self { requests, heard, line, deaf, supervisor: Task::spawn(supervisor.run()) }
    }

    /// Subscribes to pub/sub names. When it returns, Redis has confirmed them, and they stay
    /// subscribed through reconnects. If it fails or is dropped, none is, save those that were
    /// before.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`], at once while Redis is not heard; [`RedisError::Refused`];
    /// [`RedisError::Moved`] in a Cluster.
    pub(crate) async fn subscribe(&self, names: Vec<String>, until: Instant) -> Result<(), RedisError> {
        if !self.is_heard() {
            return Err(RedisError::unavailable("Redis is not heard"));
        }
        let (done, answer) = oneshot::channel();
        let ask = async {
            // An end that is gone means the same on both ways: the link fell, or the feed stopped.
            self.requests.send(Request::Subscribe(Subscribe { names, done })).await.ok()?;
            answer.await.ok()
        };
        match timeout_at(until, ask).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(RedisError::unavailable("the connection was lost meanwhile")),
            Err(_) => Err(RedisError::unavailable("no answer in time")),
        }
    }

    /// Whether Redis is heard, as far as is known.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    /// What is published does not come through this connection: another is made.
    pub(crate) fn replace(&self) {
        self.deaf.notify_one();
    }

    /// The way to the server that is heard now.
    pub(crate) fn line(&self) -> Option<Line> {
        self.line.lock().clone()
    }

    /// Ends subscriptions: soon on this connection, for sure on later ones.
    pub(crate) async fn unsubscribe(&self, names: Vec<String>) {
        // Fails only when the feed has stopped, and with it all subscriptions.
        let _ = self.requests.send(Request::Unsubscribe(names)).await;
    }

    /// Closes the connection and waits until the supervisor has ended.
    pub(crate) async fn stop(&self) {
        self.supervisor.stop().await;
        *self.line.lock() = None; // else it would hold the connection
        self.heard.store(false, Ordering::Release);
    }
}
