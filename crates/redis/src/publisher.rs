//! The connection for publishing, and for all commands about one key that do not block: one,
//! multiplexed, kept up for ever.
//!
//! redis-rs' own `ConnectionManager` gives up after some attempts, so a supervisor of ours opens
//! connections. While it has none, whoever publishes is refused at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use redis::{Pipeline, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::Backoff;
use crate::command::{Beside, Keyed, is_function_missing, is_read_only};
use crate::dialect::Dialect;
use crate::functions::{Functions, Lacking};
use crate::link::{Line, Link, is_master};
use crate::task::Task;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// Bytes that may wait for answers, all callers together. What goes beyond is refused at once as
/// unavailable, save that one batch always goes.
const WAITING_BYTES: usize = 64 << 20;

/// Publishes on one Redis.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    supervisor: Task,
}

struct Shared {
    whereabouts: Whereabouts,
    dialect: Dialect,
    patience: Patience,
    functions: Option<Arc<Functions>>,
    /// None while Redis is not heard.
    link: Mutex<Option<Arc<Link>>>,
    waiting_bytes: AtomicUsize,
    /// Held while the library is brought to the server: callers that miss it at once bring it once.
    installing: tokio::sync::Mutex<()>,
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
        functions: Option<Arc<Functions>>,
        heard: impl Fn(bool) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            whereabouts: whereabouts.clone(),
            dialect,
            patience,
            functions,
            link: Mutex::new(None),
            waiting_bytes: AtomicUsize::new(0),
            installing: tokio::sync::Mutex::default(),
        });
        let supervisor = Task::spawn(supervise(whereabouts, Arc::clone(&shared), heard));
        Self { shared, supervisor }
    }

    /// Sends commands in this order, in one round trip; one result for each, which may be an error of
    /// the server's. How much goes at once is the caller's to bound.
    pub(crate) async fn run(
        &self,
        commands: &[impl Keyed],
        beside: Beside,
        until: Instant,
    ) -> Vec<Result<Value, RedisError>> {
        let all: Vec<_> = commands.iter().collect();
        let mut results = self.send(&all, beside, until).await;
        let open = to_be_called_again(&mut results, |at| commands[at].key());
        if !open.is_empty() {
            match self.shared.install(until).await {
                Ok(()) => {
                    let again: Vec<_> = open.iter().map(|&at| &commands[at]).collect();
                    for (&at, result) in open.iter().zip(self.send(&again, beside, until).await) {
                        results[at] = result;
                    }
                }
                Err(error) => open.iter().for_each(|&at| results[at] = Err(error.clone())),
            }
        }
        results
    }

    /// The way to the server that is published to now.
    pub(crate) fn line(&self) -> Option<Line> {
        self.shared.link.lock().as_ref().map(|link| link.line())
    }

    /// Closes the connection and waits until the supervisor has ended.
    pub(crate) async fn stop(&self) {
        self.supervisor.stop().await;
        *self.shared.link.lock() = None;
    }

    async fn send(
        &self,
        commands: &[&impl Keyed],
        beside: Beside,
        until: Instant,
    ) -> Vec<Result<Value, RedisError>> {
        match timeout_at(until, self.shared.send(commands, beside)).await {
            Ok(Ok(answers)) => answers.into_iter().map(Ok).collect(),
            Ok(Err(error)) => vec![Err(error); commands.len()],
            Err(_) => vec![Err(RedisError::unavailable("no answer in time")); commands.len()],
        }
    }
}

/// Which of these met a server without the library, and may be called again. One whose successor about the same
/// key was answered, since the library came back meanwhile, would overtake it: it fails.
fn to_be_called_again<'a>(
    results: &mut [Result<Value, RedisError>],
    key: impl Fn(usize) -> &'a str,
) -> Vec<usize> {
    let is_missing = |result: &Result<Value, RedisError>| result.as_ref().is_ok_and(is_function_missing);
    let mut open: Vec<usize> = (0..results.len()).filter(|&at| is_missing(&results[at])).collect();
    if open.is_empty() || open.len() == results.len() {
        return open;
    }
    let mut settled = HashSet::new();
    for at in (0..results.len()).rev() {
        if !is_missing(&results[at]) {
            settled.insert(key(at));
        } else if settled.contains(key(at)) {
            results[at] = Err(RedisError::unavailable("the function library was gone just then"));
        }
    }
    open.retain(|&at| is_missing(&results[at]));
    open
}

