//! One master and our connections to it: one that listens, one that publishes, one that waits for replicas, a
//! pool.

use std::sync::Arc;

use futures_util::future::join;
use parking_lot::Mutex;

use crate::address::Address;
use crate::canary::{Cage, Canary};
use crate::dialect::Dialect;
use crate::feed::{Ears, Feed};
use crate::functions::Functions;
use crate::pool::Pool;
use crate::publisher::Publisher;
use crate::replicas::Replicas;
use crate::rounds::Rounds;
use crate::task::Task;
use crate::whereabouts::Whereabouts;
use crate::{FeedSink, Keys, RedisError, Settings};

/// The connections to one master.
pub(crate) struct Shard<S> {
    pub(crate) feed: Arc<Feed>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) pool: Pool,
    pub(crate) replicas: Replicas,
    health: Arc<Health<S>>,
    /// Answers to [`master`](Self::master).
    masters: Rounds<Option<Address>>,
    canary: Option<Task>,
}

/// What it is among others.
pub(crate) struct Among<M, C> {
    pub(crate) number: u16,
    pub(crate) dialect: Dialect,
    /// Hears of names that Redis has ended by itself: it must not block.
    pub(crate) moved: M,
    /// Finds, among the names that it is given the spelling of, one that is this master's now.
    pub(crate) choose: C,
}

impl<S: FeedSink> Shard<S> {
    /// Starts to reach it.
    pub(crate) fn start<M, C>(
        among: Among<M, C>,
        whereabouts: Whereabouts,
        settings: &Settings,
        functions: Option<Arc<Functions>>,
        sink: &Arc<S>,
    ) -> Self
    where
        M: Fn(Vec<String>) + Send + Sync + 'static,
        C: Fn(&dyn Fn(u32) -> String) -> Option<String> + Send + Sync + 'static,
    {
        let Among { number, dialect, moved, choose } = among;
        let patience = settings.patience;
        sink.found(number);
        let health = Arc::new(Health { number, sink: Arc::clone(sink), state: Mutex::default() });
        let keys = Keys::new(&settings.prefix);
        let canary = Arc::new(Canary::new(&keys, number));
        let ears = ShardEars { health: Arc::clone(&health), canary: Arc::clone(&canary), moved };
        let publishing = Arc::clone(&health);
        let heard = move |heard| publishing.change(None, |state| state.publisher = heard);
        let feed = Arc::new(Feed::start(whereabouts.clone(), dialect, patience, ears));
        let publisher = Publisher::start(whereabouts.clone(), dialect, patience, functions, heard);
        let publisher = Arc::new(publisher);
        let canary = settings.canary.then(|| {
            let (feed, publisher) = (Arc::clone(&feed), Arc::clone(&publisher));
            let sink = Arc::clone(sink);
            let spell = move |number| sink.canary(number);
            Task::spawn(canary.fly(Cage { feed, publisher, patience, choose, spell }))
        });
        Self {
            feed,
            publisher,
            replicas: Replicas::new(whereabouts.clone(), patience),
            pool: Pool::new(whereabouts, dialect, patience, keys),
            health,
            masters: Rounds::default(),
            canary,
        }
    }

    /// Whether channels wait to be subscribed here that came from another shard, and why for so long.
    pub(crate) fn awaits(&self, why: Option<&RedisError>) {
        let since = |why| format!("channels that moved here are not subscribed yet: {why}");
        let why = why.map(since).map(RedisError::Unavailable);
        self.health.change(why.as_ref(), |state| state.awaits = why.is_some());
    }

    /// Whether it is heard and can be published to.
    pub(crate) fn is_heard(&self) -> bool {
        let state = self.health.state.lock();
        state.feed && state.publisher
    }

    /// The master that is heard and published to now: one server, at the other end of both connections.
    pub(crate) async fn master(&self) -> Option<Address> {
        let ask = async || {
            let (heard, published_to) = (self.feed.line()?, self.publisher.line()?);
            let (heard, published_to) = join(heard.master(), published_to.master()).await;
            if heard == published_to { heard.map(|master| master.address) } else { None }
        };
        self.masters.next(ask).await
    }

