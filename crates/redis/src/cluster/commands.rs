//! Commands in a Cluster: each at the shard that owns its slot, also while slots move.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{ServerErrorKind, Value};
use tokio::time::Instant;

use super::{Cluster, Shared};
use crate::command::{Beside, Keyed};
use crate::shard::Shard;
use crate::{FeedSink, RedisError};

/// Commands for one shard, by their place in what was asked.
struct Batch<S> {
    shard: Arc<Shard<S>>,
    places: Vec<usize>,
}

/// Where a command belongs instead.
enum Elsewhere {
    /// The slot is another node's.
    Moved,
    /// The key is on its way to this node, `host:port`.
    Ask(String),
}

type Answers = Vec<Result<Value, RedisError>>;

impl<S: FeedSink> Cluster<S> {
    /// Sends commands, those of one channel in their order; one result for each. One that meets a slot
    /// that has just moved was not done, and is sent to the new owner.
    pub(crate) async fn run(&self, commands: &[impl Keyed], beside: Beside, until: Instant) -> Answers {
        let mut results = vec![Err(RedisError::unavailable("it was not sent")); commands.len()];
        let mut open: Vec<usize> = (0..commands.len()).collect();
        loop {
            let looks = *self.shared.looks.borrow();
            let batches = self.shared.by_shard(commands, &open, &mut results);
            let mut asked = BTreeMap::<String, Vec<usize>>::new();
            open.clear();
            let mut sent = Vec::new();
            for (at, answer) in send(&batches, commands, beside, until).await {
                if let Some(Elsewhere::Ask(address)) = elsewhere(&answer) {
                    asked.entry(address).or_default().push(at);
                }
                results[at] = answer;
                sent.push(at);
            }
            sent.sort_unstable();
            open.extend(to_be_sent_again(&sent, &mut results, |at| commands[at].key()));
            let batches = self.shared.by_address(asked, &mut open);
            for (at, answer) in send(&batches, commands, Beside::Asking, until).await {
                if elsewhere(&answer).is_some() {
                    open.push(at); // it has arrived meanwhile, and the slot is its new owner's
                }
                results[at] = answer;
            }
            if open.is_empty() || !self.shared.looked_after(looks, until).await {
                return results;
            }
            open.sort_unstable();
        }
    }
}

/// Which of these met a slot that has moved, and may be sent again. One whose successor on the same channel was
/// taken, or may have been, would overtake it: it fails.
fn to_be_sent_again<'a>(
    places: &[usize],
    results: &mut Answers,
    name: impl Fn(usize) -> &'a str,
) -> Vec<usize> {
    let mut settled = HashSet::new();
    let mut again = Vec::new();
    for &at in places.iter().rev() {
        match elsewhere(&results[at]) {
            Some(Elsewhere::Moved) if settled.contains(name(at)) => {
                results[at] = Err(RedisError::unavailable("the channel's slot moved just then"));
            }
            Some(Elsewhere::Moved) => again.push(at),
            _ => {
                settled.insert(name(at));
            }
        }
    }
    again
}

/// Sends each batch to its shard, all at once.
async fn send<S: FeedSink>(
    batches: &[Batch<S>],
    commands: &[impl Keyed],
    beside: Beside,
    until: Instant,
) -> Vec<(usize, Result<Value, RedisError>)> {
    let sending = batches.iter().map(async |batch| {
        let commands: Vec<_> = batch.places.iter().map(|&at| &commands[at]).collect();
        let answers = batch.shard.publisher.run(&commands, beside, until).await;
        batch.places.iter().copied().zip(answers).collect::<Vec<_>>()
    });
    join_all(sending).await.into_iter().flatten().collect()
}

fn elsewhere(answer: &Result<Value, RedisError>) -> Option<Elsewhere> {
    let Ok(Value::ServerError(error)) = answer else { return None };
    match error.kind()? {
        ServerErrorKind::Moved => Some(Elsewhere::Moved),
        ServerErrorKind::Ask => {
            let address = error.details()?.split(' ').nth(1)?;
            Some(Elsewhere::Ask(address.to_owned()))
        }
        _ => None,
    }
}

impl<S: FeedSink> Shared<S> {
    /// Who gets which; what nobody holds has its result at once.
    fn by_shard(&self, commands: &[impl Keyed], open: &[usize], results: &mut Answers) -> Vec<Batch<S>> {
        let state = self.state.lock();
        let mut batches = BTreeMap::<u16, Batch<S>>::new();
        for &at in open {
            match state.owner(commands[at].key()) {
                Ok((number, shard)) => {
                    let batch = Batch { shard, places: Vec::new() };
                    batches.entry(number).or_insert(batch).places.push(at);
                }
                Err(error) => results[at] = Err(error),
            }
        }
        batches.into_values().collect()
    }

    /// The shards behind addresses that were named. One that is not known yet, since it has no slot, is
    /// found by and by: what is for it stays open.
    fn by_address(&self, asked: BTreeMap<String, Vec<usize>>, open: &mut Vec<usize>) -> Vec<Batch<S>> {
        let state = self.state.lock();
        let mut batches = Vec::new();
        for (address, places) in asked {
            let known = |at: &str| at == address;
            let found = state.shards.values().find(|member| {
                member.address.borrow().as_ref().is_some_and(|address| known(&address.to_string()))
            });
            match found {
                Some(member) => batches.push(Batch { shard: Arc::clone(&member.shard), places }),
                None => open.extend(places),
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_overtakes_nothing_of_its_channel() {
        let moved = || {
            let answer = redis::parse_redis_value(b"-MOVED 1 b:1\r\n").unwrap();
            assert!(elsewhere(&Ok(answer.clone())).is_some());
            Ok(answer)
        };
        let unknown = || Err(RedisError::unavailable("no answer in time"));
        let names = ["a", "b", "c", "a", "b", "c", "c", "d"];
        let okay = || Ok(Value::Okay);
        let mut results = vec![moved(), okay(), moved(), okay(), moved(), unknown(), moved(), moved()];
        let mut again = to_be_sent_again(&[0, 1, 2, 3, 4, 5, 6, 7], &mut results, |at| names[at]);
        again.sort_unstable();
        assert_eq!(again, [4, 6, 7], "the slot came back before the second a");
        for failed in [0, 2] {
            assert!(matches!(results[failed], Err(RedisError::Unavailable(_))), "{:?}", results[failed]);
        }
        assert_eq!((&results[1], &results[3]), (&okay(), &okay()));
    }
}
