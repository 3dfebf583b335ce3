//! What Redis says, on its way into the lanes.
//!
//! Called from the feed's own tasks, so nothing here waits. What cannot be delivered is counted,
//! and said in the log once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidegate_core::{ChannelName, Event};
use tidegate_protocol::Envelope;
use tidegate_redis::{FeedSink, Keys, RedisError};

use crate::Shard;
use crate::counters::Counters;
use crate::history::HistorySettings;
use crate::lanes::Lanes;
use crate::log_pace::LogPace;

/// What an envelope may add to its payload. Above, not even the envelope is looked at.
const ENVELOPE_ROOM: usize = 64 << 10;

/// Hears all shards.
pub(super) struct Ears {
    keys: Keys,
    lanes: Arc<Lanes>,
    history: HistorySettings,
    counters: Arc<Counters>,
    oversized: LogPace,
    unnumbered: LogPace,
    unknown_envelopes: LogPace,
    unknown_channels: LogPace,
}

impl Ears {
    pub(super) fn new(
        keys: Keys,
        lanes: Arc<Lanes>,
        history: HistorySettings,
        counters: Arc<Counters>,
    ) -> Self {
        let (oversized, unnumbered, unknown_envelopes, unknown_channels) = Default::default();
        Self { keys, lanes, history, counters, oversized, unnumbered, unknown_envelopes, unknown_channels }
    }

    fn refuse_size(&self, channel: &ChannelName, bytes: usize) {
        if let Some(times) = counted(&self.counters.oversized, &self.oversized) {
            let limit = self.history.max_event_bytes;
            tracing::warn!(%channel, bytes, limit, times, "events above limits.event dropped; the newest is named");
        }
    }

    /// A bare `PUBLISH` into a channel with history is delivered, and lost to whoever is away.
    fn look_for_position(&self, channel: &ChannelName, event: &Event) {
        if event.position.is_none()
            && self.history.of(channel).history.is_some()
            && let Some(times) = counted(&self.counters.unnumbered, &self.unnumbered)
        {
            tracing::warn!(%channel, times, "events without a position in channels with history; the newest is named");
        }
    }
}

impl FeedSink for Ears {
    fn message(&self, channel: &[u8], payload: Vec<u8>) {
        let Some(channel) = self.keys.parse(channel).and_then(|name| ChannelName::parse_any(name).ok())
        else {
            if let Some(times) = counted(&self.counters.unknown_channels, &self.unknown_channels) {
                let name = String::from_utf8_lossy(channel);
                tracing::warn!(%name, times, "messages skipped: no channel has this name");
            }
            return;
        };
        if payload.len() > self.history.max_event_bytes + ENVELOPE_ROOM {
            return self.refuse_size(&channel, payload.len());
        }
        match Envelope::decode(Bytes::from(payload)) {
            Envelope::Event(event) if event.payload.bytes().len() > self.history.max_event_bytes => {
                self.refuse_size(&channel, event.payload.bytes().len());
            }
            Envelope::Event(event) => {
                self.look_for_position(&channel, &event);
                self.lanes.deliver(channel, event);
            }
            Envelope::Unknown => {
                if let Some(times) = counted(&self.counters.unknown_envelopes, &self.unknown_envelopes) {
                    tracing::warn!(%channel, times, "envelopes skipped: a newer node sends kinds this one does not know");
                }
            }
        }
    }

    fn up(&self, shard: u16, link: u64) {
        let counters = self.counters.shard(Shard(shard));
        tracing::info!(shard, "Redis is heard");
        counters.reconnects.store(link - 1, Ordering::Relaxed);
        counters.up.store(true, Ordering::Relaxed);
        self.lanes.up(Shard(shard));
    }

    fn down(&self, shard: u16, why: &RedisError) {
        tracing::warn!(shard, %why, "Redis is not heard");
        self.counters.shard(Shard(shard)).up.store(false, Ordering::Relaxed);
        self.lanes.down(Shard(shard));
    }

    fn moved(&self, name: &str) {
        if let Some(channel) = self.keys.parse(name.as_bytes())
            && let Ok(channel) = ChannelName::parse_any(channel)
        {
            self.lanes.moved(channel);
        }
    }

    fn found(&self, shard: u16) {
        self.counters.shard(Shard(shard)); // known before it is heard, so that it can be seen to be down
    }

    fn canary(&self, number: u64) -> Vec<u8> {
        Envelope::canary(number)
    }

    fn gone(&self, shard: u16) {
        self.counters.forget(Shard(shard));
        self.lanes.down(Shard(shard));
    }
}

