//! Keeps a feed's connection up: connects, subscribes to all that is wanted, serves, starts over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::OptionFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::commands::subscribe;
use super::requests::{Request, Subscriptions};
use super::{Ears, REQUESTS};
use crate::backoff::Backoff;
use crate::dialect::Dialect;
use crate::link::{Heard, Line, Link};
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// Time between two log lines of one outage.
const LOG_PACE: Duration = Duration::from_secs(10);

/// While subscriptions are waited for, a connection that confirms none for so long is given up, though PINGs are
/// answered.
const STALLED: Duration = Duration::from_secs(6);

/// The supervisor of one feed.
pub(super) struct Supervisor<S> {
    whereabouts: Whereabouts,
    dialect: Dialect,
    patience: Patience,
    voice: Arc<Voice<S>>,
    /// Rung when the connection is deaf.
    deaf: Arc<Notify>,
    inbox: mpsc::Receiver<Request>,
    subscriptions: Subscriptions,
    /// Connections that were up.
    links: u64,
}

/// Tells callers and ears whether Redis is heard, and where.
pub(super) struct Voice<S> {
    ears: Arc<S>,
    heard: Arc<AtomicBool>,
    line: Arc<Mutex<Option<Line>>>,
}

/// Subscriptions that Redis has ended by itself, on their way from the connection's task.
#[derive(Default)]
struct Ended {
    /// Bounded by what was subscribed.
    names: Mutex<Vec<String>>,
    some: Notify,
}

impl<S: Ears> Supervisor<S> {
    pub(super) fn new(
        whereabouts: Whereabouts,
        dialect: Dialect,
        patience: Patience,
        voice: Voice<S>,
        deaf: Arc<Notify>,
        inbox: mpsc::Receiver<Request>,
    ) -> Self {
        let subscriptions = Subscriptions::default();
        let voice = Arc::new(voice);
        Self { whereabouts, dialect, patience, voice, deaf, inbox, subscriptions, links: 0 }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.patience.backoff);
        let mut logged: Option<Instant> = None;
        loop {
            match self.open().await {
                Ok((link, ended)) => {
                    let opened = Instant::now();
                    self.links += 1;
                    logged = None;
                    *self.voice.line.lock() = Some(link.line());
                    let why = self.serve(link, &ended).await;
                    *self.voice.line.lock() = None;
                    self.voice.down(&why);
                    self.subscriptions.refuse_pending();
                    backoff.lived(opened.elapsed());
                }
                Err(why) if logged.is_none_or(|last| last.elapsed() >= LOG_PACE) => {
                    logged = Some(Instant::now());
                    tracing::warn!(%why, "cannot connect to Redis; trying for ever");
                }
                Err(why) => tracing::debug!(%why, "cannot connect to Redis"),
            }
            let pause = sleep(backoff.pause());
            refusing(&mut self.inbox, &mut self.subscriptions, pause).await;
        }
    }

    /// Connects and subscribes to all that is wanted.
    async fn open(&mut self) -> Result<(Link, Arc<Ended>), RedisError> {
        let ended = Arc::new(Ended::default());
        let (ears, ending) = (Arc::clone(&self.voice.ears), Arc::clone(&ended));
        let hear = move |heard: Heard<'_>| match heard {
            Heard::Message(channel, payload) => ears.message(channel, payload),
            Heard::Ended(name) => ending.push(name),
        };
        let opening = Link::open(&mut self.whereabouts, &self.patience, self.patience.pace, hear);
        let link = refusing(&mut self.inbox, &mut self.subscriptions, opening).await?;
        let names = self.subscriptions.wanted();
        let subscribing = async {
            tokio::select! {
                failures = subscribe(&link, self.dialect, &names) => failures.moved(),
                // However many there are: only silence ends it.
                why = link.watch(&self.patience, |_| {}) => Err(why),
                why = link.stalled(STALLED) => Err(why),
            }
        };
        let moved = refusing(&mut self.inbox, &mut self.subscriptions, subscribing).await?;
        self.give_up(moved);
        self.subscriptions.resubscribed(names);
        Ok((link, ended))
    }

    /// Serves requests until the link is of no more use.
    async fn serve(&mut self, link: Link, ended: &Ended) -> RedisError {
        let (voice, number) = (Arc::clone(&self.voice), self.links);
        voice.up(number);
        let silent = RedisError::unavailable("it does not answer");
        let patience = self.patience;
        let watching = link.watch(&patience, |heard| match heard {
            true => voice.up(number),
            false => voice.down(&silent),
        });
        let mut watching = std::pin::pin!(watching);
        let mut requests = Vec::new();
        let mut step = None;
        loop {
            if step.is_none() {
                let next = self.subscriptions.next_step();
                step = next.map(|step| Box::pin(step.run(&link, self.dialect)));
            }
            tokio::select! {
                why = &mut watching => return why,
                () = self.whereabouts.moved() => {
                    return RedisError::unavailable("the master is another server now");
                }
                () = self.deaf.notified() => {
                    return RedisError::unavailable("it answers, but what is published does not come: the canary was not heard");
                }
                () = ended.some.notified() => {
                    let names = std::mem::take(&mut *ended.names.lock());
                    self.give_up(names);
                }
                Some(done) = OptionFuture::from(step.as_mut()) => {
                    step = None;
                    self.subscriptions.finish(done);
                }
                1.. = self.inbox.recv_many(&mut requests, REQUESTS), if step.is_none() => {
                    self.subscriptions.ask(requests.drain(..));
                }
            }
        }
    }

    /// These are another node's now.
    fn give_up(&mut self, names: Vec<String>) {
        let names = self.subscriptions.ended(names);
        if !names.is_empty() {
            self.voice.ears.moved(names);
        }
    }
}

impl Ended {
    fn push(&self, name: String) {
        self.names.lock().push(name);
        self.some.notify_one();
    }
}

impl<S: Ears> Voice<S> {
    pub(super) fn new(ears: S, heard: &Arc<AtomicBool>, line: &Arc<Mutex<Option<Line>>>) -> Self {
        Self { ears: Arc::new(ears), heard: Arc::clone(heard), line: Arc::clone(line) }
    }

    fn up(&self, link: u64) {
        if !self.heard.swap(true, Ordering::AcqRel) {
            self.ears.up(link);
        }
    }

    fn down(&self, why: &RedisError) {
        if self.heard.swap(false, Ordering::AcqRel) {
            self.ears.down(why);
        }
    }
}

/// Waits for `what`; requests that come meanwhile are answered at once, not held.
async fn refusing<T>(
    inbox: &mut mpsc::Receiver<Request>,
    subscriptions: &mut Subscriptions,
    what: impl Future<Output = T>,
) -> T {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            result = &mut what => return result,
            Some(request) = inbox.recv() => subscriptions.refuse(request),
        }
    }
}
