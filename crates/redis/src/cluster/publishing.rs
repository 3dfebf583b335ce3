//! Publishing in a Cluster: each message at the shard that owns its slot.

use std::collections::BTreeMap;
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
                    if matches!(answer, Err(RedisError::Moved(_))) {
                        open.push(at);
                    }
                    results[at] = answer;
                }
            }
            if open.is_empty() || !self.shared.looked_after(looks, until).await {
                return results;
            }
            open.sort_unstable();
        }
    }
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
