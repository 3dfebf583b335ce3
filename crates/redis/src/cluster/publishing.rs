//! Publishing in a Cluster: each message at the shard that owns its slot.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Cluster, Shared};
use crate::shard::Shard;
use crate::{FeedSink, RedisError};

/// Messages for one shard, by their place in what was asked.
struct Batch<S> {
    shard: Arc<Shard<S>>,
    places: Vec<usize>,
}

impl<S: FeedSink> Cluster<S> {
    /// Publishes messages, those of one channel in their order; one result for each. One that meets a
    /// slot that has just moved was not published, and is sent to the new owner.
    pub(crate) async fn publish(
        &self,
        messages: &[(String, impl AsRef<[u8]>)],
        until: Instant,
    ) -> Vec<Result<(), RedisError>> {
        let mut results = vec![Ok(()); messages.len()];
        let mut open: Vec<usize> = (0..messages.len()).collect();
        loop {
            let looks = *self.shared.looks.borrow();
            let batches = self.shared.by_shard(messages, &open, &mut results);
            let sending = batches.iter().map(async |batch| {
                let messages: Vec<_> =
                    batch.places.iter().map(|&at| (&messages[at].0, &messages[at].1)).collect();
                batch.shard.publisher.publish(&messages, until).await
            });
            let answers = join_all(sending).await;
            open.clear();
            for (batch, answers) in batches.iter().zip(answers) {
                for (&at, answer) in batch.places.iter().zip(answers) {
                    results[at] = answer;
                }
                open.extend(to_be_sent_again(&batch.places, &mut results, |at| &messages[at].0));
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
    results: &mut [Result<(), RedisError>],
    name: impl Fn(usize) -> &'a str,
) -> Vec<usize> {
    let mut settled = HashSet::new();
    let mut again = Vec::new();
    for &at in places.iter().rev() {
        match &results[at] {
            Err(RedisError::Moved(_)) if settled.contains(name(at)) => {
                results[at] = Err(RedisError::unavailable("the channel's slot moved just then"));
            }
            Err(RedisError::Moved(_)) => again.push(at),
            _ => {
                settled.insert(name(at));
            }
        }
    }
    again
}

impl<S: FeedSink> Shared<S> {
    /// Who gets which; what nobody holds has its result at once.
    fn by_shard(
        &self,
        messages: &[(String, impl AsRef<[u8]>)],
        open: &[usize],
        results: &mut [Result<(), RedisError>],
    ) -> Vec<Batch<S>> {
        let state = self.state.lock();
        let mut batches = BTreeMap::<u16, Batch<S>>::new();
        for &at in open {
            match state.owner(&messages[at].0) {
                Ok((number, shard)) => {
                    let batch = Batch { shard, places: Vec::new() };
                    batches.entry(number).or_insert(batch).places.push(at);
                }
                Err(error) => results[at] = Err(error),
            }
        }
        batches.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_overtakes_nothing_of_its_channel() {
        let moved = || Err(RedisError::Moved("MOVED 1 b:1".into()));
        let unknown = || Err(RedisError::unavailable("no answer in time"));
        let names = ["a", "b", "c", "a", "b", "c", "c", "d"];
        let mut results = vec![moved(), Ok(()), moved(), Ok(()), moved(), unknown(), moved(), moved()];
        let mut again = to_be_sent_again(&[0, 1, 2, 3, 4, 5, 6, 7], &mut results, |at| names[at]);
        again.sort_unstable();
        assert_eq!(again, [4, 6, 7], "the slot came back before the second a");
        for failed in [0, 2] {
            assert!(matches!(results[failed], Err(RedisError::Unavailable(_))), "{:?}", results[failed]);
        }
        assert_eq!((&results[1], &results[3]), (&Ok(()), &Ok(())));
    }
}
