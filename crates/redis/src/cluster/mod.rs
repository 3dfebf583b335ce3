//! A Redis Cluster: each channel lives in the shard that owns its slot, and shards come, go and trade slots.
//!
//! Names reach it as for one server; what is asked is split by shard here. A [`Table`] says who owns what,
//! as the [`Lookout`] sees it; `placing.rs` brings subscriptions to where they belong.

mod commands;
mod confirming;
mod places;
mod placing;
mod subscribing;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::address::Address;
use crate::dialect::Dialect;
use crate::functions::Functions;
use crate::lookout::jury::Verdict;
use crate::lookout::slots::{Lookout, Master, SlotMap};
use crate::lookout::{LogPace, next_look};
use crate::rounds::Rounds;
use crate::shard::{Among, Shard};
use crate::task::Task;
use crate::whereabouts::Whereabouts;
use crate::{FeedSink, RedisError, Settings};
use places::Places;
use table::Table;

/// The connections to a Cluster.
pub(crate) struct Cluster<S> {
    shared: Arc<Shared<S>>,
    lookout: Task,
    placing: Task,
    /// What masters say of all slots, for [`confirm`](Self::confirm).
    verdicts: Rounds<Verdict>,
}

struct Shared<S> {
    settings: Settings,
    functions: Option<Arc<Functions>>,
    sink: Arc<S>,
    /// Any node, for how nodes are entered.
    entrance: Address,
    state: Mutex<State<S>>,
    /// Rung when the map seems wrong.
    doubt: Arc<Notify>,
    /// Rung when names are not where they belong.
    misplaced: Notify,
    /// Maps seen so far.
    looks: watch::Sender<u64>,
}

struct State<S> {
    table: Table,
    shards: BTreeMap<u16, Member<S>>,
    places: Places,
    /// Names of callers that gave up, by the shard that may have confirmed them. Bounded by what callers
    /// ask for while [`placing`] works once.
    orphans: BTreeMap<u16, Vec<String>>,
}

/// A shard, and how it is told that its master is elsewhere.
struct Member<S> {
    shard: Arc<Shard<S>>,
    address: watch::Sender<Option<Address>>,
}

impl<S: FeedSink> Cluster<S> {
    /// Starts to reach the Cluster that these nodes belong to.
    pub(crate) fn start(
        seeds: Vec<Address>,
        settings: &Settings,
        functions: Option<Arc<Functions>>,
        sink: Arc<S>,
    ) -> Self {
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            functions,
            sink,
            entrance: seeds[0].clone(),
            state: Mutex::new(State {
                table: Table::new(),
                shards: BTreeMap::new(),
                places: Places::default(),
                orphans: BTreeMap::new(),
            }),
            doubt: Arc::new(Notify::new()),
            misplaced: Notify::new(),
            looks: watch::Sender::new(0),
        });
        let lookout = Task::spawn(look_out(Lookout::new(seeds), Arc::clone(&shared)));
        let placing = Task::spawn(placing::place(Arc::clone(&shared)));
        Self { shared, lookout, placing, verdicts: Rounds::default() }
    }

    /// All shards.
    pub(crate) fn shards(&self) -> Vec<Arc<Shard<S>>> {
        self.shared.state.lock().shards.values().map(|member| Arc::clone(&member.shard)).collect()
    }

    /// Whether the shard that holds a name is heard and can be published to.
    pub(crate) fn hears(&self, name: &str) -> bool {
        self.shared.state.lock().owner(name).is_ok_and(|(_, shard)| shard.is_heard())
    }

    /// The shard that holds a name.
    pub(crate) fn shard_of(&self, name: &str) -> Option<u16> {
        self.shared.state.lock().table.owner(name)
    }

    /// A shard by its number.
    pub(crate) fn shard(&self, number: u16) -> Option<Arc<Shard<S>>> {
        self.shared.state.lock().shards.get(&number).map(|member| Arc::clone(&member.shard))
    }

    /// Ends all tasks and connections and waits for them.
    pub(crate) async fn stop(&self) {
        self.lookout.stop().await;
        self.placing.stop().await;
        let shards = std::mem::take(&mut self.shared.state.lock().shards);
        for member in shards.into_values() {
            member.shard.stop().await;
        }
    }
}

