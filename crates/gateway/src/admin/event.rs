//! One event as the API's bodies say it, and how it is published.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Payload, PayloadKind, Position, Reason, Refusal};
use tidegate_protocol::{MAX_KEY, decode_base64};
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::node::Node;

/// The header that makes a second request with the same event known as such.
const KEY_HEADER: &str = "idempotency-key";

/// Only an object: serde would take an array, by the order of the fields.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// JSON, present: not `Option` by default, since `null` is an event like any other.
pub(super) fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// One event to publish.
#[derive(Debug, Clone)]
pub(super) struct NewEvent {
    pub(super) channel: ChannelName,
    pub(super) payload: Bytes,
    pub(super) key: Option<Arc<str>>,
}

/// Where an event stands; nulls without history.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    epoch: Option<String>,
    offset: Option<u64>,
}

impl From<Option<Position>> for Published {
    fn from(position: Option<Position>) -> Self {
        Self { epoch: position.map(|p| p.epoch.to_string()), offset: position.map(|p| p.offset) }
    }
}

impl NewEvent {
    /// Publishes it, in the order of calls; what became of it comes within 2 s.
    pub(super) fn publish(self, node: &Node) -> oneshot::Receiver<Result<Option<Position>, Refusal>> {
        let (done, answer) = oneshot::channel();
        node.relay.publish(self.channel, self.payload, self.key, None, |result| {
            let _ = done.send(result); // the backend may have left
        });
        answer
    }
}

/// What became of an event.
pub(super) async fn settled(
    answer: oneshot::Receiver<Result<Option<Position>, Refusal>>,
) -> Result<Published, Refusal> {
    let result = answer.await.unwrap_or_else(|_| Err(Refusal::unavailable()));
    result.map(Published::from)
}

/// Counts a refusal, and makes a problem of it.
pub(super) fn refused(node: &Node, refusal: Refusal) -> Problem {
    node.refused(refusal.reason);
    Problem::from(refusal)
}

/// A body as JSON. `too_large` is what to say where it is.
pub(super) fn parse<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    too_large: impl FnOnce() -> String,
) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| match rejection.status().as_u16() {
        413 => Refusal::new(Reason::TooLarge, too_large()),
        _ => bad("the body ended early"),
    })?;
    read(&body)
}

/// Bytes as a JSON object.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let read = serde_json::from_slice(body).map(|Object(fields)| fields);
    read.map_err(|error| bad(format!("the body must be JSON: {error}")))
}

/// A channel's name.
pub(super) fn channel(name: &str) -> Result<ChannelName, Refusal> {
    ChannelName::parse(name).map_err(|error| Refusal::new(Reason::BadChannel, format!("`channel`: {error}")))
}

/// What is published, from one of the two fields; at most `most` bytes.
pub(super) fn payload(
    data: Option<Box<RawValue>>,
    data_base64: Option<&str>,
    most: usize,
) -> Result<Bytes, Refusal> {
    let written_as_json = data.is_some();
    let payload: Bytes = match (data, data_base64) {
        (Some(json), None) => String::from(Box::<str>::from(json)).into(),
        (None, Some(text)) => decode_base64(text).map_err(bad)?.into(),
        _ => return Err(bad("either `data` or `data_base64` is needed")),
    };
    if payload.len() > most {
        let message =
            format!("`data` has {} bytes, at most {most} are allowed (limits.event)", payload.len());
        return Err(Refusal::new(Reason::TooLarge, message));
    }
    if written_as_json && Payload::new(payload.clone()).kind() != PayloadKind::Json {
        return Err(bad("`data` is nested deeper than 128 levels"));
    }
    Ok(payload)
}

/// An idempotency key, from where `what` says.
pub(super) fn key(what: &str, key: Option<String>) -> Result<Option<Arc<str>>, Refusal> {
    match &key {
        Some(text) if text.is_empty() || text.len() > MAX_KEY => {
            Err(bad(format!("{what} has 1 to {MAX_KEY} bytes, this one has {}", text.len())))
        }
        _ => Ok(key.map(Arc::from)),
    }
}

/// The key in the header: the very characters, all of them visible.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
    let mut all = headers.get_all(KEY_HEADER).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(bad("header Idempotency-Key is there twice"));
    }
    if !value.as_bytes().iter().all(u8::is_ascii_graphic) {
        return Err(bad("header Idempotency-Key has visible ASCII characters only, and no spaces"));
    }
    key("header Idempotency-Key", value.to_str().ok().map(str::to_owned))
}

pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Reason::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_and_bounded() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY_HEADER, axum::http::HeaderValue::from_bytes(value).unwrap());
            }
            key_of(&headers)
        };
        let longest = [b'x'; MAX_KEY];
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[b"\"a\""]).unwrap().as_deref(), Some("\"a\""), "as it is written");
        assert_eq!(of(&[&longest]).unwrap().map(|key| key.len()), Some(MAX_KEY));
        for (values, words) in [
            (vec![&b""[..]], "has 1 to 128 bytes, this one has 0"),
            (vec![&[b'x'; MAX_KEY + 1][..]], "this one has 129"),
            (vec![b"a b"], "visible"),
            (vec!["ä".as_bytes()], "visible"),
            (vec![b"a", b"a"], "twice"),
        ] {
            let refusal = of(&values).unwrap_err();
            assert!(refusal.reason == Reason::BadRequest && refusal.message.contains(words), "{refusal}");
        }
    }
}
