//! The event that micro benchmarks of several crates work with.

use bytes::Bytes;
use tidegate_core::{ChannelName, Epoch, Event, Payload, Position};

/// Its channel.
pub(crate) fn room() -> ChannelName {
    "chat:42".parse().expect("a name")
}

/// 128 bytes of JSON, live or at a position.
pub(crate) fn event(kept: bool) -> Event {
    let payload = Payload::new(Bytes::from(format!("\"{}\"", "x".repeat(126))));
    let position = kept.then(|| Position { epoch: Epoch::new(1_795_245_504_123, 1), offset: 1_000_000 });
    Event { position, ..Event::live(payload) }
}
