//! Nodes for the tests of brokers: a broker with its lanes, and what was heard there.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod cluster;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_broker::{Broker, EventQueue, News, QueueLimits};
use tidegate_core::{ChannelName, Event, Payload};

/// No test waits longer for news that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A broker as a node has it.
pub(crate) struct Node<B> {
    pub(crate) broker: B,
    pub(crate) lanes: Vec<Arc<EventQueue>>,
}

impl<B: Broker> Node<B> {
    /// A node with `lanes` lanes that has heard that all `shards` of its broker are up.
    pub(crate) async fn start(
        lanes: usize,
        limits: QueueLimits,
        shards: usize,
        broker: impl AsyncFnOnce(Vec<Arc<EventQueue>>) -> B,
    ) -> Self {
        let lanes: Vec<_> = (0..lanes).map(|_| Arc::new(EventQueue::new(limits))).collect();
        let broker = broker(lanes.clone()).await;
        let node = Self { broker, lanes };
        for lane in 0..node.lanes.len() {
            for _ in 0..shards {
                assert!(matches!(node.next_on(lane).await, News::Up(_)), "the first news is that it is up");
            }
        }
        node
    }

    /// The next news on a lane.
    #[track_caller]
    pub(crate) fn next_on(&self, lane: usize) -> impl Future<Output = News> {
        let caller = std::panic::Location::caller();
        let queue = Arc::clone(&self.lanes[lane]);
        async move {
            let mut news = Vec::new();
            let taken = tokio::time::timeout(PATIENCE, queue.take(1, &mut news)).await;
            taken.unwrap_or_else(|_| panic!("no news within {PATIENCE:?}, waited for at {caller}"));
            news.remove(0)
        }
    }

    /// The next news of a node with one lane.
    #[track_caller]
    pub(crate) fn next(&self) -> impl Future<Output = News> {
        self.next_on(0)
    }

    /// The next `count` events of a node with one lane, written `channel payload`.
    pub(crate) async fn hear(&self, count: usize) -> Vec<String> {
        let mut heard = Vec::with_capacity(count);
        for _ in 0..count {
            match self.next().await {
                News::Event(channel, event) => {
                    let text = String::from_utf8_lossy(event.payload.bytes()).into_owned();
                    heard.push(format!("{channel} {text}"));
                }
                other => panic!("{other:?} after {heard:?}"),
            }
        }
        heard
    }

    /// Publishes bare texts, and expects all of it to work.
    pub(crate) async fn publish(&self, events: impl IntoIterator<Item = (&str, String)>) {
        let events: Vec<_> = events.into_iter().map(|(channel, text)| (name(channel), event(text))).collect();
        let count = events.len();
        let results = self.broker.publish(events).await;
        assert_eq!(results.len(), count, "one result for each");
        for result in results {
            assert_eq!(result, Ok(None), "live events have no position");
        }
    }

    /// Subscribes, and expects it to work.
    pub(crate) async fn subscribe(&self, channels: &[&str]) {
        self.broker.subscribe(names(channels)).await.expect("subscribed");
    }

    /// Unsubscribes, and waits until it is done: requests to a shard keep their order, so a subscription
    /// that is confirmed later says so. So many names are on every shard.
    pub(crate) async fn unsubscribe(&self, channels: &[&str]) {
        self.broker.unsubscribe(names(channels)).await;
        let later: Vec<String> = (0..20).map(|n| format!("after-unsubscribe:{n}")).collect();
        self.subscribe(&later.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

/// A channel's name.
pub(crate) fn name(text: &str) -> ChannelName {
    text.parse().expect("a channel name")
}

/// Channels' names.
pub(crate) fn names(texts: &[&str]) -> Vec<ChannelName> {
    texts.iter().map(|text| name(text)).collect()
}

/// A live event that says nothing but this.
pub(crate) fn event(payload: impl Into<Bytes>) -> Event {
    Event::live(Payload::new(payload.into()))
}
