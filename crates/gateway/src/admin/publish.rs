//! `POST /api/v1/publish`: a backend publishes one event.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Refusal};

use super::event::{self, NewEvent, Published};
use super::problem::Problem;
use crate::node::Node;

/// The body of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    channel: String,
    #[serde(default, deserialize_with = "event::some")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
}

pub(super) async fn publish(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Published>, Problem> {
    let published = async {
        let most = node.policy.limits.event_bytes;
        let fields = event::parse(body, || format!("`data` has at most {most} bytes (limits.event)"))?;
        let (channel, payload) = read(fields, most)?;
        let key = event::key_of(&headers)?;
        event::settled(NewEvent { channel, payload, key }.publish(&node)).await
    };
    published.await.map(Json).map_err(|refusal| event::refused(&node, refusal))
}

fn read(fields: Fields, most: usize) -> Result<(ChannelName, Bytes), Refusal> {
    let channel = event::channel(&fields.channel)?;
    let payload = event::payload(fields.data, fields.data_base64.as_deref(), most)?;
    Ok((channel, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidegate_core::Reason;

    fn parse(body: &[u8], most: usize) -> Result<(ChannelName, Bytes), Refusal> {
        read(event::read(body)?, most)
    }

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
