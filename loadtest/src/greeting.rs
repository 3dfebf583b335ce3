//! What a native connection says and hears beside events: connect, subscribe, unsubscribe, replies.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::door::Door;
use crate::frame::{Opcode, write_client};
use crate::socket_io;

#[derive(Serialize)]
struct Request<'a> {
    r#type: &'a str,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a Position>,
}

/// How far a client is in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, as the server wrote it.
    pub epoch: String,
    /// The number of the last event.
    pub offset: u64,
}

/// What the generator reads of a frame that is no event.
#[derive(Debug, Default, Deserialize)]
pub struct Reply {
    /// What it is.
    pub r#type: String,
    /// Of an error.
    #[serde(default)]
    pub code: String,
    /// Of an error.
    #[serde(default)]
    pub message: String,
    /// Which request it answers.
    pub id: Option<u64>,
    /// Whose position it tells.
    pub channel: Option<String>,
    /// Of the position.
    pub epoch: Option<String>,
    /// Of the position.
    pub offset: Option<u64>,
    /// Whether nothing is missing; only where it was asked for.
    pub recovered: Option<bool>,
}

/// What a frame meant for the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// One of the awaited replies.
    Agreed,
    /// Something else: an event, a ping.
    Other,
}

/// The frames to send at once after the upgrade, and how many replies to wait for.
///
/// # Errors
/// When a request cannot be encoded, which none of these is.
pub fn frames(
    door: Door,
    channels: &[&str],
    since: impl Fn(&str) -> Option<Position>,
) -> Result<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    if door == Door::SocketIo {
        write_client(Opcode::Text, socket_io::CONNECT, &mut out);
        return Ok((out, 1));
    }
    if !door.is_native() {
        return Ok((out, 0));
    }
    ask(door, Request { r#type: "connect", id: 1, channel: None, since: None }, &mut out)?;
    for (id, channel) in (2..).zip(channels) {
        let since = since(channel);
        ask(
            door,
            Request { r#type: "subscribe", id, channel: Some(channel), since: since.as_ref() },
            &mut out,
        )?;
    }
    Ok((out, 1 + channels.len()))
}

/// The frames to leave these channels, or to join them, each of which is answered. `id` is the next that is free.
///
/// # Errors
/// When a request cannot be encoded, which none of these is.
pub fn about(door: Door, r#type: &str, channels: &[String], id: &mut u32) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for channel in channels {
        ask(door, Request { r#type, id: *id, channel: Some(channel), since: None }, &mut out)?;
        *id = id.wrapping_add(1);
    }
    Ok(out)
}

fn ask(door: Door, request: Request<'_>, out: &mut Vec<u8>) -> Result<()> {
    if door == Door::NativeMsgpack {
        write_client(Opcode::Binary, &rmp_serde::to_vec_named(&request)?, out);
    } else {
        write_client(Opcode::Text, &serde_json::to_vec(&request)?, out);
    }
    Ok(())
}

/// Reads a frame that is no event.
///
/// # Errors
/// When it is none of the codec's.
pub fn read(door: Door, payload: &[u8]) -> Result<Reply> {
    Ok(match door {
        Door::NativeMsgpack => rmp_serde::from_slice(payload)?,
        _ => serde_json::from_slice(payload)?,
    })
}

/// Reads one frame while replies are awaited.
///
/// # Errors
/// When the server refuses, or says what cannot be read.
pub fn hear(door: Door, payload: &[u8]) -> Result<Heard> {
    if door == Door::SocketIo {
        return Ok(if socket_io::is_in(payload)? { Heard::Agreed } else { Heard::Other });
    }
    let reply = read(door, payload)?;
    match reply.r#type.as_str() {
        "connected" | "subscribed" | "ok" => Ok(Heard::Agreed),
        "error" => bail!("refused: {} ({})", reply.code, reply.message),
        _ => Ok(Heard::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_understood_in_both_codecs() {
        let json = br#"{"type":"subscribed","id":2,"channel":"a","limits":{"channels":1}}"#;
        assert_eq!(hear(Door::Native, json).unwrap(), Heard::Agreed);
        let event = br#"{"type":"event","channel":"a","data":[1,2]}"#;
        assert_eq!(hear(Door::Native, event).unwrap(), Heard::Other);
        let packed =
            rmp_serde::to_vec_named(&Request { r#type: "connected", id: 1, channel: None, since: None })
                .unwrap();
        assert_eq!(hear(Door::NativeMsgpack, &packed).unwrap(), Heard::Agreed);
    }

    #[test]
    fn a_refusal_names_its_code() {
        let error =
            hear(Door::Native, br#"{"type":"error","id":2,"code":"forbidden","message":"no"}"#).unwrap_err();
        assert_eq!(error.to_string(), "refused: forbidden (no)");
        assert!(hear(Door::Native, b"not json").is_err());
    }

    #[test]
    fn one_reply_is_awaited_for_each_request() {
        assert_eq!(frames(Door::Plain, &["a"], |_| None).unwrap(), (Vec::new(), 0));
        assert_eq!(frames(Door::Native, &["a", "b"], |_| None).unwrap().1, 3);
    }
}
