//! Keeps a feed's connection up: connects, subscribes to all that is wanted, serves, starts over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::OptionFuture;
use redis::Client;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::requests::{Request, Subscriptions, subscribe};
use super::{FeedSink, REQUESTS};
use crate::backoff::Backoff;
use crate::link::Link;
use crate::{Patience, RedisError};

/// Time between two log lines of one outage.
const LOG_PACE: Duration = Duration::from_secs(10);

/// The supervisor of one feed.
pub(super) struct Supervisor<S> {
    client: Client,
    patience: Patience,
    voice: Arc<Voice<S>>,
    inbox: mpsc::Receiver<Request>,
    subscriptions: Subscriptions,
    /// Connections that were up.
    links: u64,
}

/// Tells callers and sink whether Redis is heard.
struct Voice<S> {
    sink: Arc<S>,
    heard: Arc<AtomicBool>,
}

impl<S: FeedSink> Supervisor<S> {
    pub(super) fn new(
        client: Client,
        patience: Patience,
        sink: Arc<S>,
        heard: Arc<AtomicBool>,
        inbox: mpsc::Receiver<Request>,
    ) -> Self {
        let voice = Arc::new(Voice { sink, heard });
        Self { client, patience, voice, inbox, subscriptions: Subscriptions::default(), links: 0 }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(self.patience.backoff);
        let mut logged: Option<Instant> = None;
        loop {
            match self.open().await {
                Ok(link) => {
                    let opened = Instant::now();
                    self.links += 1;
                    logged = None;
                    let why = self.serve(link).await;
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
    async fn open(&mut self) -> Result<Link, RedisError> {
        let sink = Arc::clone(&self.voice.sink);
        let hear = move |channel: &[u8], payload: Vec<u8>| sink.message(channel, payload);
        let opening = Link::open(&self.client, &self.patience, hear);
        let link = refusing(&mut self.inbox, &mut self.subscriptions, opening).await?;
        let names = self.subscriptions.wanted();
        let subscribing = async {
            tokio::select! {
                result = subscribe(&link.connection, &names) => result,
                // However many there are: only silence ends it.
                why = link.watch(&self.patience, |_| {}) => Err(why),
            }
        };
        refusing(&mut self.inbox, &mut self.subscriptions, subscribing).await?;
        self.subscriptions.resubscribed(names);
        Ok(link)
    }

    /// Serves requests until the link is of no more use.
    async fn serve(&mut self, link: Link) -> RedisError {
        let (voice, number) = (Arc::clone(&self.voice), self.links);
        voice.up(number);
        let silent = RedisError::unavailable("it does not answer");
        let watching = link.watch(&self.patience, |heard| match heard {
            true => voice.up(number),
            false => voice.down(&silent),
        });
        let mut watching = std::pin::pin!(watching);
        let mut requests = Vec::new();
        loop {
            let next = self.subscriptions.next_step();
            let mut step = next.map(|step| Box::pin(step.run(link.connection.clone())));
            tokio::select! {
                why = &mut watching => return why,
                Some(done) = OptionFuture::from(step.as_mut()) => self.subscriptions.finish(done),
                1.. = self.inbox.recv_many(&mut requests, REQUESTS), if step.is_none() => {
                    self.subscriptions.ask(requests.drain(..));
                }
            }
        }
    }
}

impl<S: FeedSink> Voice<S> {
    fn up(&self, link: u64) {
        if !self.heard.swap(true, Ordering::AcqRel) {
            self.sink.up(link);
        }
    }

    fn down(&self, why: &RedisError) {
        if self.heard.swap(false, Ordering::AcqRel) {
            self.sink.down(why);
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
