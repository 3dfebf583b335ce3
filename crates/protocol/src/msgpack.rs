//! Native frames as MessagePack: maps back to back.
//!
//! `data` is a string that holds JSON, or binary: JSON text is never re-encoded, so numbers, key
//! order and escapes stay as they were published.

use bytes::Bytes;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_core::{Payload, PayloadKind};

use crate::flat::ServerFlat;
use crate::reading::{Given, Reading};
use crate::{ClientFrame, Malformed, ServerFrame};

mod writing;

pub use writing::{write_event, write_gap, write_history, write_position, write_subscribed};

/// The deepest nesting that is passed over, in fields that nobody knows: as deep as JSON may be.
const MAX_DEPTH: usize = 128;

/// What stands in `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Data {
    Text(String),
    Binary(Vec<u8>),
}

/// What a request is, in the words of its refusal.
const FORM: &str = "a request is one MessagePack map";

/// The requests in a message. After one that is no whole map the rest is lost: its end is unknown.
pub fn decode_client(message: &[u8]) -> Vec<Result<ClientFrame, Malformed>> {
    let mut rest = message;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let mut map = rmp_serde::Deserializer::new(&mut rest);
        map.set_max_depth(MAX_DEPTH);
        let (reading, broken) = Reading::<Given>::read(&mut map, FORM);
        if let Some(malformed) = broken {
            frames.push(Err(malformed));
            break;
        }
        frames.push(reading.finish().and_then(|flat| ClientFrame::from_flat(flat, data)));
    }
    frames
}

fn data(given: Given) -> Result<Bytes, String> {
    match given {
        Given::Text(text) => Ok(text.into()),
        Given::Binary(bytes) => Ok(bytes.into()),
        other => Err(format!("`data` must be a string (JSON or other text) or binary, not {other}")),
    }
}

/// A request.
pub fn encode_client(frame: &ClientFrame) -> Vec<u8> {
    to_vec(&frame.to_flat(|bytes, kind| Some(Data::of(bytes, kind))))
}

/// The frames in a message of the server.
///
/// # Errors
/// A sentence that says what is wrong with the first frame that is.
pub fn decode_server(message: &[u8]) -> Result<Vec<ServerFrame>, String> {
    let mut rest = message;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let flat: ServerFlat<Data> = rmp_serde::from_read(&mut rest).map_err(|error| error.to_string())?;
        frames.push(ServerFrame::from_flat(flat, |data| Payload::new(data.into_bytes()))?);
    }
    Ok(frames)
}

/// A frame of the server.
pub fn encode_server(frame: &ServerFrame) -> Vec<u8> {
    to_vec(&frame.to_flat(|payload| {
        Some(match payload.kind() {
            PayloadKind::Text => {
                let mut json = Vec::new();
                crate::json::write_data(&mut json, payload);
                Data::Text(String::from_utf8(json).unwrap_or_default())
            }
            kind => Data::of(payload.bytes(), kind),
        })
    }))
}

fn to_vec<T: Serialize>(flat: &T) -> Vec<u8> {
    // Maps of strings, numbers and bytes always serialise into a vector.
    rmp_serde::to_vec_named(flat).unwrap_or_default()
}

impl Data {
    fn of(bytes: &Bytes, kind: PayloadKind) -> Self {
        match (kind, std::str::from_utf8(bytes)) {
            (PayloadKind::Json | PayloadKind::Text, Ok(text)) => Self::Text(text.to_owned()),
            _ => Self::Binary(bytes.to_vec()),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes.into(),
        }
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DataVisitor;
        impl Visitor<'_> for DataVisitor {
            type Value = Data;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`data` as a string (JSON or other text) or as binary")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Data, E> {
                Ok(Data::Text(text.to_owned()))
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Data, E> {
                Ok(Data::Binary(bytes.to_vec()))
            }
        }
        deserializer.deserialize_any(DataVisitor)
    }
}

#[cfg(test)]
mod tests;
