//! The broker of many nodes: live events through Redis pub/sub, durable ones through the function library.
//!
//! What is published here leaves as `PUBLISH`, in an envelope where there is more to say than the
//! payload. What any node or backend publishes comes back through the feed, into the lanes.

mod ears;
mod history;
mod library;

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Event, Position};
use tidegate_protocol::Envelope;
use tidegate_redis::{Keys, RedisError, Servers, Settings};

use crate::counters::Counters;
use crate::history::HistorySettings;
use crate::lanes::Lanes;
use crate::{Broker, BrokerError, EventQueue, Shard};
use ears::Ears;
pub use history::Replicating;

/// Moves events between nodes through Redis: a standalone server, a master with its Sentinels, a Cluster.
pub struct RedisBroker {
    keys: Keys,
    /// Starts the names of functions.
    prefix: String,
    has_library: bool,
    servers: Servers<Ears>,
    lanes: Arc<Lanes>,
    counters: Arc<Counters>,
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
        Self::start_any(settings, None, lanes, max_event_bytes)
    }

    /// The same, with histories: the function library is brought to every master, unless a later one is
    /// there. The largest payload is what `history` says.
    ///
    /// # Errors
    /// As for [`RedisBroker::start`].
    ///
    /// # Panics
    /// Without a lane.
    pub fn with_history(
        settings: &Settings,
        history: &HistorySettings,
        lanes: Vec<Arc<EventQueue>>,
    ) -> Result<Self, BrokerError> {
        Self::start_any(settings, Some(history), lanes, history.max_event_bytes)
    }

    fn start_any(
        settings: &Settings,
        history: Option<&HistorySettings>,
        lanes: Vec<Arc<EventQueue>>,
        max_event_bytes: usize,
    ) -> Result<Self, BrokerError> {
        let keys = Keys::new(&settings.prefix);
        let counters = Arc::new(Counters::default());
        let lanes = Arc::new(Lanes::new(lanes, Arc::clone(&counters)));
        let rules = HistorySettings { max_event_bytes, ..history.cloned().unwrap_or_default() };
        let ears = Ears::new(keys.clone(), Arc::clone(&lanes), rules, Arc::clone(&counters));
        let library = history.map(|history| library::library(&settings.prefix, history));
        let library = library.map(|library| (library, Arc::clone(&counters.library)));
        Ok(Self {
            keys,
            prefix: settings.prefix.as_str().to_owned(),
            has_library: library.is_some(),
            servers: Servers::start(settings, library, ears)?,
            lanes,
            counters,
        })
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether the shard of a channel is heard and can be published to, as far as is known. In a Cluster
    /// one shard may be away while the others serve.
    pub fn hears(&self, channel: &ChannelName) -> bool {
        self.servers.hears(&self.keys.channel(channel.as_str()))
    }

    /// Which of the lanes it was started with gets what happens to a channel.
    pub fn lane_of(&self, channel: &ChannelName) -> usize {
        self.lanes.lane_of(channel)
    }

    /// Which shard serves a channel now, as far as is known: none while its slot is nobody's.
    pub fn shard_of(&self, channel: &ChannelName) -> Option<Shard> {
        self.servers.shard_of(&self.keys.channel(channel.as_str())).map(Shard)
    }

    /// Whether the topology itself names one server as master of this channel, and both what is heard and what is
    /// published go through that server now. It is asked after this was called; no answer within a second is a no.
    pub async fn confirm(&self, channel: &ChannelName) -> bool {
        self.servers.confirm(&self.keys.channel(channel.as_str())).await
    }

    /// Up to `limit` channels that somebody on any node is subscribed to, in no order. For people
    /// and tools: Redis looks at all its pub/sub names.
    ///
    /// # Errors
    /// As for publishing.
    pub async fn occupied_channels(&self, limit: usize) -> Result<Vec<ChannelName>, BrokerError> {
        let names = self.servers.subscribed_names().await?;
        // Neither what others subscribed to by mistake, nor Tidegate's own.
        let ours = |name: &Vec<u8>| ChannelName::parse(self.keys.parse(name)?).ok();
        Ok(names.iter().filter_map(ours).take(limit).collect())
    }

    /// Ends all tasks and connections and waits for them. Afterwards everything is unavailable.
    pub async fn stop(&self) {
        self.servers.stop().await;
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
        let results = self.servers.publish(&messages).await;
        results.into_iter().map(|result| result.map(|()| None).map_err(BrokerError::from)).collect()
    }

    async fn subscribe(&self, channels: Vec<ChannelName>) -> Result<(), BrokerError> {
        Ok(self.servers.subscribe(self.names(&channels)).await?)
    }

    async fn unsubscribe(&self, channels: Vec<ChannelName>) {
        self.servers.unsubscribe(self.names(&channels)).await;
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
            // A slot that is moving: soon its new owner answers.
            RedisError::Unavailable(why) | RedisError::Moved(why) => Self::Unavailable(why),
            RedisError::Refused(why) => Self::Refused(why),
            RedisError::Address(_) => Self::Refused(error.to_string()),
        }
    }
}
