//! The connection for publishing: one, multiplexed, kept up for ever.
//!
//! redis-rs' own `ConnectionManager` gives up after some attempts, so a supervisor of ours opens
//! connections. While it has none, whoever publishes is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use redis::{Pipeline, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::Backoff;
use crate::dialect::Dialect;
use crate::link::Link;
use crate::task::Task;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// Bytes that may wait for answers, all callers together. What goes beyond is refused at once as
/// unavailable, save that one batch always goes.
const WAITING_BYTES: usize = 64 << 20;

/// Publishes on one Redis.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    dialect: Dialect,
    supervisor: Task,
}

struct Shared {
    /// None while Redis is not heard.
    link: Mutex<Option<Arc<Link>>>,
    waiting_bytes: AtomicUsize,
}

/// The room of one batch among the bytes that wait; given back when it is answered or given up.
struct Room<'a> {
    waiting_bytes: &'a AtomicUsize,
    bytes: usize,
}

impl Publisher {
    /// Starts to reach Redis, and tells `heard` whenever that works or not; it starts as not. Must be
    /// called inside a tokio runtime.
    pub(crate) fn start(
        whereabouts: Whereabouts,
        dialect: Dialect,
        patience: Patience,
        heard: impl Fn(bool) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared { link: Mutex::new(None), waiting_bytes: AtomicUsize::new(0) });
        let supervisor = Task::spawn(supervise(whereabouts, patience, Arc::clone(&shared), heard));
        Self { shared, dialect, supervisor }
    }

    /// Publishes messages (pub/sub name, payload) in this order, in one round trip; one result for
    /// each. How much goes at once is the caller's to bound.
    pub(crate) async fn publish(
        &self,
        messages: &[(impl AsRef<str>, impl AsRef<[u8]>)],
        until: Instant,
    ) -> Vec<Result<(), RedisError>> {
        match timeout_at(until, self.send(messages)).await {
            Ok(Ok(answers)) => answers.into_iter().map(understand).collect(),
            Ok(Err(error)) => vec![Err(error); messages.len()],
            Err(_) => vec![Err(RedisError::unavailable("no answer in time")); messages.len()],
        }
    }

    /// Closes the connection and waits until the supervisor has ended.
    pub(crate) async fn stop(&self) {
        self.supervisor.stop().await;
        *self.shared.link.lock() = None;
    }

    async fn send(&self, messages: &[(impl AsRef<str>, impl AsRef<[u8]>)]) -> Result<Vec<Value>, RedisError> {
        let link = self.shared.link.lock().clone();
        let link = link.ok_or_else(|| RedisError::unavailable("Redis is not heard"))?;
        let bytes = messages.iter().map(|(name, payload)| name.as_ref().len() + payload.as_ref().len()).sum();
        let _room = Room::take(&self.shared.waiting_bytes, bytes)?;
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for (name, payload) in messages {
            pipeline.cmd(self.dialect.publish()).arg(name.as_ref()).arg(payload.as_ref());
        }
        let mut connection = link.connection.clone();
        // Raw answers: a message that is refused harms no other.
        let answers =
            link.unless_closed(connection.send_packed_commands(&pipeline, 0, messages.len())).await?;
        link.was_heard();
        Ok(answers)
    }
}

impl<'a> Room<'a> {
    fn take(waiting_bytes: &'a AtomicUsize, bytes: usize) -> Result<Self, RedisError> {
        let before = waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Self { waiting_bytes, bytes };
        if before > 0 && before + bytes > WAITING_BYTES {
            return Err(RedisError::unavailable("too much waits for an answer"));
        }
        Ok(room)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn understand(answer: Value) -> Result<(), RedisError> {
    match answer {
        Value::ServerError(error) => Err(error.into()),
        _ => Ok(()), // how many heard it: only those on the same server, so it says nothing
    }
}

/// Keeps a connection up until it is dropped.
async fn supervise(
    mut whereabouts: Whereabouts,
    patience: Patience,
    shared: Arc<Shared>,
    heard: impl Fn(bool),
) {
    let set = |link: Option<Arc<Link>>| {
        let is_heard = link.is_some();
        let former = std::mem::replace(&mut *shared.link.lock(), link);
        if former.is_some() != is_heard {
            heard(is_heard);
        }
    };
    let mut backoff = Backoff::new(patience.backoff);
    loop {
        match Link::open(&mut whereabouts, &patience, |_| {}).await {
            Ok(link) => {
                let (link, opened) = (Arc::new(link), Instant::now());
                set(Some(Arc::clone(&link)));
                let watching = link.watch(&patience, |heard| set(heard.then(|| Arc::clone(&link))));
                let why = tokio::select! {
                    why = watching => why,
                    () = whereabouts.moved() => RedisError::unavailable("the master is another server now"),
                };
                set(None);
                backoff.lived(opened.elapsed());
                tracing::warn!(%why, "the connection for publishing is lost");
            }
            Err(why) => tracing::debug!(%why, "cannot connect for publishing"),
        }
        sleep(backoff.pause()).await;
    }
}
