//! Events on their way to the broker, and which way a batch of them goes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_broker::Durable;
use tidegate_core::{ChannelName, Event, Payload, Position, Refusal};

/// What becomes of an event.
pub(super) type Outcome = Result<Option<Position>, Refusal>;

/// Hears what became of one event.
pub(super) type Done = Box<dyn FnOnce(Outcome) + Send>;

/// How an event is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To whoever listens.
    Live,
    /// Appended to a history, or guarded by its key.
    Durable {
        /// Whether a replica is waited for.
        replicated: bool,
    },
}

/// One event on its way to the broker.
pub(super) struct Publishing {
    channel: ChannelName,
    payload: Bytes,
    key: Option<Arc<str>>,
    from: Option<Arc<str>>,
    pub(super) way: Way,
    /// When, in microseconds since 1970.
    published_us: u64,
    pub(super) since: Instant,
    pub(super) done: Done,
}

impl Publishing {
    pub(super) fn new(channel: ChannelName, payload: Bytes, way: Way, published_us: u64, done: Done) -> Self {
        let (key, from, since) = (None, None, Instant::now());
        Self { channel, payload, key, from, way, published_us, since, done }
    }

    pub(super) fn signed(mut self, key: Option<Arc<str>>, from: Option<Arc<str>>) -> Self {
        (self.key, self.from) = (key, from);
        self
    }

    /// Bytes it holds while it waits.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + self.payload.len() + text(&self.key) + text(&self.from)
    }

    fn durable(&self) -> Durable {
        Durable {
            channel: self.channel.clone(),
            payload: self.payload.clone(),
            key: self.key.clone(),
            from: self.from.clone(),
            replicated: self.way == Way::Durable { replicated: true },
        }
    }

    fn live(&self) -> (ChannelName, Event) {
        let (from, published_us) = (self.from.clone(), Some(self.published_us));
        let event = Event { from, published_us, ..Event::live(Payload::new(self.payload.clone())) };
        (self.channel.clone(), event)
    }
}

/// A batch, as the broker takes it.
#[derive(Default)]
pub(super) struct Parcel {
    pub(super) live: Vec<(ChannelName, Event)>,
    pub(super) durable: Vec<Durable>,
    /// For each event of the batch, whether it is among the durable ones.
    pub(super) is_durable: Vec<bool>,
}

impl Parcel {
    /// Sorts a batch. All events of a channel go one way, even if only one must: two ways have no order between them.
    pub(super) fn of(batch: &[Publishing]) -> Self {
        let needed = batch.iter().filter(|one| one.way != Way::Live);
        let channels: HashSet<&ChannelName> = needed.map(|one| &one.channel).collect();
        let mut parcel = Self::default();
        for one in batch {
            let is_durable = channels.contains(&one.channel);
            parcel.is_durable.push(is_durable);
            match is_durable {
                true => parcel.durable.push(one.durable()),
                false => parcel.live.push(one.live()),
            }
        }
        parcel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_of_a_channel_go_one_way() {
        let publishing = |channel: &str, way| {
            Publishing::new(channel.parse().unwrap(), "1".into(), way, 7, Box::new(|_| {}))
        };
        let durable = Way::Durable { replicated: false };
        let batch = [("a", Way::Live), ("b", Way::Live), ("a", durable), ("c", durable), ("b", Way::Live)]
            .map(|(channel, way)| publishing(channel, way));
        let parcel = Parcel::of(&batch);
        assert_eq!(parcel.is_durable, [true, false, true, true, false]);
        let names = |durable: &Durable| durable.channel.to_string();
        assert_eq!(parcel.durable.iter().map(names).collect::<Vec<_>>(), ["a", "a", "c"]);
        assert!(parcel.live.iter().all(|(channel, _)| channel.as_str() == "b"));
    }
}
