//! Whether what is published is heard: now and then a message of our own goes through the shard and back.
//!
//! PING says that a server answers, not that it still pushes: a feed may be deaf for ever while all seems well. Each
//! node has a name of its own for each shard, so its canary costs the other nodes nothing. How a canary is spelled
//! is the sink's; nobody but this file hears one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::time::{Instant, sleep};

use crate::command::Beside;
use crate::feed::Feed;
use crate::keys::Keys;
use crate::lookout::LogPace;
use crate::publisher::Publisher;
use crate::{Patience, RedisError};

/// Between two canaries.
const FLIGHT: Duration = Duration::from_secs(3);
/// A feed that has heard neither a canary nor anything else for so long is deaf.
const DEAF: Duration = Duration::from_secs(6);
/// And one that hears others, but no canary: in a flood it may be late.
const LATE: Duration = Duration::from_secs(30);
/// A canary may be so long on its way before it counts as unheard.
const WAY: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Canaries that are waited for; the oldest goes. More than fly in [`LATE`].
const WAITED_FOR: usize = 16;

/// What a shard's feed has heard of its canaries.
pub(crate) struct Canary {
    /// What the names of all canaries start with: `tg:{~canary:`.
    head: String,
    /// This node's and shard's own.
    stem: String,
    state: Mutex<State>,
    /// Messages heard that are none.
    messages: AtomicU64,
}

struct State {
    /// Subscribed at the shard.
    name: Option<String>,
    flying: VecDeque<Flight>,
    /// When one was heard, or the connection stood.
    heard: Instant,
    /// How many messages there were at the last look, and when that changed.
    messages: (u64, Instant),
    number: u64,
}

struct Flight {
    payload: Vec<u8>,
    /// When the server had taken it.
    since: Option<Instant>,
}

/// What a canary needs of its shard.
pub(crate) struct Cage<C, P> {
    pub(crate) feed: Arc<Feed>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) patience: Patience,
    /// A name that is the shard's now, of those that this spells; none if the shard has no slot.
    pub(crate) choose: C,
    /// A canary with this number.
    pub(crate) spell: P,
}

impl Canary {
    pub(crate) fn new(keys: &Keys, shard: u16) -> Self {
        let head = keys.channel("~canary:");
        let head = head.strip_suffix('}').unwrap_or(&head).to_owned();
        let stem = keys.channel(&format!("~canary:{:016x}:{shard}", rand::random::<u64>()));
        let stem = stem.strip_suffix('}').unwrap_or(&stem).to_owned();
        let now = Instant::now();
        let state = State { name: None, flying: VecDeque::new(), heard: now, messages: (0, now), number: 0 };
        Self { head, stem, state: Mutex::new(state), messages: AtomicU64::new(0) }
    }

