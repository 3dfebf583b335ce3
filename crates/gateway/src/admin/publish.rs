//! `POST /api/v1/publish`: a backend publishes one event.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Payload, PayloadKind, Reason, Refusal};
use tidegate_protocol::decode_base64;
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::node::Node;

/// The body of the request.
struct Body(Fields);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    channel: String,
    // Not `Option` by default: `null` is an event like any other.
    #[serde(default, deserialize_with = "some")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

/// Only an object: serde would take an array, by the order of the fields.
impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Body;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `channel` and `data` or `data_base64`")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Body, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(Body)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Where the event stands; nulls without history.
#[derive(Serialize)]
pub(super) struct Published {
    epoch: Option<String>,
    offset: Option<u64>,
}

pub(super) async fn publish(
    State(node): State<Arc<Node>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Published>, Problem> {
    let refuse = |refusal: Refusal| {
        node.refused(refusal.reason);
        Problem::from(refusal)
    };
    let most = node.policy.limits.event_bytes;
    let body = body.map_err(|rejection| match rejection.status().as_u16() {
        413 => {
            refuse(Refusal::new(Reason::TooLarge, format!("`data` has at most {most} bytes (limits.event)")))
        }
        _ => refuse(Refusal::new(Reason::BadRequest, "the body ended early")),
    })?;
    let (channel, payload) = parse(&body, most).map_err(refuse)?;
    let (done, answer) = oneshot::channel();
    node.relay.publish(channel, payload, None, None, |result| {
        let _ = done.send(result); // the backend may have left
    });
    let result = answer.await.unwrap_or_else(|_| Err(Refusal::unavailable()));
    let position = result.map_err(refuse)?;
    let (epoch, offset) = (position.map(|p| p.epoch.to_string()), position.map(|p| p.offset));
    Ok(Json(Published { epoch, offset }))
}

fn parse(body: &[u8], most: usize) -> Result<(ChannelName, Bytes), Refusal> {
    let bad = |message: String| Refusal::new(Reason::BadRequest, message);
    let Body(request) =
        serde_json::from_slice(body).map_err(|error| bad(format!("the body must be JSON: {error}")))?;
    let channel = ChannelName::parse(&request.channel)
        .map_err(|error| Refusal::new(Reason::BadChannel, format!("`channel`: {error}")))?;
    let written_as_json = request.data.is_some();
    let payload: Bytes = match (request.data, request.data_base64) {
        (Some(json), None) => String::from(Box::<str>::from(json)).into(),
        (None, Some(text)) => decode_base64(&text).map_err(bad)?.into(),
        _ => return Err(bad("either `data` or `data_base64` is needed".into())),
    };
    if payload.len() > most {
        let message =
            format!("`data` has {} bytes, at most {most} are allowed (limits.event)", payload.len());
        return Err(Refusal::new(Reason::TooLarge, message));
    }
    if written_as_json && Payload::new(payload.clone()).kind() != PayloadKind::Json {
        return Err(bad("`data` is nested deeper than 128 levels".into()));
    }
    Ok((channel, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (body, reason, words) in [
            ("", Reason::BadRequest, "JSON"),
            (r#"{"channel":"a","data":1,"x":2}"#, Reason::BadRequest, "unknown field `x`"),
            (r#"["a",1,null]"#, Reason::BadRequest, "expected an object"),
            (r#""a""#, Reason::BadRequest, "expected an object"),
            (r#"{"channel":"a","data":1} 2"#, Reason::BadRequest, "trailing"),
            (r#"{"channel":"a","data":1,"data":2}"#, Reason::BadRequest, "duplicate field `data`"),
            (r#"{"channel":7,"data":1}"#, Reason::BadRequest, "expected a string"),
            (r#"{"channel":"\ud800","data":1}"#, Reason::BadRequest, "escape"),
            (r#"{"channel":"a","data":01}"#, Reason::BadRequest, "invalid number"),
            (r#"{"channel":"a","data_base64":7}"#, Reason::BadRequest, "expected a string"),
            (r#"{"data":1}"#, Reason::BadRequest, "missing field `channel`"),
            (r#"{"channel":"a{b","data":1}"#, Reason::BadChannel, "'{'"),
            (r#"{"channel":"~a","data":1}"#, Reason::BadChannel, "own"),
            (r#"{"channel":"a"}"#, Reason::BadRequest, "either `data` or `data_base64`"),
            (r#"{"channel":"a","data":1,"data_base64":"AA=="}"#, Reason::BadRequest, "either"),
            (r#"{"channel":"a","data_base64":"?"}"#, Reason::BadRequest, "base64"),
            (r#"{"channel":"a","data":"12345678"}"#, Reason::TooLarge, "10 bytes, at most 8"),
        ] {
            let refusal = parse(body.as_bytes(), 8).unwrap_err();
            assert!(refusal.reason == reason && refusal.message.contains(words), "{body}: {refusal}");
        }
        let invalid = parse(b"{\"channel\":\"a\xff\",\"data\":1}", 99).unwrap_err();
        assert!(invalid.message.contains("unicode"), "{invalid}");
        let nested =
            |levels| format!(r#"{{"channel":"a","data":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(128).as_bytes(), 1 << 20).is_ok());
        let deep = parse(nested(300_000).as_bytes(), 1 << 20).unwrap_err();
        assert!(deep.message.contains("128 levels"), "{deep}");
        let (_, null) = parse(br#"{"channel":"a","data":null,"data_base64":null}"#, 99).unwrap();
        assert_eq!(&null[..], b"null");
        let (channel, payload) = parse(br#"{"channel":"a","data": {"b":1.50} }"#, 99).unwrap();
        assert_eq!((channel.as_str(), &payload[..]), ("a", &br#"{"b":1.50}"#[..]));
    }

    proptest! {
        #[test]
        fn any_body_is_an_event_or_refused(
            fields in prop::collection::vec((
                "channel|data|data_base64|x",
                "\"(a|a b|~x|AAA=|)\"|7|null|1e999|\\[1,\\{\\}\\]|\"\\\\ud800\"",
            ), 0..5),
            cut in 0usize..80, bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let body = format!("{{{}}}", fields.join(","));
            for body in [body.as_bytes(), &body.as_bytes()[..cut.min(body.len())], &bytes] {
                if let Err(refusal) = parse(body, 8) {
                    prop_assert!(!refusal.message.is_empty());
                }
            }
        }
    }
}
