//! What a native connection says and hears before its first event: connect, subscribe, replies.

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
}

#[derive(Deserialize)]
struct Reply {
    r#type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
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
pub fn frames(door: Door, channels: &[&str]) -> Result<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    if door == Door::SocketIo {
        write_client(Opcode::Text, socket_io::CONNECT, &mut out);
        return Ok((out, 1));
    }
    if !matches!(door, Door::Native | Door::NativeMsgpack) {
        return Ok((out, 0));
    }
    let connect = Request { r#type: "connect", id: 1, channel: None };
    let subscribes =
        (2..).zip(channels).map(|(id, channel)| Request { r#type: "subscribe", id, channel: Some(channel) });
    for request in std::iter::once(connect).chain(subscribes) {
        if door == Door::NativeMsgpack {
            write_client(Opcode::Binary, &rmp_serde::to_vec_named(&request)?, &mut out);
        } else {
            write_client(Opcode::Text, &serde_json::to_vec(&request)?, &mut out);
        }
    }
    Ok((out, 1 + channels.len()))
}

/// Reads one frame while replies are awaited.
///
/// # Errors
/// When the server refuses, or says what cannot be read.
pub fn hear(door: Door, payload: &[u8]) -> Result<Heard> {
    if door == Door::SocketIo {
        return Ok(if socket_io::is_in(payload)? { Heard::Agreed } else { Heard::Other });
    }
    let reply: Reply = match door {
        Door::NativeMsgpack => rmp_serde::from_slice(payload)?,
        _ => serde_json::from_slice(payload)?,
    };
    match reply.r#type.as_str() {
        "connected" | "subscribed" => Ok(Heard::Agreed),
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
        let packed = rmp_serde::to_vec_named(&Request { r#type: "connected", id: 1, channel: None }).unwrap();
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
        assert_eq!(frames(Door::Plain, &["a"]).unwrap(), (Vec::new(), 0));
        assert_eq!(frames(Door::Native, &["a", "b"]).unwrap().1, 3);
    }
}
