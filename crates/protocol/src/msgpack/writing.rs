//! Frames that a node writes for each event or subscriber: what `encode_server` makes of them, without the copies.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use tidegate_core::{ChannelName, Event, Payload, PayloadKind, Position, RequestId};

/// A frame about a channel.
#[derive(Serialize)]
struct About<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<LoggedOut<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// An event by itself.
#[derive(Serialize)]
struct EventOut<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    data: DataOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// An event inside a reply.
#[derive(Serialize)]
struct LoggedOut<'a> {
    offset: u64,
    data: DataOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// What stands in `data`: JSON in a string, or binary.
enum DataOut<'a> {
    Json(Cow<'a, str>),
    Binary(&'a [u8]),
}

/// Appends an event frame.
pub fn write_event(out: &mut Vec<u8>, channel: &ChannelName, event: &Event) {
    let frame = EventOut {
        kind: "event",
        channel: channel.as_str(),
        offset: event.position.map(|p| p.offset),
        data: DataOut::of(&event.payload),
        from: event.from.as_deref(),
        key: event.key.as_deref(),
    };
    write(out, &frame);
}

/// Appends the reply to `subscribe`: `position` is the one behind `events`, none where the channel has no
/// history. Of the events those without a position are left out.
pub fn write_subscribed(
    out: &mut Vec<u8>,
    id: RequestId,
    channel: &ChannelName,
    position: Option<Position>,
    recovered: Option<bool>,
    events: &[Event],
) {
    let mut frame = About { id: Some(id.get()), ..About::new("subscribed", channel, position) };
    if position.is_some() {
        frame = About { recovered, events: Some(logged(events)), ..frame };
    }
    write(out, &frame);
}

/// Appends the reply to `history`; `position` is that of the channel's last event.
pub fn write_history(
    out: &mut Vec<u8>,
    id: RequestId,
    channel: &ChannelName,
    position: Position,
    recovered: Option<bool>,
    events: &[Event],
) {
    let frame = About {
        id: Some(id.get()),
        recovered,
        events: Some(logged(events)),
        ..About::new("history", channel, Some(position))
    };
    write(out, &frame);
}

/// Appends a `position` frame.
pub fn write_position(out: &mut Vec<u8>, channel: &ChannelName, position: Position) {
    write(out, &About::new("position", channel, Some(position)));
}

/// Appends a `gap` frame.
pub fn write_gap(out: &mut Vec<u8>, channel: &ChannelName, position: Position, reason: &str) {
    write(out, &About { reason: Some(reason), ..About::new("gap", channel, Some(position)) });
}

fn write<T: Serialize>(out: &mut Vec<u8>, frame: &T) {
    // Maps of strings, numbers and bytes always serialise into a vector.
    let _ = rmp_serde::encode::write_named(out, frame);
}

/// The events that have a position, as a reply holds them.
fn logged(events: &[Event]) -> Vec<LoggedOut<'_>> {
    let numbered = events.iter().filter_map(|event| event.position.map(|position| (position, event)));
    numbered
        .map(|(position, event)| LoggedOut {
            offset: position.offset,
            data: DataOut::of(&event.payload),
            from: event.from.as_deref(),
            key: event.key.as_deref(),
        })
        .collect()
}

impl<'a> About<'a> {
    fn new(kind: &'static str, channel: &'a ChannelName, position: Option<Position>) -> Self {
        Self {
            kind,
            id: None,
            channel: channel.as_str(),
            epoch: position.map(|p| p.epoch.to_string()),
            offset: position.map(|p| p.offset),
            recovered: None,
            events: None,
            reason: None,
        }
    }
}

impl<'a> DataOut<'a> {
    fn of(payload: &'a Payload) -> Self {
        match (payload.kind(), payload.text()) {
            (PayloadKind::Json, Some(json)) => Self::Json(Cow::Borrowed(json)),
            (PayloadKind::Text, Some(_)) => {
                let mut json = Vec::with_capacity(payload.bytes().len() + 2);
                crate::json::write_data(&mut json, payload);
                Self::Json(Cow::Owned(String::from_utf8(json).unwrap_or_default()))
            }
            _ => Self::Binary(payload.bytes()),
        }
    }
}

impl Serialize for DataOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => serializer.serialize_str(json),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}
