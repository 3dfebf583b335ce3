//! Row 8: what connections keep after a large message went through each of them, in and out.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::finding::{Figure, Outcome};
use super::stand::{Setup, Stand};
use super::subject::Subject;
use super::visitors::{Next, Speech, Visitors};
use crate::door::Door;
use crate::frame::{Opcode, write_client};
use crate::socket_io;

/// The message.
const SIZE: usize = 30_000;
/// How long it may take until everybody has heard its own.
const PATIENCE: Duration = Duration::from_secs(40);
/// Until buffers have settled.
const SETTLE: Duration = Duration::from_secs(14);

/// Each of `connections` publishes into a channel of its own and hears it.
///
/// # Errors
/// When the server or a connection fails.
#[expect(clippy::cast_precision_loss, reason = "bytes")]
pub fn measure(stand: &Stand, subject: Subject, connections: u32) -> Result<Outcome> {
    let (server, url) = if subject.is_peer() {
        stand.peers.start(subject, &stand.redis)?
    } else {
        stand.gateway(Setup::Usual)?
    };
    let before = server.memory()?;
    let (text, door) = ("x".repeat(SIZE), subject.door());
    let speech = |number| speech(&url, door, &channel(number), &text);
    let hear = |number, message: &[u8]| hear(door, &channel(number), &text, message);
    let visitors = Visitors::send(&url, connections, PATIENCE, speech, hear).context("echoing")?;
    thread::sleep(SETTLE);
    let bytes = server.memory()?.saturating_sub(before) as f64 / f64::from(connections);
    drop(visitors);
    Ok(Outcome::default().with(Figure::Bytes, bytes))
}

fn channel(number: u32) -> String {
    format!("echo:{number:06}")
}

/// How one comes in, and what it says before it has heard anything.
fn speech(url: &str, door: Door, channel: &str, text: &str) -> Speech {
    let mut frames = Vec::new();
    match door {
        Door::Native => {
            write(&json!({"type": "connect", "id": 1}), &mut frames);
            write(&json!({"type": "subscribe", "id": 2, "channel": channel}), &mut frames);
            Speech::at(url, "/ws", Some("tidegate.v1.json"), frames)
        }
        Door::SocketIo => {
            write_client(Opcode::Text, socket_io::CONNECT, &mut frames);
            Speech::at(url, &socket_io::path(channel), None, frames)
        }
        _ => {
            write_client(Opcode::Text, text.as_bytes(), &mut frames);
            Speech::at(url, &format!("/plain?channel={channel}"), None, frames)
        }
    }
}

/// What one does next. Where the subscription is an answer, who published before would miss itself.
fn hear(door: Door, channel: &str, text: &str, message: &[u8]) -> Result<Next> {
    if message.len() >= SIZE {
        return Ok(Next::Done);
    }
    let mut frames = Vec::new();
    if door == Door::SocketIo {
        if message == socket_io::PING {
            write_client(Opcode::Text, socket_io::PONG, &mut frames);
        } else if socket_io::is_in(message)? {
            let event = format!("42{}", json!(["event", text]));
            write_client(Opcode::Text, event.as_bytes(), &mut frames);
        }
    } else {
        ensure!(!message.starts_with(br#"{"type":"error""#), "refused: {}", String::from_utf8_lossy(message));
        if message.starts_with(br#"{"type":"subscribed""#) {
            write(&json!({"type": "publish", "id": 3, "channel": channel, "data": text}), &mut frames);
        }
    }
    Ok(if frames.is_empty() { Next::Wait } else { Next::Say(frames) })
}

fn write(request: &Value, frames: &mut Vec<u8>) {
    write_client(Opcode::Text, request.to_string().as_bytes(), frames);
}
