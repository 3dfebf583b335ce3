//! What one Redis shard says, on its way into the lanes.
//!
//! Called from the feed's own tasks, so nothing here waits. What cannot be delivered is counted,
//! and said in the log once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidegate_core::ChannelName;
use tidegate_protocol::Envelope;
use tidegate_redis::{FeedSink, Keys, RedisError};

use super::health::Health;
use crate::counters::Counters;
use crate::lanes::Lanes;
use crate::log_pace::LogPace;

/// What an envelope may add to its payload. Above, not even the envelope is looked at.
const ENVELOPE_ROOM: usize = 64 << 10;

/// Hears one shard.
pub(super) struct Ears {
    keys: Keys,
    lanes: Arc<Lanes>,
    health: Arc<Health>,
    max_event_bytes: usize,
    counters: Arc<Counters>,
    oversized: LogPace,
    unknown_envelopes: LogPace,
    unknown_channels: LogPace,
}

impl Ears {
    pub(super) fn new(
        keys: Keys,
        lanes: Arc<Lanes>,
        health: Arc<Health>,
        max_event_bytes: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let (oversized, unknown_envelopes, unknown_channels) = Default::default();
        Self {
            keys,
            lanes,
            health,
            max_event_bytes,
            counters,
            oversized,
            unknown_envelopes,
            unknown_channels,
        }
    }

    fn refuse_size(&self, channel: &ChannelName, bytes: usize) {
        if let Some(times) = counted(&self.counters.oversized, &self.oversized) {
            let limit = self.max_event_bytes;
            tracing::warn!(%channel, bytes, limit, times, "events above limits.event dropped; the newest is named");
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
        if payload.len() > self.max_event_bytes + ENVELOPE_ROOM {
            return self.refuse_size(&channel, payload.len());
        }
        match Envelope::decode(Bytes::from(payload)) {
            Envelope::Event(event) if event.payload.bytes().len() > self.max_event_bytes => {
                self.refuse_size(&channel, event.payload.bytes().len());
            }
            Envelope::Event(event) => self.lanes.deliver(channel, event),
            Envelope::Unknown => {
                if let Some(times) = counted(&self.counters.unknown_envelopes, &self.unknown_envelopes) {
                    tracing::warn!(%channel, times, "envelopes skipped: a newer node sends kinds this one does not know");
                }
            }
        }
    }

    fn up(&self, link: u64) {
        self.health.feed_is_up(link);
    }

    fn down(&self, why: &RedisError) {
        tracing::warn!(%why, "Redis is not heard");
        self.health.feed_is_down();
    }
}

/// Counts it; returns how often it happened since the last line, if it is time for one.
fn counted(counter: &AtomicU64, pace: &LogPace) -> Option<u64> {
    counter.fetch_add(1, Ordering::Relaxed);
    pace.tick()
}
