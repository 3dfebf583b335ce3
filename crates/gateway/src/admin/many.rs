//! `POST /api/v1/broadcast` and `/batch`: many events in one request.
//!
//! Each has its own result, in order; one that fails keeps no other from being published.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_core::Refusal;

use super::event::{self, NewEvent, Object, Published};
use super::problem::Problem;
use crate::node::Node;

/// Events of one request. More: `bad_request`, and none is published.
const MOST: usize = 1000;
/// Bytes of a body, at least; one event of the largest size, as base64, fits anyhow.
const BODY: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broadcast {
    channels: Vec<String>,
    #[serde(default, deserialize_with = "event::some")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    events: Vec<Object<Item>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    channel: String,
    #[serde(default, deserialize_with = "event::some")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
    key: Option<String>,
}

/// The answer.
#[derive(Serialize)]
pub(super) struct Results {
    results: Vec<Outcome>,
}

/// What became of one event.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Published(Published),
    Problem(Problem),
}

/// The largest body that is read.
pub(super) fn body_limit(single: usize) -> usize {
    BODY.max(single)
}

pub(super) async fn broadcast(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Results>, Problem> {
    let most = node.policy.limits.event_bytes;
    let read = || {
        let Broadcast { channels, data, data_base64 } = event::parse(body, || too_large(&node))?;
        let payload = event::payload(data, data_base64.as_deref(), most)?;
        let key = event::key_of(&headers)?;
        check_count("channels", channels.len())?;
        Ok((channels, payload, key))
    };
    let (channels, payload, key) = read().map_err(|refusal| event::refused(&node, refusal))?;
    let event = |name: String| {
        let channel = event::channel(&name)?;
        Ok(NewEvent { channel, payload: payload.clone(), key: key.clone() })
    };
    Ok(publish_all(&node, channels.into_iter().map(event).collect()).await)
}

pub(super) async fn batch(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Results>, Problem> {
    let most = node.policy.limits.event_bytes;
    let read = || {
        let Batch { events } = event::parse(body, || too_large(&node))?;
        if event::key_of(&headers)?.is_some() {
            return Err(event::bad("each event of a batch has its own `key`; there is no header for all"));
        }
        check_count("events", events.len())?;
        Ok(events)
    };
    let events = read().map_err(|refusal| event::refused(&node, refusal))?;
    let event = |Object(item): Object<Item>| {
        let channel = event::channel(&item.channel)?;
        let payload = event::payload(item.data, item.data_base64.as_deref(), most)?;
        Ok(NewEvent { channel, payload, key: event::key("`key`", item.key)? })
    };
    Ok(publish_all(&node, events.into_iter().map(event).collect()).await)
}

/// Publishes what can be, in this order and at once, then waits for all.
async fn publish_all(node: &Node, events: Vec<Result<NewEvent, Refusal>>) -> Json<Results> {
    let answers: Vec<_> = events.into_iter().map(|event| event.map(|event| event.publish(node))).collect();
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        let outcome = match answer {
            Ok(answer) => event::settled(answer).await,
            Err(refusal) => Err(refusal),
        };
        results.push(match outcome {
            Ok(published) => Outcome::Published(published),
            Err(refusal) => Outcome::Problem(event::refused(node, refusal)),
        });
    }
    Json(Results { results })
}

fn check_count(field: &str, count: usize) -> Result<(), Refusal> {
    match count {
        1..=MOST => Ok(()),
        _ => Err(event::bad(format!("`{field}` has 1 to {MOST} entries, this one has {count}"))),
    }
}

fn too_large(node: &Node) -> String {
    let most = body_limit(super::single_body(node));
    format!("the body has at most {most} bytes; split it")
}
