//! The doors a connection may come in by: what it asks for there and what it does once let in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way into a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// Bare payloads over WebSocket.
    Plain,
    /// JSON frames over WebSocket.
    Native,
    /// MessagePack frames over WebSocket.
    NativeMsgpack,
    /// Server-sent events.
    Sse,
    /// Not a door of ours: Socket.IO over WebSocket, to measure beside.
    SocketIo,
}

/// Which doors the connections of a run use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doors {
    /// All the same.
    One(Door),
    /// All four in turn, in every channel.
    Mixed,
    /// Those that know positions, in turn: native, native-msgpack, sse.
    Resumable,
}

/// Every connection sends this key (16 bytes, as RFC 6455 4.1 asks), so the accept value to expect is computed once.
pub const KEY: &str = "dGlkZWdhdGUtbG9hZGdlbg==";

impl Door {
    /// Whether clients can say something there: subscribe, leave.
    #[must_use]
    pub fn is_native(self) -> bool {
        matches!(self, Self::Native | Self::NativeMsgpack)
    }

    /// Whether it speaks WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        self != Self::Sse
    }

    /// The HTTP request that opens it. `host` is `address:port`; `since` is where an event stream goes on.
    #[must_use]
    pub fn request(self, host: &str, channels: &[&str], token: Option<&str>, since: Option<&str>) -> String {
        let path = match self {
            Self::Plain => format!("/plain?channel={}", channels.join("&channel=")),
            Self::Sse => format!("/sse?channel={}", channels.join("&channel=")),
            Self::Native | Self::NativeMsgpack => "/ws".to_owned(),
            Self::SocketIo => crate::socket_io::path(&channels.join("&channel=")),
        };
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(token) = token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        if self.is_websocket() {
            request += &format!(
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
            );
        } else {
            request += "Accept: text/event-stream\r\n";
            if let Some(since) = since {
                request += &format!("Last-Event-ID: {since}\r\n");
            }
        }
        match self {
            Self::Native => request += "Sec-WebSocket-Protocol: tidegate.v1.json\r\n",
            Self::NativeMsgpack => request += "Sec-WebSocket-Protocol: tidegate.v1.msgpack\r\n",
            Self::Plain | Self::Sse | Self::SocketIo => {}
        }
        request + "\r\n"
    }
}

impl Doors {
    /// The door of the `nth` connection of a channel, so that every channel has all of them.
    #[must_use]
    pub fn of(self, connection: u32, channels: u32) -> Door {
        match self {
            Self::One(door) => door,
            Self::Mixed => match turn(connection, channels) % 4 {
                0 => Door::Plain,
                1 => Door::Native,
                2 => Door::NativeMsgpack,
                _ => Door::Sse,
            },
            Self::Resumable => match turn(connection, channels) % 3 {
                0 => Door::Native,
                1 => Door::NativeMsgpack,
                _ => Door::Sse,
            },
        }
    }

    /// Whether who comes back by them can say where it was.
    #[must_use]
    pub fn resumable(self) -> bool {
        !matches!(self, Self::Mixed | Self::One(Door::Plain | Door::SocketIo))
    }
}

/// Goes up with each connection of a channel, and begins elsewhere in the next.
fn turn(connection: u32, channels: u32) -> u32 {
    connection % channels.max(1) + connection / channels.max(1)
}

impl FromStr for Doors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "plain" => Self::One(Door::Plain),
            "native" => Self::One(Door::Native),
            "native-msgpack" => Self::One(Door::NativeMsgpack),
            "sse" => Self::One(Door::Sse),
            "mixed" => Self::Mixed,
            "resumable" => Self::Resumable,
            _ => return Err("doors are plain, native, native-msgpack, sse, mixed, resumable".to_owned()),
        })
    }
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(Door::Plain) => "plain",
            Self::One(Door::Native) => "native",
            Self::One(Door::NativeMsgpack) => "native-msgpack",
            Self::One(Door::Sse) => "sse",
            Self::One(Door::SocketIo) => "socket-io",
            Self::Mixed => "mixed",
            Self::Resumable => "resumable",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn mixed_gives_every_channel_every_door() {
        for channels in [1, 3, 4, 8] {
            let mut seen = HashSet::new();
            for connection in 0..channels * 4 {
                let door = Doors::Mixed.of(connection, channels);
                seen.insert((connection % channels, door.request("h", &["c"], None, None)));
            }
            assert_eq!(seen.len() as u32, channels * 4);
        }
    }

    #[test]
    fn the_key_is_sixteen_bytes() {
        assert!(KEY.len() == 24 && KEY.ends_with("==") && !KEY.ends_with("==="));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["plain", "native", "native-msgpack", "sse", "mixed", "resumable"] {
            assert_eq!(name.parse::<Doors>().unwrap().to_string(), name);
        }
        assert!("ws".parse::<Doors>().is_err());
    }

    #[test]
    fn a_bare_door_names_all_channels() {
        let request = Door::Plain.request("127.0.0.1:1", &["a", "b"], Some("t"), None);
        assert!(request.starts_with("GET /plain?channel=a&channel=b HTTP/1.1\r\n"));
        assert!(request.contains("\r\nAuthorization: Bearer t\r\n"));
        assert!(request.ends_with("\r\n\r\n"));
    }

    #[test]
    fn an_event_stream_says_where_it_was() {
        let request = Door::Sse.request("127.0.0.1:1", &["a", "b"], None, Some("17-4,-"));
        assert!(request.contains("\r\nLast-Event-ID: 17-4,-\r\n"), "{request}");
    }
}
