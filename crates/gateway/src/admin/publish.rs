//! `POST /api/v1/publish`: a backend publishes one event.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Reason, Refusal};
use tidegate_protocol::decode_base64;
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::node::Node;

/// The body of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    channel: String,
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
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
    node.relay.publish(channel, payload, None, |result| {
        let _ = done.send(result); // the backend may have left
    });
    let result = answer.await.unwrap_or_else(|_| Err(Refusal::unavailable()));
    let position = result.map_err(refuse)?;
    let (epoch, offset) = (position.map(|p| p.epoch.to_string()), position.map(|p| p.offset));
    Ok(Json(Published { epoch, offset }))
}

fn parse(body: &[u8], most: usize) -> Result<(ChannelName, Bytes), Refusal> {
    let bad = |message: String| Refusal::new(Reason::BadRequest, message);
    let request: Request =
        serde_json::from_slice(body).map_err(|error| bad(format!("the body must be JSON: {error}")))?;
    let channel = ChannelName::parse(&request.channel)
        .map_err(|error| Refusal::new(Reason::BadChannel, format!("`channel`: {error}")))?;
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
    Ok((channel, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (body, reason, words) in [
            ("", Reason::BadRequest, "JSON"),
            (r#"{"channel":"a","data":1,"x":2}"#, Reason::BadRequest, "unknown field `x`"),
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
        let (channel, payload) = parse(br#"{"channel":"a","data": {"b":1.50} }"#, 99).unwrap();
        assert_eq!((channel.as_str(), &payload[..]), ("a", &br#"{"b":1.50}"#[..]));
    }
}
