//! The broker of many nodes: live events through Redis pub/sub.
//!
//! What is published here leaves as `PUBLISH`, in an envelope where there is more to say than the
//! payload. What any node or backend publishes comes back through the feed, into the lanes.

mod ears;
mod health;

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Event, Position};
use tidegate_protocol::Envelope;
use tidegate_redis::{Feed, Keys, Pool, Publisher, RedisError, Settings};

use crate::counters::Counters;
use crate::lanes::Lanes;
use crate::{Broker, BrokerError, EventQueue, Shard};
use ears::Ears;
use health::Health;

/// Moves events between nodes through Redis.
pub struct RedisBroker {
    keys: Keys,
    /// One for each shard, in their order. A standalone Redis is one.
    shards: Vec<RedisShard>,
    counters: Arc<Counters>,
}

/// The connections to one Redis node.
struct RedisShard {
    feed: Feed,
    publisher: Publisher,
    pool: Pool,
}

impl RedisBroker {
    /// Starts to reach Redis and returns at once; it keeps trying for ever. The lanes hear when it
    /// is up, and nothing before. Payloads above `max_event_bytes` are dropped and counted. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the settings cannot work: an address that is none.
    ///
    /// # Panics
    /// Without a lane.
    pub fn start(
        settings: &Settings,
        lanes: Vec<Arc<EventQueue>>,
        max_event_bytes: usize,
    ) -> Result<Self, BrokerError> {
        let keys = Keys::new(&settings.prefix);
        let counters = Arc::new(Counters::new(1));
        let lanes = Arc::new(Lanes::new(lanes, Arc::clone(&counters)));
        let health = Arc::new(Health::new(Shard(0), Arc::clone(&lanes), Arc::clone(&counters)));
        let ears =
            Ears::new(keys.clone(), lanes, Arc::clone(&health), max_event_bytes, Arc::clone(&counters));
        let shard = RedisShard {
            feed: Feed::start(settings, ears)?,
            publisher: Publisher::start(settings, move |heard| health.publisher_is(heard))?,
            pool: Pool::new(settings)?,
        };
        Ok(Self { keys, shards: vec![shard], counters })
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Up to `limit` channels that somebody on any node is subscribed to, in no order. For people
    /// and tools: Redis looks at all its pub/sub names.
    ///
    /// # Errors
    /// As for publishing.
    pub async fn occupied_channels(&self, limit: usize) -> Result<Vec<ChannelName>, BrokerError> {
        let mut channels = Vec::new();
        for shard in &self.shards {
            let names = shard.pool.subscribed_names().await?;
            // Neither what others subscribed to by mistake, nor Tidegate's own.
            let ours = |name: &Vec<u8>| ChannelName::parse(self.keys.parse(name)?).ok();
            channels.extend(names.iter().filter_map(ours).take(limit - channels.len()));
        }
        Ok(channels)
    }

    /// Ends all tasks and connections and waits for them. Afterwards everything is unavailable.
    pub async fn stop(&self) {
        for shard in &self.shards {
            shard.feed.stop().await;
            shard.publisher.stop().await;
            shard.pool.close();
        }
    }

    /// Where channels live. A standalone Redis holds them all; a Cluster will split requests here.
    fn shard(&self) -> &RedisShard {
        &self.shards[0]
    }

    fn names(&self, channels: &[ChannelName]) -> Vec<String> {
        channels.iter().map(|channel| self.keys.channel(channel.as_str())).collect()
    }
}

impl Broker for RedisBroker {
    async fn publish(&self, events: Vec<(ChannelName, Event)>) -> Vec<Result<Option<Position>, BrokerError>> {
        let message =
            |(channel, event): &(ChannelName, Event)| (self.keys.channel(channel.as_str()), spell(event));
        let messages: Vec<(String, Bytes)> = events.iter().map(message).collect();
        let results = self.shard().publisher.publish(&messages).await;
        results.into_iter().map(|result| result.map(|()| None).map_err(BrokerError::from)).collect()
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        Ok(self.shard().feed.subscribe(self.names(&channels)).await?)
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        self.shard().feed.unsubscribe(self.names(&channels)).await;
    }
}

/// An event as it travels: bare where the payload says all, else in an envelope. What looks like
/// an envelope gets one, or it would not arrive as it was published.
fn spell(event: &Event) -> Bytes {
    let payload = event.payload.bytes();
    if *event == Event::live(event.payload.clone()) && !Envelope::looks_like_one(payload) {
        return payload.clone();
    }
    Envelope::encode(event).into()
}

impl From<RedisError> for BrokerError {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Unavailable(why) => Self::Unavailable(why),
            RedisError::Refused(why) => Self::Refused(why),
            RedisError::Address(_) => Self::Refused(error.to_string()),
        }
    }
}
