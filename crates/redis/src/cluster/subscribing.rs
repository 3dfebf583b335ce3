//! Subscribing in a Cluster: each name at the shard that owns its slot, also while slots move.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Cluster, Shared};
use crate::shard::Shard;
use crate::{FeedSink, RedisError};

/// Names of one slot, and who holds it.
pub(super) struct Group<S> {
    pub(super) number: u16,
    pub(super) shard: Arc<Shard<S>>,
    pub(super) names: Vec<String>,
}

impl<S: FeedSink> Cluster<S> {
    /// Subscribes to names; when it returns, each is confirmed by the shard that owns it. If it fails,
    /// none is, save those that were before.
    pub(crate) async fn subscribe(&self, names: Vec<String>, until: Instant) -> Result<(), RedisError> {
        let asking = Asking::start(&self.shared, names.clone());
        self.shared.subscribe_all(names, until).await?;
        asking.succeeded();
        Ok(())
    }

    /// Ends subscriptions.
    pub(crate) async fn unsubscribe(&self, names: Vec<String>) {
        let leaving = {
            let mut state = self.shared.state.lock();
            let state = &mut *state;
            state.places.remove(names, &state.table)
        };
        for (number, names) in leaving {
            self.shared.leave(number, names).await;
        }
    }
}

/// A caller waits for these names. Dropped before it has succeeded, it has given up: it cannot wait until
/// they are unsubscribed, so `placing.rs` does that.
struct Asking<'a, S: FeedSink> {
    shared: &'a Shared<S>,
    names: Vec<String>,
}

impl<'a, S: FeedSink> Asking<'a, S> {
    fn start(shared: &'a Shared<S>, names: Vec<String>) -> Self {
        shared.state.lock().places.ask(&names);
        Self { shared, names }
    }

    fn succeeded(mut self) {
        let names = std::mem::take(&mut self.names);
        self.shared.state.lock().places.hold(&names);
    }
}

impl<S: FeedSink> Drop for Asking<'_, S> {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        for (number, names) in state.places.give_up(&self.names, &state.table) {
            state.orphans.entry(number).or_default().extend(names);
        }
        self.shared.misplaced.notify_one();
    }
}

impl<S: FeedSink> Shared<S> {
    async fn subscribe_all(&self, mut names: Vec<String>, until: Instant) -> Result<(), RedisError> {
        loop {
            let looks = *self.looks.borrow();
            let groups = self.by_slot(names)?;
            let asking = groups.iter().map(|group| group.shard.feed.subscribe(group.names.clone(), until));
            let results = join_all(asking).await;
            names = Vec::new();
            let mut failed = None;
            for (group, result) in groups.into_iter().zip(results) {
                match result {
                    Ok(()) => self.confirmed(group.number, &group.names),
                    Err(RedisError::Moved(_)) => names.extend(group.names),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if names.is_empty() {
                return Ok(());
            }
            if !self.looked_after(looks, until).await {
                return Err(RedisError::unavailable("the channel's slot is moving"));
            }
        }
    }

    /// Names by slot: a command that names a slot which has moved is refused as a whole.
    pub(super) fn by_slot(&self, names: Vec<String>) -> Result<Vec<Group<S>>, RedisError> {
        let state = self.state.lock();
        let mut groups = HashMap::<u16, Group<S>>::new();
        for name in names {
            let (number, shard) = state.owner(&name)?;
            let group = Group { number, shard, names: Vec::new() };
            groups.entry(super::table::slot(&name)).or_insert(group).names.push(name);
        }
        Ok(groups.into_values().collect())
    }

    /// A shard has confirmed these.
    fn confirmed(&self, number: u16, names: &[String]) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.places.confirmed(number, names, &state.table) {
            self.misplaced.notify_one(); // the slot moved while the answer was on its way
        }
    }
}
