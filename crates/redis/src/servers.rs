//! The servers behind one address, whatever their topology: one that stands alone, a master that Sentinels
//! look after, or a Cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use redis::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::Address;
use crate::cluster::Cluster;
use crate::command::{Answer, Beside, Call, Fields, Keyed, Writing};
use crate::dialect::Dialect;
use crate::functions::Functions;
use crate::lookout::jury::Sentinels;
use crate::replicas::Lineage;
use crate::rounds::Rounds;
use crate::shard::{Among, Shard};
use crate::task::Task;
use crate::topology::cluster_nodes;
use crate::whereabouts::Whereabouts;
use crate::{Library, LibraryState, Patience, RedisError, Settings, Topology, lookout};

/// How long it may take to ask the topology and both connections.
const CONFIRM: Duration = Duration::from_secs(1);

/// Hears what the servers say. Its functions are called from the tasks that read: they must not block.
pub trait FeedSink: Send + Sync + 'static {
    /// A message on a pub/sub channel.
    fn message(&self, channel: &[u8], payload: Vec<u8>);
    /// A shard is heard, all that is wanted of it is subscribed, and it can be published to. `link`
    /// counts connections from 1; the same number again means that it fell silent for a while.
    fn up(&self, shard: u16, link: u64);
    /// A shard is not heard any more, or cannot be published to.
    fn down(&self, shard: u16, why: &RedisError);
    /// A name has moved to another shard; messages may have been lost on the way.
    fn moved(&self, name: &str);
    /// There is a shard. It is not up before [`up`](Self::up) says so.
    fn found(&self, shard: u16);
    /// A shard is not part of the Cluster any more. If it was up, it is not.
    fn gone(&self, shard: u16);
    /// How a message is spelled that says nothing but this number; it is heard by nobody.
    fn canary(&self, number: u64) -> Vec<u8>;
}

/// The way to all servers. They are reached for ever, and followed wherever masters and slots go.
pub struct Servers<S> {
    reach: Reach<S>,
    patience: Patience,
}

enum Reach<S> {
    One { shard: Box<Shard<S>>, guards: Option<Box<Guards>> },
    Cluster(Cluster<S>),
}

/// Whose history was written, for each shard; and how long whoever wrote may wait in all.
#[derive(Debug, Clone)]
pub struct Written {
    lineages: BTreeMap<u16, Lineage>,
    until: Instant,
}

/// Who looks after the one master.
struct Guards {
    lookout: Task,
    sentinels: Sentinels,
    verdicts: Rounds<Option<Address>>,
}