/// Follows the map for ever.
async fn look_out<S: FeedSink>(mut lookout: Lookout, shared: Arc<Shared<S>>) {
    let mut pace = LogPace::default();
    let mut last = Vec::new();
    loop {
        match lookout.look(&shared.settings.patience).await {
            Ok(map) => {
                // Replicas are told in another order by each node, and own nothing.
                if map.masters != last {
                    shared.take_over(&map).await;
                    last = map.masters;
                }
                shared.looks.send_modify(|looks| *looks += 1);
            }
            Err(why) if pace.is_time() => {
                tracing::warn!(%why, "no node of the Cluster says whose the slots are; asking for ever");
            }
            Err(_) => {}
        }
        next_look(&shared.doubt).await;
    }
}

impl<S: FeedSink> Shared<S> {
    /// Follows masters, reaches new shards, leaves those that hold nothing any more.
    async fn take_over(self: &Arc<Self>, map: &SlotMap) {
        let gone = {
            let mut state = self.state.lock();
            let numbers = state.table.update(map);
            for (master, &number) in map.masters.iter().zip(&numbers) {
                self.follow(&mut state, number, master);
            }
            let is_gone = |number: &u16, _: &mut Member<S>| !numbers.contains(number);
            let gone: BTreeMap<u16, Member<S>> = state.shards.extract_if(.., is_gone).collect();
            gone
        };
        self.misplaced.notify_one();
        for (number, member) in gone {
            tracing::info!(shard = number, "a shard of the Cluster holds no slots any more");
            member.shard.stop().await;
            self.sink.gone(number);
        }
    }

    fn follow(self: &Arc<Self>, state: &mut State<S>, number: u16, master: &Master) {
        let address = self.entrance.at(&master.host, master.port);
        if let Some(member) = state.shards.get(&number) {
            let has_moved = member.address.send_if_modified(|known| {
                let has_moved = known.as_ref() != Some(&address);
                *known = Some(address.clone());
                has_moved
            });
            if has_moved {
                tracing::info!(shard = number, %address, "a shard of the Cluster has another master");
            }
            return;
        }
        tracing::info!(shard = number, %address, "a shard of the Cluster is found");
        let (sender, known) = watch::channel(Some(address));
        let whereabouts = Whereabouts::followed(known, Arc::clone(&self.doubt), false);
        let shared = Arc::downgrade(self); // it owns the shard
        let moved = move |names: Vec<String>| {
            if let Some(shared) = shared.upgrade() {
                shared.lost(number, &names);
            }
        };
        let shared = Arc::downgrade(self);
        let choose =
            move |name: &dyn Fn(u32) -> String| shared.upgrade()?.state.lock().table.name_on(number, name);
        let functions = self.functions.clone();
        let among = Among { number, dialect: Dialect::Sharded, moved, choose };
        let shard = Shard::start(among, whereabouts, &self.settings, functions, &self.sink);
        state.shards.insert(number, Member { shard: Arc::new(shard), address: sender });
    }

    /// A shard has ended these subscriptions by itself.
    fn lost(&self, number: u16, names: &[String]) {
        self.state.lock().places.lost(number, names);
        self.doubt.notify_one();
        self.misplaced.notify_one();
    }

    /// Unsubscribes names at a shard. Whoever wants one of them again meanwhile may have been confirmed by
    /// what ends here: such a name is brought back.
    async fn leave(&self, number: u16, names: Vec<String>) {
        let shard = self.state.lock().shards.get(&number).map(|member| Arc::clone(&member.shard));
        let Some(shard) = shard else { return };
        shard.feed.unsubscribe(names.clone()).await;
        if self.state.lock().places.lost(number, &names) {
            self.misplaced.notify_one();
        }
    }

    /// Waits for a map that is newer than `looks`; false if there is none in time.
    async fn looked_after(&self, looks: u64, until: Instant) -> bool {
        self.doubt.notify_one();
        let mut seen = self.looks.subscribe();
        let newer = seen.wait_for(|now| *now > looks);
        matches!(timeout_at(until, newer).await, Ok(Ok(_)))
    }
}

impl<S> State<S> {
    /// The shard that holds a name.
    fn owner(&self, name: &str) -> Result<(u16, Arc<Shard<S>>), RedisError> {
        let owner = self.table.owner(name).and_then(|number| Some((number, self.shards.get(&number)?)));
        let nobody = || RedisError::unavailable("no node of the Cluster holds the channel's slot");
        owner.map(|(number, member)| (number, Arc::clone(&member.shard))).ok_or_else(nobody)
    }
}