    /// A message came. Whether it is for nobody else.
    pub(crate) fn hear(&self, channel: &[u8], payload: &[u8]) -> bool {
        if !channel.starts_with(self.head.as_bytes()) {
            self.messages.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let mut state = self.state.lock();
        if let Some(at) = state.flying.iter().position(|flight| flight.payload == payload) {
            state.flying.drain(..=at);
            state.heard = Instant::now();
        }
        true
    }

    /// The feed's connection stands, or is heard again: what flew before says nothing.
    pub(crate) fn begin(&self) {
        let mut state = self.state.lock();
        state.flying.clear();
        state.heard = Instant::now();
    }

    /// Redis has ended these subscriptions.
    pub(crate) fn ended(&self, names: &[String]) {
        let mut state = self.state.lock();
        if state.name.as_ref().is_some_and(|name| names.contains(name)) {
            state.name = None;
        }
    }

    /// Lets them fly, and has the feed's connection replaced when it is deaf. Never returns.
    pub(crate) async fn fly<C, P>(self: Arc<Self>, cage: Cage<C, P>)
    where
        C: Fn(&dyn Fn(u32) -> String) -> Option<String>,
        P: Fn(u64) -> Vec<u8>,
    {
        let mut pace = LogPace::default();
        let mut last: Option<Instant> = None;
        loop {
            sleep(LOOK).await;
            if !cage.feed.is_heard() {
                continue;
            }
            if last.is_none_or(|last| last.elapsed() >= FLIGHT) {
                last = Some(Instant::now());
                if let Err(RedisError::Refused(why)) = self.send(&cage).await
                    && pace.is_time()
                {
                    tracing::warn!(why, "the canary is refused: a connection that goes deaf is not noticed");
                }
            }
            if self.is_deaf() {
                self.begin();
                cage.feed.replace();
            }
        }
    }

    async fn send<C, P>(&self, cage: &Cage<C, P>) -> Result<(), RedisError>
    where
        C: Fn(&dyn Fn(u32) -> String) -> Option<String>,
        P: Fn(u64) -> Vec<u8>,
    {
        let Some(name) = self.name(cage).await? else { return Ok(()) };
        let payload = {
            let mut state = self.state.lock();
            state.number += 1;
            let payload = (cage.spell)(state.number);
            if state.flying.len() == WAITED_FOR {
                state.flying.pop_front();
            }
            state.flying.push_back(Flight { payload: payload.clone(), since: None });
            payload
        };
        let until = Instant::now() + cage.patience.response;
        let message = [(name.clone(), &payload)];
        let answer = cage.publisher.run(&message, Beside::Nothing, until).await.pop();
        let answer = match answer {
            Some(Ok(Value::ServerError(error))) => Err(RedisError::from(error)),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        self.took_off(&payload, &answer);
        if let Err(RedisError::Moved(_)) = answer {
            cage.feed.unsubscribe(vec![name]).await;
        }
        answer
    }

    /// The server has taken it, or not.
    fn took_off(&self, payload: &[u8], answer: &Result<(), RedisError>) {
        let mut state = self.state.lock();
        let flight = state.flying.iter().position(|flight| flight.payload == payload);
        match (answer, flight) {
            (Ok(()), Some(at)) => state.flying[at].since = Some(Instant::now()),
            (Err(_), Some(at)) => drop(state.flying.remove(at)),
            (_, None) => {} // heard already
        }
        if let Err(RedisError::Moved(_)) = answer {
            state.name = None;
        }
    }

    /// The name that is subscribed, after it was, if there was none.
    async fn name<C, P>(&self, cage: &Cage<C, P>) -> Result<Option<String>, RedisError>
    where
        C: Fn(&dyn Fn(u32) -> String) -> Option<String>,
    {
        if let Some(name) = self.state.lock().name.clone() {
            return Ok(Some(name));
        }
        let Some(name) = (cage.choose)(&|number| format!("{}:{number}}}", self.stem)) else {
            return Ok(None);
        };
        let asked = Instant::now();
        let until = asked + cage.patience.response;
        let subscribed = cage.feed.subscribe(vec![name.clone()], until).await;
        let mut state = self.state.lock();
        match subscribed {
            Ok(()) => {
                state.name = Some(name.clone());
                Ok(Some(name))
            }
            Err(RedisError::Moved(_)) => Ok(None), // another the next time
            Err(why) => {
                if asked.elapsed() >= cage.patience.response && state.flying.is_empty() {
                    // A feed that confirms nothing is as deaf as one that hears nothing.
                    state.flying.push_back(Flight { payload: Vec::new(), since: Some(asked) });
                }
                Err(why)
            }
        }
    }

    fn is_deaf(&self) -> bool {
        let messages = self.messages.load(Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.messages.0 != messages {
            state.messages = (messages, Instant::now());
        }
        let waits =
            state.flying.iter().any(|flight| flight.since.is_some_and(|since| since.elapsed() >= WAY));
        let unheard = state.heard.elapsed();
        waits && (unheard.min(state.messages.1.elapsed()) >= DEAF || unheard >= LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prefix;

    fn canary() -> Canary {
        Canary::new(&Keys::new(&Prefix::default()), 3)
    }

    /// As if so much time had passed.
    fn later(canary: &Canary, time: Duration) {
        let mut state = canary.state.lock();
        state.heard -= time;
        state.messages.1 -= time;
        state.flying.iter_mut().filter_map(|flight| flight.since.as_mut()).for_each(|since| *since -= time);
    }

    fn took_off(canary: &Canary, payload: &[u8]) {
        let flight = Flight { payload: payload.to_vec(), since: Some(Instant::now()) };
        canary.state.lock().flying.push_back(flight);
    }

    #[test]
    fn names_are_a_nodes_own_and_nobody_else_hears_them() {
        let (one, other) = (canary(), canary());
        assert!(one.stem.starts_with("tg:{~canary:") && one.stem != other.stem);
        assert!(one.hear(format!("{}:0}}", other.stem).as_bytes(), b"x"), "not delivered");
        assert!(!one.hear(b"tg:{chat:1}", b"x"));
        one.state.lock().name = Some("a".to_owned());
        one.ended(&["b".to_owned()]);
        assert!(one.state.lock().name.is_some());
        one.ended(&["b".to_owned(), "a".to_owned()]);
        assert_eq!(one.state.lock().name, None, "another is chosen");
    }

    #[test]
    fn deaf_is_who_hears_nothing_after_it_was_sent() {
        let canary = canary();
        let name = format!("{}:0}}", canary.stem);
        later(&canary, DEAF * 9);
        assert!(!canary.is_deaf(), "nothing was sent");
        took_off(&canary, b"1");
        assert!(!canary.is_deaf(), "it is on its way");
        later(&canary, WAY);
        assert!(canary.is_deaf());
        canary.hear(name.as_bytes(), b"0");
        assert!(canary.is_deaf(), "one that was not sent");
        canary.hear(name.as_bytes(), b"1");
        assert!(!canary.is_deaf());
        took_off(&canary, b"2");
        took_off(&canary, b"3");
        later(&canary, DEAF);
        canary.hear(b"tg:{chat:1}", b"x");
        assert!(!canary.is_deaf(), "others are heard: a flood");
        later(&canary, LATE);
        canary.hear(b"tg:{chat:1}", b"x");
        assert!(canary.is_deaf(), "but none of ours for too long");
        canary.begin();
        later(&canary, LATE);
        assert!(!canary.is_deaf(), "another connection");
    }
}