impl<S: FeedSink> Servers<S> {
    /// Starts to reach them, and brings the library, if there is one, to each; what becomes of it
    /// stands beside it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub fn start(
        settings: &Settings,
        library: Option<(Library, Arc<LibraryState>)>,
        sink: S,
    ) -> Result<Self, RedisError> {
        let sink = Arc::new(sink);
        let functions = library.map(|(library, state)| Arc::new(Functions::new(library, state)));
        let one = |whereabouts, guards| {
            // Only a Cluster moves names.
            let functions = functions.clone();
            let choose = |name: &dyn Fn(u32) -> String| Some(name(0));
            let among = Among { number: 0, dialect: Dialect::Plain, moved: |_| {}, choose };
            let shard = Shard::start(among, whereabouts, settings, functions, &sink);
            Reach::One { shard: Box::new(shard), guards }
        };
        let reach = match &settings.topology {
            Topology::Standalone(url) => one(Whereabouts::fixed(Address::parse("redis.url", url)?), None),
            Topology::Sentinel(sentinel) => {
                let (task, whereabouts) = lookout::sentinel::follow(sentinel, settings.patience)?;
                let sentinels = Sentinels::new(sentinel)?;
                one(
                    whereabouts,
                    Some(Box::new(Guards { lookout: task, sentinels, verdicts: Rounds::default() })),
                )
            }
            Topology::Cluster(nodes) => {
                let seeds = cluster_nodes(nodes)?;
                Reach::Cluster(Cluster::start(seeds, settings, functions.clone(), Arc::clone(&sink)))
            }
        };
        Ok(Self { reach, patience: settings.patience })
    }

    /// Subscribes to pub/sub names. When it returns, Redis has confirmed them, and they stay
    /// subscribed through reconnects, failovers and moved slots. If it fails, none is, save those that
    /// were before.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`], at once while a shard is not heard; [`RedisError::Refused`].
    pub async fn subscribe(&self, names: Vec<String>) -> Result<(), RedisError> {
        let until = self.deadline();
        match &self.reach {
            Reach::One { shard, .. } => shard.feed.subscribe(names, until).await,
            Reach::Cluster(cluster) => cluster.subscribe(names, until).await,
        }
    }

    /// Ends subscriptions: soon on this connection, for sure on later ones.
    pub async fn unsubscribe(&self, names: Vec<String>) {
        match &self.reach {
            Reach::One { shard, .. } => shard.feed.unsubscribe(names).await,
            Reach::Cluster(cluster) => cluster.unsubscribe(names).await,
        }
    }

    /// Publishes messages (pub/sub name, payload), those of one channel in this order, in one round
    /// trip; one result for each. How much goes at once is the caller's to bound.
    pub async fn publish(&self, messages: &[(String, impl AsRef<[u8]>)]) -> Vec<Result<(), RedisError>> {
        let answers = self.run(messages, Beside::Nothing).await;
        // How many heard it: only those on the same server, so it says nothing.
        answers.into_iter().map(|answer| understand(answer).map(drop)).collect()
    }

    /// Calls functions of the library, those about one key in this order, in one round trip to each
    /// server; one result for each. Where the library is missing it is loaded, and called once more.
    pub async fn call(&self, calls: &[Call]) -> Vec<Result<Answer, RedisError>> {
        let answers = self.run(calls, Beside::Nothing).await;
        answers.into_iter().map(understand).collect()
    }

    /// The same for calls that write. [`replicated`](Self::replicated) needs to know whose history that was.
    pub async fn write(&self, calls: &[Call]) -> (Vec<Result<Answer, RedisError>>, Written) {
        let until = self.deadline();
        let mut shards = BTreeMap::new();
        for call in calls {
            if let Some(number) = self.shard_of(&call.key) {
                shards.entry(number).or_insert(call.key.as_str());
            }
        }
        let questions = shards.values().map(|&key| Writing::Lineage(key));
        let commands: Vec<_> = questions.chain(calls.iter().map(Writing::Call)).collect();
        let mut answers = self.run(&commands, Beside::Nothing).await;
        let written = answers.split_off(shards.len());
        let lineage = |answer: Result<Value, RedisError>| Lineage::read(&answer.ok()?);
        let lineages =
            shards.keys().zip(answers).filter_map(|(&number, told)| Some((number, lineage(told)?)));
        let lineages = lineages.collect();
        (written.into_iter().map(understand).collect(), Written { lineages, until })
    }

    /// Whether what was written to these keys is at a replica of their master, too, asked in one round for each
    /// shard. `mark` is a function that writes something about such a key, and changes nothing.
    pub async fn replicated(&self, written: &Written, keys: &[String], mark: &str) -> Vec<bool> {
        let numbers: Vec<Option<u16>> = keys.iter().map(|key| self.shard_of(key)).collect();
        let mut marks = BTreeMap::new();
        for (key, number) in keys.iter().zip(&numbers) {
            let function = mark.to_owned();
            marks.entry(*number).or_insert(Call { function, key: key.clone(), arguments: Vec::new() });
        }
        let asking = marks.iter().map(async |(number, mark)| {
            let number = (*number)?;
            let acknowledging = async {
                match &self.reach {
                    Reach::One { shard, .. } => shard.replicas.acknowledged(mark).await,
                    Reach::Cluster(cluster) => cluster.shard(number)?.replicas.acknowledged(mark).await,
                }
            };
            let lineage = timeout_at(written.until, acknowledging).await.ok().flatten()?;
            // Else it is another server, or was another's replica meanwhile: what was written may be gone.
            (written.lineages.get(&number) == Some(&lineage)).then_some(number)
        });
        let done: Vec<Option<u16>> = join_all(asking).await;
        numbers.into_iter().map(|number| number.is_some() && done.contains(&number)).collect()
    }

    /// Fields of hashes, in one round trip to each server; only masters are believed, and another server
    /// is left at once.
    pub async fn fields(&self, keys: Vec<String>, fields: &[&str]) -> Vec<Result<Answer, RedisError>> {
        let commands: Vec<_> = keys.into_iter().map(|key| Fields { key, fields }).collect();
        let answers = self.run(&commands, Beside::Role).await;
        answers.into_iter().map(understand).collect()
    }

    async fn run(&self, commands: &[impl Keyed], beside: Beside) -> Vec<Result<Value, RedisError>> {
        if commands.is_empty() {
            return Vec::new();
        }
        let until = self.deadline();
        match &self.reach {
            Reach::One { shard, .. } => shard.publisher.run(commands, beside, until).await,
            Reach::Cluster(cluster) => cluster.run(commands, beside, until).await,
        }
    }

    /// Whether the server that a name belongs to is heard and can be published to, as far as is known.
    pub fn hears(&self, name: &str) -> bool {
        match &self.reach {
            Reach::One { shard, .. } => shard.is_heard(),
            Reach::Cluster(cluster) => cluster.hears(name),
        }
    }

    /// The number of the shard that a name belongs to, as far as is known: none while its slot is nobody's.
    pub fn shard_of(&self, name: &str) -> Option<u16> {
        match &self.reach {
            Reach::One { .. } => Some(0),
            Reach::Cluster(cluster) => cluster.shard_of(name),
        }
    }

    /// Whether the topology itself, asked after this was called, names one server as the master of this name
    /// (the one address; most Sentinels; most masters of the Cluster), and that server is the one that is heard
    /// and published to now. No answer in time is a no.
    pub async fn confirm(&self, name: &str) -> bool {
        let confirming = async {
            match &self.reach {
                Reach::One { shard, guards: None } => shard.master().await.is_some(),
                Reach::One { shard, guards: Some(guards) } => {
                    let ask = async || guards.sentinels.verdict(&self.patience).await;
                    let (named, used) = join(guards.verdicts.next(ask), shard.master()).await;
                    named.is_some() && named == used
                }
                Reach::Cluster(cluster) => cluster.confirm(name).await,
            }
        };
        timeout(CONFIRM, confirming).await.unwrap_or(false)
    }

    /// The pub/sub names with our prefix that somebody is subscribed to, in no order. Redis looks at
    /// all its names and sends them at once: for people and tools.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] when no connection is free or Redis does not answer in time.
    pub async fn subscribed_names(&self) -> Result<Vec<Vec<u8>>, RedisError> {
        match &self.reach {
            Reach::One { shard, .. } => shard.pool.subscribed_names().await,
            Reach::Cluster(cluster) => {
                let mut names = Vec::new();
                for shard in cluster.shards() {
                    names.extend(shard.pool.subscribed_names().await?);
                }
                Ok(names)
            }
        }
    }

    /// Ends all tasks and connections and waits for them. Afterwards everything is unavailable.
    pub async fn stop(&self) {
        match &self.reach {
            Reach::One { shard, guards } => {
                if let Some(guards) = guards {
                    guards.lookout.stop().await;
                }
                shard.stop().await;
            }
            Reach::Cluster(cluster) => cluster.stop().await,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience.response
    }
}

fn understand(answer: Result<Value, RedisError>) -> Result<Answer, RedisError> {
    answer.and_then(Answer::understand)
}
