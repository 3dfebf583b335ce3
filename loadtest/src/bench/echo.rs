//! Row 8: what connections keep after a large message went through each of them, in and out.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::finding::{Figure, Outcome};
use super::stand::{Setup, Stand};
use super::subject::Subject;
use super::visitors::{Next, Speech, Visitors};
use crate::frame::{Opcode, write_client};

/// The message.
const SIZE: usize = 30_000;
/// Until buffers have settled.
const SETTLE: Duration = Duration::from_secs(14);

/// Each of `connections` publishes into a channel of its own and hears it.
///
/// # Errors
/// When the gateway or a connection fails.
#[expect(clippy::cast_precision_loss, reason = "bytes")]
pub fn measure(stand: &Stand, subject: Subject, connections: u32) -> Result<Outcome> {
    let (server, url) = stand.gateway(Setup::Usual)?;
    let before = server.memory()?;
    let text = "x".repeat(SIZE);
    let native = subject == Subject::Native;
    let speech = |number| {
        let channel = channel(number);
        let mut frames = Vec::new();
        if native {
            write(&json!({"type": "connect", "id": 1}), &mut frames);
            write(&json!({"type": "subscribe", "id": 2, "channel": channel}), &mut frames);
            Speech::at(&url, "/ws", Some("tidegate.v1.json"), frames)
        } else {
            write_client(Opcode::Text, text.as_bytes(), &mut frames);
            Speech::at(&url, &format!("/plain?channel={channel}"), None, frames)
        }
    };
    let hear = |number, message: &[u8]| {
        if message.len() >= SIZE {
            return Ok(Next::Done);
        }
        if !message.starts_with(br#"{"type":"subscribed""#) {
            ensure!(
                !message.starts_with(br#"{"type":"error""#),
                "refused: {}",
                String::from_utf8_lossy(message)
            );
            return Ok(Next::Wait);
        }
        // What is published before the subscription stands would be missed.
        let mut frames = Vec::new();
        write(&json!({"type": "publish", "id": 3, "channel": channel(number), "data": text}), &mut frames);
        Ok(Next::Say(frames))
    };
    let visitors =
        Visitors::send(&url, connections, Duration::from_secs(25), speech, hear).context("echoing")?;
    thread::sleep(SETTLE);
    let bytes = server.memory()?.saturating_sub(before) as f64 / f64::from(connections);
    drop(visitors);
    Ok(Outcome::default().with(Figure::Bytes, bytes))
}

fn channel(number: u32) -> String {
    format!("echo:{number:06}")
}

fn write(request: &Value, frames: &mut Vec<u8>) {
    write_client(Opcode::Text, request.to_string().as_bytes(), frames);
}
