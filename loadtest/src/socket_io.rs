//! Socket.IO as the generator needs it, to measure beside: how a client comes in over WebSocket, its
//! heartbeat, and how its Redis emitter publishes. Engine.IO 4, Socket.IO protocol 5.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

/// What a client says first: it joins the main namespace.
pub const CONNECT: &[u8] = b"40";
/// The server's heartbeat.
pub const PING: &[u8] = b"2";
/// Its answer.
pub const PONG: &[u8] = b"3";

#[derive(Serialize)]
struct Packet<'a> {
    r#type: u8,
    data: (&'a str, String),
    nsp: &'a str,
}

#[derive(Serialize)]
struct Options<'a> {
    rooms: [&'a str; 1],
    except: [&'a str; 0],
    flags: BTreeMap<&'a str, bool>,
}

/// The address; the peer's script takes the room from it.
#[must_use]
pub fn path(room: &str) -> String {
    format!("/socket.io/?EIO=4&transport=websocket&channel={room}")
}

/// Whether a frame says that the namespace was joined.
///
/// # Errors
/// When it was refused.
pub fn is_in(payload: &[u8]) -> Result<bool> {
    if payload.starts_with(b"44") {
        bail!("refused: {}", String::from_utf8_lossy(payload));
    }
    Ok(payload.starts_with(CONNECT))
}

/// The Redis channel that the adapter of every server listens to.
#[must_use]
pub fn channel(room: &str) -> String {
    format!("socket.io#/#{room}#")
}

/// What the emitter publishes there for `to(room).emit("event", text)`; `payload` is the text as JSON.
///
/// # Errors
/// When it is no JSON string.
pub fn packet(room: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let packet = Packet { r#type: 2, data: ("event", serde_json::from_slice(payload)?), nsp: "/" };
    let options = Options { rooms: [room], except: [], flags: BTreeMap::new() };
    Ok(rmp_serde::to_vec_named(&("emitter", packet, options))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_three_parts_as_the_adapter_reads_them() {
        let packet = packet("a", b"\"tg1:\"").unwrap();
        let (uid, packet, options): (String, serde_json::Value, serde_json::Value) =
            rmp_serde::from_slice(&packet).unwrap();
        assert_eq!(uid, "emitter");
        assert_eq!(packet, serde_json::json!({"type": 2, "data": ["event", "tg1:"], "nsp": "/"}));
        assert_eq!(options, serde_json::json!({"rooms": ["a"], "except": [], "flags": {}}));
    }

    #[test]
    fn who_is_refused_is_told() {
        assert!(is_in(br#"40{"sid":"x"}"#).unwrap());
        assert!(!is_in(br#"0{"sid":"x"}"#).unwrap());
        assert!(is_in(br#"44{"message":"no"}"#).is_err());
    }
}
