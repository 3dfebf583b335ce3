//! Brings subscriptions to where their slots are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::places::Misplaced;
use super::subscribing::Group;
use crate::backoff::Backoff;
use crate::{FeedSink, RedisError};

/// Places what is misplaced, for ever.
pub(super) async fn place<S: FeedSink>(shared: Arc<Shared<S>>) {
    let mut backoff = Backoff::new(shared.settings.patience.backoff);
    loop {
        shared.misplaced.notified().await;
        let started = Instant::now();
        while !shared.place_once().await {
            sleep(backoff.pause()).await;
        }
        backoff.lived(started.elapsed());
    }
}

impl<S: FeedSink> Shared<S> {
    /// Tries once to bring everything to where it belongs; whether that worked.
    async fn place_once(&self) -> bool {
        let Misplaced { joining, leaving, are_homeless } = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let mut misplaced = state.places.misplaced(&state.table);
            for (number, names) in std::mem::take(&mut state.orphans) {
                misplaced.leaving.entry(number).or_default().extend(names);
            }
            misplaced
        };
        for (number, names) in leaving {
            self.leave(number, names).await;
        }
        let until = Instant::now() + self.settings.patience.response;
        let (groups, mut are_late) = match self.by_slot(joining) {
            Ok(groups) => (groups, are_homeless),
            Err(_) => (Vec::new(), true), // a slot became nobody's meanwhile
        };
        let asking = groups.iter().map(|group| group.shard.feed.subscribe(group.names.clone(), until));
        let results = join_all(asking).await;
        let mut awaiting = BTreeMap::new();
        for (group, result) in groups.iter().zip(results) {
            let Err(why) = result else {
                self.placed(group).await;
                continue;
            };
            are_late = true;
            if matches!(why, RedisError::Moved(_)) {
                self.doubt.notify_one();
            }
            // Slots may move for minutes, each in a moment: the node must not be down all the while.
            let patience = self.settings.patience.ping_timeout;
            if self.state.lock().places.are_nowhere_for(&group.names, patience) {
                awaiting.insert(group.number, why);
            }
        }
        let state = self.state.lock();
        for (number, member) in &state.shards {
            member.shard.awaits(awaiting.get(number));
        }
        !are_late
    }

    /// Names have arrived at their shard; what was published on the way is not known here.
    async fn placed(&self, group: &Group<S>) {
        let tell = |name: &str| self.sink.moved(name);
        let unwanted = self.state.lock().places.placed(group.number, &group.names, tell);
        if !unwanted.is_empty() {
            self.leave(group.number, unwanted).await;
        }
    }
}
