//! One published fact, as it travels from a broker to subscribers.

use std::sync::Arc;

use crate::{Payload, Position};

/// An event of a channel. Which channel stands beside it, never inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was published.
    pub payload: Payload,
    /// Its place in the channel's history; none for live events and channels without history.
    pub position: Option<Position>,
    /// Who published it: the session of a client, or what a backend said.
    pub from: Option<Arc<str>>,
    /// The publisher's idempotency key.
    pub key: Option<Arc<str>>,
    /// When it was published, in microseconds since 1970: by the publishing node's clock, for durable
    /// events by that of Redis; none for a raw `PUBLISH`, which carries no stamp, and for what is read
    /// from a history.
    pub published_us: Option<u64>,
}

impl Event {
    /// A live event that says nothing but its payload, as a raw `PUBLISH` makes it.
    pub fn live(payload: Payload) -> Self {
        Self { payload, position: None, from: None, key: None, published_us: None }
    }

    /// Bytes this event holds, for queues that are bounded by bytes.
    pub fn weight(&self) -> usize {
        let text = |t: &Option<Arc<str>>| t.as_ref().map_or(0, |t| t.len());
        size_of::<Self>() + self.payload.bytes().len() + text(&self.from) + text(&self.key)
    }
}