/// Counts it; returns how often it happened since the last line, if it is time for one.
fn counted(counter: &AtomicU64, pace: &LogPace) -> Option<u64> {
    counter.fetch_add(1, Ordering::Relaxed);
    pace.tick()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventQueue, GapCause, HistoryRules, LogRules, News, QueueLimits};
    use tidegate_core::{Epoch, Payload, Position};
    use tidegate_redis::Prefix;

    const MAX: usize = 100;

    fn ears() -> (Ears, Arc<EventQueue>) {
        let queue = Arc::new(EventQueue::new(QueueLimits::default()));
        let counters = Arc::new(Counters::default());
        let lanes = Arc::new(Lanes::new(vec![Arc::clone(&queue)], Arc::clone(&counters)));
        let mut history = HistorySettings { max_event_bytes: MAX, ..HistorySettings::default() };
        let rules = HistoryRules { history: Some(LogRules::default()), ..HistoryRules::default() };
        history.namespaces.insert("log".to_owned(), rules);
        (Ears::new(Keys::new(&Prefix::default()), lanes, history, counters), queue)
    }

    fn event(bytes: usize) -> Event {
        Event { from: Some("ada".into()), ..Event::live(Payload::new(vec![b'x'; bytes].into())) }
    }

    #[tokio::test]
    async fn the_limit_is_for_the_payload_bare_or_in_an_envelope() {
        let (ears, queue) = ears();
        for bytes in [MAX, MAX + 1] {
            ears.message(b"tg:{a}", vec![b'x'; bytes]);
            ears.message(b"tg:{a}", Envelope::encode(&event(bytes)));
        }
        ears.message(b"tg:{a}", vec![0xC1; MAX + ENVELOPE_ROOM + 1]);
        assert_eq!(ears.counters.oversized.load(Ordering::Relaxed), 3);
        let mut news = Vec::new();
        queue.take(9, &mut news).await;
        let bare = Event { from: None, ..event(MAX) };
        let channel: ChannelName = "a".parse().unwrap();
        assert_eq!(news, [News::Event(channel.clone(), bare), News::Event(channel, event(MAX))]);
    }

    #[tokio::test]
    async fn what_has_no_position_in_a_history_is_delivered_and_counted() {
        let (ears, queue) = ears();
        let position = Some(Position { epoch: Epoch::new(7, 7), offset: 1 });
        ears.message(b"tg:{log:a}", Envelope::encode(&Event { position, ..event(1) }));
        ears.message(b"tg:{live:a}", b"x".to_vec());
        assert_eq!(ears.counters.unnumbered.load(Ordering::Relaxed), 0);
        ears.message(b"tg:{log:a}", b"x".to_vec());
        ears.message(b"tg:{log:a}", Envelope::encode(&event(1)));
        assert_eq!(ears.counters.unnumbered.load(Ordering::Relaxed), 2);
        let mut news = Vec::new();
        queue.take(9, &mut news).await;
        assert_eq!(news.len(), 4);
    }

    #[tokio::test]
    async fn what_is_no_channel_or_unknown_is_counted() {
        let (ears, queue) = ears();
        for name in [&b"tg:a"[..], b"tg:{}", b"tg:{a b}", b"tg:{\xff}", b"other:{a}"] {
            ears.message(name, b"x".to_vec());
        }
        ears.message(b"tg:{a}", b"\xc1\x92\x01\xa4join".to_vec());
        assert_eq!(ears.counters.unknown_channels.load(Ordering::Relaxed), 5);
        assert_eq!(ears.counters.unknown_envelopes.load(Ordering::Relaxed), 1);
        ears.message(b"tg:{~ours}", b"x".to_vec());
        let mut news = Vec::new();
        queue.take(9, &mut news).await;
        assert!(matches!(&news[..], [News::Event(channel, _)] if channel.as_str() == "~ours"), "{news:?}");
    }

    #[tokio::test]
    async fn shards_come_fall_silent_and_go() {
        let (ears, queue) = ears();
        let why = RedisError::Unavailable("gone".into());
        assert!(!ears.counters.is_up(), "nothing is known yet");
        ears.up(0, 1);
        ears.up(4, 3);
        assert!(ears.counters.is_up());
        ears.down(4, &why);
        assert!(!ears.counters.is_up());
        ears.found(5);
        ears.gone(4);
        assert!(!ears.counters.is_up(), "one that was never heard is missed");
        ears.gone(5);
        assert!(ears.counters.is_up(), "what is no part of the Cluster is not missed");
        let known: Vec<_> = ears.counters.shards().into_iter().map(|(shard, _)| shard).collect();
        assert_eq!(known, [Shard(0)]);
        ears.moved("tg:{a}");
        ears.moved("other");
        let mut news = Vec::new();
        queue.take(9, &mut news).await;
        // Down again says nothing new.
        let expected = [
            News::Up(Shard(0)),
            News::Down(Shard(4)),
            News::Down(Shard(5)),
            News::Gap("a".parse().unwrap(), GapCause::Moved),
        ];
        assert_eq!(news, expected);
    }
}
