//! `GET /api/v1/channels/{channel}/history`: what a channel remembers.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::value::RawValue;
use tidegate_core::session::Past;
use tidegate_core::{Event, PayloadKind, Position, Refusal};
use tidegate_protocol::encode_base64;

use super::event;
use super::problem::Problem;
use crate::node::Node;

/// Events of one answer, at most and by default. About a megabyte ends it earlier.
const LIMITS: (u32, u32) = (1000, 100);

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    epoch: String,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    events: Vec<Logged<'a>>,
}

#[derive(Serialize)]
struct Logged<'a> {
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    /// As it was published.
    Json(&'a RawValue),
    Text(&'a str),
}

pub(super) async fn history(
    State(node): State<Arc<Node>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let found = async {
        let Path(name) = name.map_err(|error| event::bad(format!("the path: {}", error.body_text())))?;
        let channel = event::channel(&name)?;
        let (since, limit) = asked(query.as_deref().unwrap_or_default())?;
        node.relay.history(channel, since, limit).await
    };
    let past = found.await.map_err(|refusal| event::refused(&node, refusal))?;
    Ok(([("content-type", "application/json")], spell(&past)).into_response())
}

/// `since` and `limit` of a query.
fn asked(query: &str) -> Result<(Option<Position>, u32), Refusal> {
    let (mut since, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy();
        let taken = match name {
            "since" => {
                let position =
                    value.parse::<Position>().map_err(|error| event::bad(format!("`since`: {error}")))?;
                since.replace(position).is_some()
            }
            "limit" => {
                let plain = value.bytes().all(|byte| byte.is_ascii_digit());
                let number = if plain { value.parse().ok() } else { None };
                let Some(number @ 1..=1000) = number else {
                    let most = LIMITS.0;
                    return Err(event::bad(format!("`limit` is a number from 1 to {most}, not {value:?}")));
                };
                limit.replace(number).is_some()
            }
            other => {
                let message = format!("unknown parameter `{other}`: `since` and `limit` are known here");
                return Err(event::bad(message));
            }
        };
        if taken {
            return Err(event::bad(format!("`{name}` is there twice")));
        }
    }
    Ok((since, limit.unwrap_or(LIMITS.1)))
}

fn spell(past: &Past) -> Vec<u8> {
    let answer = Answer {
        epoch: past.top.epoch.to_string(),
        offset: past.top.offset,
        recovered: past.recovered,
        events: past.events.iter().map(logged).collect(),
    };
    // Strings and numbers into memory: it cannot fail.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn logged(event: &Event) -> Logged<'_> {
    let text = event.payload.text();
    let json = match event.payload.kind() {
        PayloadKind::Json => text.and_then(|text| serde_json::from_str(text).ok()).map(Data::Json),
        _ => None,
    };
    let data = json.or(text.map(Data::Text));
    Logged {
        offset: event.position.map_or(0, |position| position.offset),
        data_base64: data.is_none().then(|| encode_base64(event.payload.bytes())),
        data,
        key: event.key.as_deref(),
        from: event.from.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_core::{Epoch, Payload};

    #[test]
    fn a_query_is_understood_or_named() {
        let position = Position { epoch: Epoch::new(1_763_700_000_000, 1), offset: 7 };
        assert_eq!(asked("").unwrap(), (None, 100));
        assert_eq!(asked("limit=1000&since=1763700000000000001-7").unwrap(), (Some(position), 1000));
        assert_eq!(asked("since=1763700000000000001%2D7").unwrap().0, Some(position));
        for (query, words) in [
            ("limit=0", "`limit` is a number from 1 to 1000, not \"0\""),
            ("limit=1001", "not \"1001\""),
            ("limit=+1", "not \"+1\""),
            ("limit=", "not \"\""),
            ("limit=99999999999", "not"),
            ("limit=1&limit=1", "`limit` is there twice"),
            ("since=7", "`since`: \"7\" is no position"),
            ("since=", "no position"),
            ("last=1", "unknown parameter `last`"),
        ] {
            let refusal = asked(query).unwrap_err();
            assert!(refusal.message.contains(words), "{query}: {refusal}");
        }
    }

    #[test]
    fn payloads_are_spelled_by_their_kind() {
        let epoch = Epoch::new(1_763_700_000_000, 1);
        let event = |offset, bytes: &'static [u8]| Event {
            position: Some(Position { epoch, offset }),
            ..Event::live(Payload::new(bytes.into()))
        };
        let events = vec![
            Event { key: Some("k".into()), from: Some("f".into()), ..event(1, b"{\"n\": 1.50}") },
            event(2, b"hello"),
            event(3, b"\xff"),
        ];
        let past = Past { top: Position { epoch, offset: 3 }, recovered: Some(false), events };
        assert_eq!(
            String::from_utf8(spell(&past)).unwrap(),
            r#"{"epoch":"1763700000000000001","offset":3,"recovered":false,"events":["#.to_owned()
                + r#"{"offset":1,"data":{"n": 1.50},"key":"k","from":"f"},"#
                + r#"{"offset":2,"data":"hello"},{"offset":3,"data_base64":"/w=="}]}"#
        );
    }

    proptest! {
        #[test]
        fn any_query_is_answered(query in "(since|limit|x|%)?=?[-0-9%&=+a]{0,30}") {
            if let Err(refusal) = asked(&query) {
                prop_assert!(!refusal.message.is_empty());
            }
        }
    }
}