impl Shared {
    fn link(&self) -> Result<Arc<Link>, RedisError> {
        self.link.lock().clone().ok_or_else(|| RedisError::unavailable("Redis is not heard"))
    }

    async fn send(&self, commands: &[&impl Keyed], beside: Beside) -> Result<Vec<Value>, RedisError> {
        let link = self.link()?;
        let bytes = commands.iter().map(|command| command.bytes()).sum();
        let _room = Room::take(&self.waiting_bytes, bytes)?;
        let mut pipeline = Pipeline::with_capacity(commands.len());
        if beside == Beside::Role {
            pipeline.cmd("ROLE");
        }
        for command in commands {
            if beside == Beside::Asking {
                pipeline.cmd("ASKING");
            }
            command.add_to(&mut pipeline, self.dialect);
        }
        let mut connection = link.connection.clone();
        // Raw answers: a command that is refused harms no other.
        let count = pipeline.cmd_iter().count();
        let sending = connection.send_packed_commands(&pipeline, 0, count);
        let mut answers = link.unless_closed(sending).await?;
        link.was_heard();
        let is_demoted = match beside {
            Beside::Role => !is_master(&answers.remove(0)),
            Beside::Asking => {
                let mut at = 0..;
                answers.retain(|_| at.next().is_some_and(|at: usize| at % 2 == 1));
                false
            }
            Beside::Nothing => false,
        };
        if is_demoted || answers.iter().any(is_read_only) {
            self.whereabouts.doubt();
            link.give_up();
        }
        match is_demoted {
            true => Err(RedisError::Refused("READONLY the server is no master".to_owned())),
            false => Ok(answers),
        }
    }

    /// Brings the library to the server.
    async fn install(&self, until: Instant) -> Result<(), RedisError> {
        let unknown = || RedisError::Refused("this node has no function library".to_owned());
        let functions = self.functions.as_ref().ok_or_else(unknown)?;
        let link = self.link()?;
        let install = async {
            let _one_at_a_time = self.installing.lock().await;
            functions.install(&link, &self.patience).await
        };
        let late = |_| RedisError::unavailable("no answer in time");
        timeout_at(until, install).await.map_err(late)?
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

/// Keeps a connection up until it is dropped.
async fn supervise(mut whereabouts: Whereabouts, shared: Arc<Shared>, heard: impl Fn(bool)) {
    let set = |link: Option<Arc<Link>>| {
        let is_heard = link.is_some();
        let former = std::mem::replace(&mut *shared.link.lock(), link);
        if former.is_some() != is_heard {
            heard(is_heard);
        }
    };
    let patience = &shared.patience;
    let mut backoff = Backoff::new(patience.backoff);
    loop {
        match Link::open(&mut whereabouts, patience, None, |_| {}).await {
            Ok(link) => {
                let (link, opened) = (Arc::new(link), Instant::now());
                let lacking = first_look(&shared, &link).await;
                set(Some(Arc::clone(&link)));
                let watching = link.watch(patience, |heard| set(heard.then(|| Arc::clone(&link))));
                let why = tokio::select! {
                    why = watching => why,
                    () = whereabouts.moved() => RedisError::unavailable("the master is another server now"),
                    () = keep_functions(&shared, &link, lacking) => RedisError::unavailable("never"),
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

/// Brings the library before anybody can call it.
async fn first_look(shared: &Shared, link: &Link) -> Option<Lacking> {
    match &shared.functions {
        Some(functions) => functions.bring(link, &shared.patience).await,
        None => None,
    }
}

/// Looks after the library; never returns.
async fn keep_functions(shared: &Shared, link: &Link, lacking: Option<Lacking>) {
    match &shared.functions {
        Some(functions) => functions.keep(link, &shared.patience, lacking).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_again_overtakes_nothing_about_its_key() {
        let missing = || Ok(redis::parse_redis_value(b"-ERR Function not found\r\n").expect("an error"));
        let okay = || Ok(Value::Okay);
        let keys = ["a", "b", "c", "a", "b", "c"];
        // The library came back behind the third, and was gone once more for the last.
        let mut results = vec![missing(), missing(), okay(), okay(), missing(), missing()];
        assert_eq!(to_be_called_again(&mut results, |at| keys[at]), [1, 4, 5]);
        assert!(matches!(results[0], Err(RedisError::Unavailable(_))), "another of its channel was taken");
        let mut all = vec![missing(), missing()];
        assert_eq!(to_be_called_again(&mut all, |at| keys[at]), [0, 1]);
    }
}
