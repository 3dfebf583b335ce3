//! Subscribing in a Cluster: each name at the shard that owns its slot, also while slots move.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Cluster, Place, Shared};
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
        let shared = &self.shared;
        let new = shared.begin(&names);
        let result = shared.subscribe_all(names, until).await;
        if result.is_err() {
            self.unsubscribe(new).await;
        }
        result
    }

    /// Ends subscriptions.
    pub(crate) async fn unsubscribe(&self, names: Vec<String>) {
        let mut leaving = HashMap::<u16, (Arc<Shard<S>>, Vec<String>)>::new();
        {
            let mut state = self.shared.state.lock();
            for name in names {
                let place = state.places.remove(&name);
                // One that is asked for may have been confirmed by its owner.
                let number = match place {
                    Some(Place::On(number)) => Some(number),
                    Some(Place::Asking) => state.table.owner(&name),
                    Some(Place::Nowhere) | None => None,
                };
                if let Some(number) = number
                    && let Some(member) = state.shards.get(&number)
                {
                    leaving
                        .entry(number)
                        .or_insert_with(|| (Arc::clone(&member.shard), Vec::new()))
                        .1
                        .push(name);
                }
            }
        }
        for (shard, names) in leaving.into_values() {
            shard.feed.unsubscribe(names).await;
        }
    }
}

impl<S: FeedSink> Shared<S> {
    /// Notes that these are wanted; returns those that were not before.
    fn begin(&self, names: &[String]) -> Vec<String> {
        let mut state = self.state.lock();
        let is_new = |name: &&String| {
            let is_new = !state.places.contains_key(*name);
            state.places.entry((*name).clone()).or_insert(Place::Asking);
            is_new
        };
        names.iter().filter(is_new).cloned().collect()
    }

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
        let mut groups = HashMap::<usize, Group<S>>::new();
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
        let mut is_elsewhere = false;
        for name in names {
            let belongs = state.table.owner(name) == Some(number);
            if let Some(place) = state.places.get_mut(name) {
                if *place == Place::Asking {
                    *place = Place::On(number);
                }
                is_elsewhere |= !belongs || *place == Place::Nowhere;
            }
        }
        drop(state);
        if is_elsewhere {
            self.misplaced.notify_one(); // the slot moved while the answer was on its way
        }
    }
}