    /// Ends all tasks and connections and waits for them.
    pub(crate) async fn stop(&self) {
        if let Some(canary) = &self.canary {
            canary.stop().await;
        }
        self.feed.stop().await;
        self.publisher.stop().await;
        self.replicas.close().await;
        self.pool.close();
    }
}

/// Whether a shard is up: heard, reached for publishing, and subscribed to all that is its. Up comes
/// only when all of it holds, so that whoever is told so can publish as well.
struct Health<S> {
    number: u16,
    sink: Arc<S>,
    /// Held while the sink is told, so that it hears changes in their order.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    feed: bool,
    publisher: bool,
    awaits: bool,
    /// The feed's connections so far.
    links: u64,
}

impl State {
    fn is_up(&self) -> bool {
        self.feed && self.publisher && !self.awaits
    }
}

impl<S: FeedSink> Health<S> {
    fn change(&self, why: Option<&RedisError>, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let was_up = state.is_up();
        change(&mut state);
        match (was_up, state.is_up()) {
            (false, true) => self.sink.up(self.number, state.links),
            (true, false) => {
                let publishing = RedisError::unavailable("the connection for publishing is lost");
                self.sink.down(self.number, why.unwrap_or(&publishing));
            }
            _ => {}
        }
    }
}

/// Passes on what a shard's feed hears.
struct ShardEars<S, M> {
    health: Arc<Health<S>>,
    canary: Arc<Canary>,
    moved: M,
}

impl<S: FeedSink, M: Fn(Vec<String>) + Send + Sync + 'static> Ears for ShardEars<S, M> {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        if !self.canary.hear(channel, &payload) {
            self.health.sink.message(channel, payload);
        }
    }

    fn up(&self, link: u64) {
        self.canary.begin();
        self.health.change(None, |state| (state.feed, state.links) = (true, link));
    }

    fn down(&self, why: &RedisError) {
        self.health.change(Some(why), |state| state.feed = false);
    }

    fn moved(&self, names: Vec<String>) {
        self.canary.ended(&names);
        (self.moved)(names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl FeedSink for Notes {
        fn message(&self, _: &[u8], _: Vec<u8>) {}
        fn up(&self, shard: u16, link: u64) {
            self.0.lock().push(format!("{shard} up {link}"));
        }
        fn down(&self, shard: u16, why: &RedisError) {
            self.0.lock().push(format!("{shard} down: {why}"));
        }
        fn moved(&self, _: &str) {}
        fn found(&self, _: u16) {}
        fn gone(&self, _: u16) {}
        fn canary(&self, _: u64) -> Vec<u8> {
            Vec::new()
        }
    }

    #[test]
    fn up_needs_all_of_it_and_down_only_one() {
        let notes = Arc::new(Notes::default());
        let health = Arc::new(Health { number: 7, sink: Arc::clone(&notes), state: Mutex::default() });
        let canary = Arc::new(Canary::new(&Keys::new(&crate::Prefix::default()), 7));
        let ears = ShardEars { health: Arc::clone(&health), canary, moved: |_| {} };
        let why = RedisError::Unavailable("gone".into());
        let steps: [(&dyn Fn(), Option<&str>); 9] = [
            (&|| ears.up(1), None),
            (&|| health.change(None, |state| state.publisher = true), Some("7 up 1")),
            (&|| ears.down(&why), Some("7 down: gone")),
            (&|| health.change(None, |state| state.publisher = false), None),
            (&|| ears.up(2), None),
            (&|| health.change(None, |state| state.publisher = true), Some("7 up 2")),
            (&|| health.change(Some(&why), |state| state.awaits = true), Some("7 down: gone")),
            (&|| health.change(Some(&why), |state| state.awaits = false), Some("7 up 2")),
            (&|| ears.up(2), None),
        ];
        for (number, (step, expected)) in steps.into_iter().enumerate() {
            step();
            assert_eq!(notes.0.lock().pop().as_deref(), expected, "step {number}");
        }
    }
}
