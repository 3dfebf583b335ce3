//! `tidegate publish`: one event over HTTP, from the command line into a channel.

use std::env::VarError;
use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Map, Value, json};
use tidegate_protocol::{MAX_KEY, decode_base64, encode_base64};

use crate::exit::Exit;
use crate::{http, print};

/// Where the key is looked for when it is not given.
const KEY: &str = "TIDEGATE_SERVER__ADMIN_KEY";

/// The most that is read of standard input, in bytes: no node takes a larger event.
const MOST: u64 = 64 << 20;

/// What to publish and where.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The channel, such as chat:1
    channel: String,
    /// The event. JSON is sent as it is, other text as a JSON string; `-` reads standard input
    /// (where bytes that are no text are sent as they are)
    #[arg(allow_negative_numbers = true)]
    data: String,
    /// The node's admin port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// DATA is base64 of the bytes to send
    #[arg(long)]
    base64: bool,
    /// The node's server.admin_key [default: TIDEGATE_SERVER__ADMIN_KEY, if set]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Makes it safe to publish the same again: 1 to 128 visible characters. A second publish with this key answers
    /// the position of the first
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<String>,
}

/// Runs `tidegate publish`.
pub(crate) fn publish(args: PublishArgs) -> Result<ExitCode, Exit> {
    let key = match args.key.clone() {
        None => env_key().map_err(Exit::configuration)?,
        key => key,
    };
    let endpoint = http::Endpoint::parse(&args.admin, key.as_deref()).map_err(Exit::configuration)?;
    let body = body(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Exit::failed)?;
    let request = http::post(endpoint, "/api/v1/publish", args.idempotency_key.as_deref(), body);
    let (status, answer) = runtime.block_on(request).map_err(Exit::failed)?;
    print::line(&understand(status, &answer).map_err(Exit::failed)?);
    Ok(ExitCode::SUCCESS)
}

fn idempotency_key(text: &str) -> Result<String, String> {
    match text.len() {
        1..=MAX_KEY if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        1..=MAX_KEY => Err("only visible characters of ASCII can stand in its header".into()),
        length => Err(format!("it has 1 to {MAX_KEY} characters, this one has {length}")),
    }
}

fn env_key() -> anyhow::Result<Option<String>> {
    match std::env::var(KEY) {
        Ok(key) => Ok(Some(key)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(anyhow!("{KEY} is not UTF-8")),
    }
}

fn body(args: &PublishArgs) -> Result<String, Exit> {
    let (data, piped) = if args.data == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
        if read.context("cannot read standard input").map_err(Exit::failed)? as u64 > MOST {
            let message = "standard input has more than 64 MiB, which is more than limits.event can allow";
            return Err(Exit::configuration(anyhow!(message)));
        }
        (bytes, true)
    } else {
        (args.data.clone().into_bytes(), false)
    };
    let mut event = payload(data, args.base64, piped).map_err(|why| Exit::configuration(anyhow!(why)))?;
    let channel = Value::from(args.channel.as_str());
    event.insert_str(0, &format!(r#"{{"channel":{channel},"#));
    event.push('}');
    Ok(event)
}

/// The field that carries the event. JSON is not re-encoded, so it stays what was typed.
fn payload(data: Vec<u8>, base64: bool, piped: bool) -> Result<String, String> {
    let field = |name: &str, value: Value| format!("{}:{value}", json!(name));
    let text = match String::from_utf8(data) {
        Ok(text) => text,
        Err(_) if base64 => return Err("standard input is no base64".into()),
        Err(error) => return Ok(field("data_base64", encode_base64(error.as_bytes()).into())),
    };
    if base64 {
        let text = text.trim();
        decode_base64(text).map_err(|error| error.replace("`data_base64`", "DATA"))?;
        return Ok(field("data_base64", text.into()));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
        return Ok(format!(r#""data":{}"#, text.trim()));
    }
    // `echo hello | …` means hello, not hello and a line feed.
    let text = if piped { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
    Ok(field("data", text.into()))
}

/// What the node's answer means.
fn understand(status: u16, answer: &[u8]) -> anyhow::Result<String> {
    let answer: Map<String, Value> = serde_json::from_slice(answer)
        .map_err(|_| anyhow!("the answer ({status}) is none of a node: is --admin its admin port?"))?;
    if status == 200 {
        return Ok(match (&answer.get("epoch"), &answer.get("offset")) {
            (Some(Value::String(epoch)), Some(Value::Number(offset))) => format!("{epoch}-{offset}"),
            _ => "published (live)".into(),
        });
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let sentence = text("detail").or_else(|| text("title")).unwrap_or("the node refused");
    Err(anyhow!("{sentence} ({}, HTTP {status})", text("code").unwrap_or("no code")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_as_typed_and_text_as_a_string() {
        for (data, piped, field) in [
            (r#"{"n": 1.50}"#, false, r#""data":{"n": 1.50}"#),
            ("-5", false, r#""data":-5"#),
            ("hello", false, r#""data":"hello""#),
            ("say \"hi\"", false, r#""data":"say \"hi\"""#),
            ("", false, r#""data":"""#),
            ("hello\n", true, r#""data":"hello""#),
            ("{\"a\":1}\n", true, r#""data":{"a":1}"#),
        ] {
            assert_eq!(payload(data.into(), false, piped).as_deref(), Ok(field));
        }
        assert_eq!(payload(vec![0xff], false, true).as_deref(), Ok(r#""data_base64":"/w==""#));
    }

    #[test]
    fn keys_are_checked_here() {
        assert_eq!(idempotency_key("order-42"), Ok("order-42".into()));
        for (key, why) in
            [("", "this one has 0"), (&*"k".repeat(129), "has 129"), ("a b", "visible"), ("é", "ASCII")]
        {
            assert!(idempotency_key(key).unwrap_err().contains(why), "{key}");
        }
    }

    #[test]
    fn base64_is_checked_here() {
        assert_eq!(payload("AP8=\n".into(), true, true).as_deref(), Ok(r#""data_base64":"AP8=""#));
        assert!(payload("AP8".into(), true, false).unwrap_err().starts_with("DATA is no base64"));
    }

    #[test]
    fn answers_become_one_line() {
        assert_eq!(understand(200, br#"{"epoch":null,"offset":null}"#).unwrap(), "published (live)");
        let durable = br#"{"epoch":"1700000000000000001","offset":7}"#;
        assert_eq!(understand(200, durable).unwrap(), "1700000000000000001-7");
        let problem = br#"{"title":"Service Unavailable","status":503,"detail":"the broker does not answer; try again","code":"unavailable"}"#;
        assert_eq!(
            understand(503, problem).unwrap_err().to_string(),
            "the broker does not answer; try again (unavailable, HTTP 503)"
        );
        assert!(understand(404, b"<html>").is_err());
    }
}
