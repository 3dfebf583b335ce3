//! Frames as flat maps, the shape they have on the wire in both codecs.
//!
//! `D` is what stands in `data`: raw JSON, or a MessagePack string or binary. Optional fields only:
//! what a frame's type needs is checked by whoever turns it into a frame, with its own words.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use tidegate_core::Position;

/// A frame of a client. Read by `reading`, which names what is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct ClientFlat<D> {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Since>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// A position as a map of `epoch` and `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) Position);

/// A frame of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct ServerFlat<D> {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ping_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<LimitsFlat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Vec<LoggedFlat<D>>>,
    // Not `Option<D>` by default: JSON's `null` is a payload like any other.
    #[serde(default = "none", skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub(crate) data: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// An event inside a reply, whose channel and epoch the reply says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct LoggedFlat<D> {
    pub(crate) offset: u64,
    #[serde(default = "none", skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub(crate) data: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// What a client may send, as `connected` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LimitsFlat {
    pub(crate) message_bytes: u64,
    pub(crate) channels: u64,
}

impl<D> ClientFlat<D> {
    pub(crate) fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            id: None,
            token: None,
            client: None,
            channel: None,
            data: None,
            data_base64: None,
            since: None,
            last: None,
            limit: None,
            key: None,
        }
    }
}

impl<D> ServerFlat<D> {
    pub(crate) fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            id: None,
            session: None,
            client: None,
            user: None,
            ping_ms: None,
            limits: None,
            channel: None,
            epoch: None,
            offset: None,
            recovered: None,
            events: None,
            data: None,
            data_base64: None,
            from: None,
            key: None,
            code: None,
            message: None,
            retry: None,
            retry_after_ms: None,
            after_ms: None,
            reason: None,
        }
    }
}

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Since", 2)?;
        map.serialize_field("epoch", &self.0.epoch.to_string())?;
        map.serialize_field("offset", &self.0.offset)?;
        map.end()
    }
}

fn none<D>() -> Option<D> {
    None
}

fn some<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
