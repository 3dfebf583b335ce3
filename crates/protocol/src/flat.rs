//! Frames as flat maps, the shape they have on the wire in both codecs.
//!
//! `D` is what stands in `data`: raw JSON, or a MessagePack string or binary. Optional fields only:
//! what a frame's type needs is checked by whoever turns it into a frame, with its own words.

use serde::{Deserialize, Serialize};

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
}

/// A frame of the server.
#[derive(Debug, Serialize, Deserialize)]
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
    // Not `Option<D>` by default: JSON's `null` is a payload like any other.
    #[serde(default = "none", skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[serde(bound(deserialize = "D: Deserialize<'de>"))]
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
}

/// What a client may send, as `connected` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LimitsFlat {
    pub(crate) message_bytes: u64,
    pub(crate) channels: u64,
}

impl<D> ClientFlat<D> {
    pub(crate) fn new(kind: &str) -> Self {
        let kind = kind.to_owned();
        Self { kind, id: None, token: None, client: None, channel: None, data: None, data_base64: None }
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
            data: None,
            data_base64: None,
            from: None,
            key: None,
            code: None,
            message: None,
            retry: None,
            retry_after_ms: None,
            after_ms: None,
        }
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
