//! Brings subscriptions to where their slots are now.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::subscribing::Group;
use super::{Place, Shared};
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
        let misplaced = self.misplaced();
        for (former, names) in &misplaced.leaving {
            let shard = self.state.lock().shards.get(former).map(|member| Arc::clone(&member.shard));
            if let Some(shard) = shard {
                shard.feed.unsubscribe(names.clone()).await;
            }
        }
        let until = Instant::now() + self.settings.patience.response;
        let groups = misplaced.joining;
        let asking = groups.iter().map(|group| group.shard.feed.subscribe(group.names.clone(), until));
        let results = join_all(asking).await;
        let mut late = misplaced.homeless;
        let mut awaiting = BTreeSet::new();
        for (group, result) in groups.iter().zip(results) {
            match result {
                Ok(()) => self.placed(group).await,
                Err(why) => {
                    late = true;
                    awaiting.insert(group.number);
                    if matches!(why, RedisError::Moved(_)) {
                        self.doubt.notify_one();
                    }
                }
            }
        }
        let state = self.state.lock();
        for (number, member) in &state.shards {
            member.shard.awaits(awaiting.contains(number));
        }
        !late
    }

    fn misplaced(&self) -> Misplaced<S> {
        let (mut names, mut leaving) = (Vec::new(), Vec::<(u16, Vec<String>)>::new());
        let mut homeless = false;
        {
            let mut state = self.state.lock();
            let state = &mut *state;
            for (name, place) in &mut state.places {
                let owner = state.table.owner(name);
                let former = match *place {
                    Place::Asking => continue,
                    Place::On(number) if Some(number) == owner => continue,
                    Place::On(number) => Some(number),
                    Place::Nowhere => None,
                };
                if owner.is_none() {
                    homeless = true; // the slot is nobody's for now
                    continue;
                }
                *place = Place::Nowhere;
                names.push(name.clone());
                if let Some(former) = former {
                    match leaving.iter_mut().find(|(number, _)| *number == former) {
                        Some((_, names)) => names.push(name.clone()),
                        None => leaving.push((former, vec![name.clone()])),
                    }
                }
            }
        }
        match self.by_slot(names) {
            Ok(joining) => Misplaced { joining, leaving, homeless },
            Err(_) => Misplaced { joining: Vec::new(), leaving, homeless: true },
        }
    }

    /// Names have arrived at their shard; what was published on the way is not known here.
    async fn placed(&self, group: &Group<S>) {
        let mut unwanted = Vec::new();
        {
            let mut state = self.state.lock();
            for name in &group.names {
                match state.places.get_mut(name) {
                    Some(place) => {
                        *place = Place::On(group.number);
                        self.sink.gap(name);
                    }
                    None => unwanted.push(name.clone()), // unsubscribed meanwhile
                }
            }
        }
        group.shard.feed.unsubscribe(unwanted).await;
    }
}

/// What is not where it belongs.
struct Misplaced<S> {
    /// To be subscribed at the owner.
    joining: Vec<Group<S>>,
    /// To be unsubscribed at former owners.
    leaving: Vec<(u16, Vec<String>)>,
    /// Whether there are names whose slot is nobody's.
    homeless: bool,
}
