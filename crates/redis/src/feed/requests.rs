//! What callers want of a feed, in steps that Redis answers one after the other.
//!
//! While Redis answers one step the next gathers: many small requests become few commands, and
//! subscribing and unsubscribing keep their order. It must not know how a connection comes about.

use std::collections::{HashSet, VecDeque};

use tokio::sync::oneshot;

use super::commands::{subscribe, unsubscribe};
use crate::RedisError;
use crate::dialect::Dialect;
use crate::link::Link;

/// A caller's wish.
pub(super) enum Request {
    Subscribe(Subscribe),
    Unsubscribe(Vec<String>),
}

/// Somebody waits for these names to be confirmed.
pub(super) struct Subscribe {
    pub(super) names: Vec<String>,
    pub(super) done: oneshot::Sender<Result<(), RedisError>>,
}

/// What is subscribed, and what is still to be done.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// Confirmed by Redis. Bounded by what callers want at once.
    wanted: HashSet<String>,
    /// In the order of calls; at most what was taken from the feed's bounded queue at once, and
    /// one clean-up.
    pending: VecDeque<Request>,
    /// To be unsubscribed before anything else: subscribed on the server, wanted by nobody.
    stale: Vec<String>,
}

/// What is asked of Redis at once.
pub(super) enum Step {
    Subscribe { requests: Vec<Subscribe>, missing: Vec<String> },
    Unsubscribe(Vec<String>),
}

/// What became of a step.
pub(super) enum Done {
    Subscribed(Vec<(Subscribe, Result<(), RedisError>)>),
    Unsubscribed,
}

impl Subscriptions {
    /// Adds requests that came while Redis is heard.
    pub(super) fn ask(&mut self, requests: impl IntoIterator<Item = Request>) {
        self.pending.extend(requests);
    }

    /// Answers a request that came while Redis is not heard: subscribing fails at once,
    /// unsubscribing is done.
    pub(super) fn refuse(&mut self, request: Request) {
        match request {
            Request::Subscribe(request) => {
                let _ = request.done.send(Err(RedisError::unavailable("Redis is not heard")));
            }
            Request::Unsubscribe(names) => {
                for name in &names {
                    self.wanted.remove(name);
                }
            }
        }
    }

    /// The connection is gone, and with it what was to be done on it.
    pub(super) fn refuse_pending(&mut self) {
        self.stale.clear();
        while let Some(request) = self.pending.pop_front() {
            self.refuse(request);
        }
    }

    /// All that is wanted, for a new connection.
    pub(super) fn wanted(&self) -> Vec<String> {
        self.wanted.iter().cloned().collect()
    }

    /// Redis has ended these by itself, or refuses them as another node's. Returns those that were
    /// wanted; they are not any more.
    pub(super) fn ended(&mut self, mut names: Vec<String>) -> Vec<String> {
        names.retain(|name| self.wanted.remove(name));
        names
    }

    /// These were subscribed on a new connection; what nobody wants any more is cleaned up.
    pub(super) fn resubscribed(&mut self, names: Vec<String>) {
        self.stale = names.into_iter().filter(|name| !self.wanted.contains(name)).collect();
    }

    /// What to ask next, if there is anything.
    pub(super) fn next_step(&mut self) -> Option<Step> {
        if !self.stale.is_empty() {
            return Some(Step::Unsubscribe(std::mem::take(&mut self.stale)));
        }
        match self.pending.pop_front()? {
            Request::Unsubscribe(mut names) => {
                names.retain(|name| self.wanted.remove(name));
                Some(Step::Unsubscribe(names))
            }
            Request::Subscribe(first) => {
                let mut requests = vec![first];
                loop {
                    match self.pending.pop_front() {
                        Some(Request::Subscribe(next)) => requests.push(next),
                        Some(other) => break self.pending.push_front(other),
                        None => break,
                    }
                }
                requests.retain(|request| !request.done.is_closed()); // the caller has given up
                let names = requests.iter().flat_map(|request| &request.names);
                let missing: HashSet<&String> = names.filter(|name| !self.wanted.contains(*name)).collect();
                let missing = missing.into_iter().cloned().collect();
                Some(Step::Subscribe { requests, missing })
            }
        }
    }

    /// Answers whoever waited for a step.
    pub(super) fn finish(&mut self, done: Done) {
        let Done::Subscribed(results) = done else { return };
        let mut orphans = HashSet::new(); // each once: one more end would seem to be Redis' own
        for (Subscribe { names, done }, result) in results {
            let is_confirmed = result.is_ok();
            // A caller who gave up meanwhile will not unsubscribe.
            if done.send(result).is_ok() && is_confirmed {
                self.wanted.extend(names);
            } else {
                orphans.extend(names); // some of them may be subscribed
            }
        }
        orphans.retain(|name| !self.wanted.contains(name));
        self.stale = orphans.into_iter().collect();
    }
}

impl Step {
    /// Asks Redis.
    pub(super) async fn run(self, link: &Link, dialect: Dialect) -> Done {
        match self {
            Self::Unsubscribe(names) => {
                if let Err(error) = unsubscribe(link, dialect, &names).await {
                    // A lost connection has no subscriptions; a slot that has moved neither.
                    tracing::debug!(%error, "unsubscribing failed");
                }
                Done::Unsubscribed
            }
            Self::Subscribe { requests, missing } => {
                let all = subscribe(link, dialect, &missing).await;
                let are_several = requests.len() > 1;
                let mut results = Vec::with_capacity(requests.len());
                for request in requests {
                    let result = match all.of(&request.names) {
                        // One caller's name may have been refused: the others shall not suffer.
                        Err(RedisError::Refused(_)) if are_several => {
                            subscribe(link, dialect, &request.names).await.of(&request.names)
                        }
                        other => other,
                    };
                    results.push((request, result));
                }
                Done::Subscribed(results)
            }
        }
    }
}

#[cfg(test)]
mod tests;
