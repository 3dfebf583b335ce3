//! What nodes wrap around an event when there is more to say than its payload.
//!
//! The byte 0xC1, which neither UTF-8 nor MessagePack ever starts with, then a MessagePack array
//! with a version first. Whatever is not a whole, well-formed envelope is a raw payload. Kinds and
//! versions that this node does not know are skipped, so that newer nodes can live beside it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_core::{Event, Payload, Position};

/// The first byte of every envelope.
const MARK: u8 = 0xC1;
/// The version this node writes.
const VERSION: u8 = 1;
/// How many items an event of this version has.
const FIELDS: usize = 8;
/// The deepest nesting that a newer envelope may have and still be one.
const MAX_DEPTH: usize = 128;

/// A payload of pub/sub, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// An event: enveloped, or raw.
    Event(Event),
    /// An envelope of a kind or version that this node does not know.
    Unknown,
}

/// The array behind the mark, version 1. Positional: a new field is a new version.
#[derive(Serialize)]
struct Wire<'a> {
    version: u8,
    kind: &'a str,
    published_us: Option<u64>,
    epoch: Option<&'a str>,
    offset: Option<u64>,
    from: Option<&'a str>,
    key: Option<&'a str>,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
}

/// The same, as it is read.
#[derive(Deserialize)]
struct Heard {
    #[serde(rename = "version")]
    _version: u8,
    #[serde(rename = "kind")]
    _kind: String,
    published_us: Option<u64>,
    epoch: Option<String>,
    offset: Option<u64>,
    from: Option<String>,
    key: Option<String>,
    payload: serde_bytes::ByteBuf,
}

impl Envelope {
    /// Understands what came by pub/sub. Never fails: what is no envelope is a raw event.
    pub fn decode(bytes: Bytes) -> Self {
        match bytes.split_first() {
            Some((&MARK, rest)) => decode_marked(rest).unwrap_or_else(|| raw(bytes)),
            _ => raw(bytes),
        }
    }

    /// Whether a bare payload could be taken for an envelope, so that it needs one to arrive as it is.
    pub fn looks_like_one(payload: &[u8]) -> bool {
        payload.first() == Some(&MARK)
    }

    /// A canary: what a node sends to itself, to see whether it hears. Nobody makes an event of it.
    pub fn canary(number: u64) -> Vec<u8> {
        let mut out = vec![MARK];
        // A vector takes all, and these fields always serialise.
        let _ = rmp_serde::encode::write(&mut out, &(VERSION, "canary", number));
        out
    }

    /// Wraps an event.
    pub fn encode(event: &Event) -> Vec<u8> {
        let epoch = event.position.map(|p| p.epoch.to_string());
        let wire = Wire {
            version: VERSION,
            kind: "event",
            published_us: event.published_us,
            epoch: epoch.as_deref(),
            offset: event.position.map(|p| p.offset),
            from: event.from.as_deref(),
            key: event.key.as_deref(),
            payload: event.payload.bytes(),
        };
        let mut out = Vec::with_capacity(event.payload.bytes().len() + 64);
        out.push(MARK);
        // A vector takes all, and these fields always serialise.
        let _ = rmp_serde::encode::write(&mut out, &wire);
        out
    }
}

fn raw(bytes: Bytes) -> Envelope {
    Envelope::Event(Event::live(Payload::new(bytes)))
}

fn decode_marked(rest: &[u8]) -> Option<Envelope> {
    let mut reader = rest;
    let items = match read_array_len(&mut reader)? {
        n if n >= 2 => n,
        _ => return None,
    };
    let version: u8 = rmp_serde::from_read(&mut reader).ok()?;
    let kind: String = rmp_serde::from_read(&mut reader).ok()?;
    if version != VERSION || kind != "event" {
        // Newer nodes write whole envelopes too: what is cut short, or goes on, is somebody's payload.
        for _ in 2..items {
            skip(&mut reader)?;
        }
        return reader.is_empty().then_some(Envelope::Unknown);
    }
    if items != FIELDS {
        return None;
    }
    let mut reader = rest;
    let wire: Heard = rmp_serde::from_read(&mut reader).ok()?;
    if !reader.is_empty() {
        return None; // more behind it: somebody's payload that only looks like an envelope
    }
    let position = match (wire.epoch, wire.offset) {
        (Some(epoch), Some(offset)) => Some(Position { epoch: epoch.parse().ok()?, offset }),
        (None, None) => None,
        _ => return None,
    };
    Some(Envelope::Event(Event {
        payload: Payload::new(wire.payload.into_vec().into()),
        position,
        from: wire.from.map(Arc::from),
        key: wire.key.map(Arc::from),
        published_us: wire.published_us,
    }))
}

/// Moves `reader` behind one value of any type.
fn skip(reader: &mut &[u8]) -> Option<()> {
    let mut value = rmp_serde::Deserializer::new(reader);
    value.set_max_depth(MAX_DEPTH);
    serde::de::IgnoredAny::deserialize(&mut value).ok().map(drop)
}

/// The length of the MessagePack array that `reader` starts with; it is moved behind the header.
fn read_array_len(reader: &mut &[u8]) -> Option<usize> {
    let (&first, rest) = reader.split_first()?;
    *reader = rest;
    match first {
        0x90..=0x9f => Some(usize::from(first & 0x0f)),
        _ => None, // longer headers are never written by any version
    }
}

#[cfg(test)]
mod tests;
