//! Who is measured: the gateway by one of its doors, a floor, or a peer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::door::Door;

/// One server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The floor server.
    Floor,
    /// The room floor.
    RoomFloor,
    /// The gateway's plain door.
    Plain,
    /// The gateway's native door, JSON.
    Native,
    /// The gateway's plain door, with Redis read in a paced way.
    Paced,
    /// Bun's built-in server.
    Bun,
    /// Socket.IO with its Redis adapter.
    SocketIo,
    /// Redis alone.
    Redis,
}

impl Subject {
    /// The door its subscribers come in by.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Self::Native => Door::Native,
            Self::SocketIo => Door::SocketIo,
            _ => Door::Plain,
        }
    }

    /// Whether it is somebody else's server.
    #[must_use]
    pub fn is_peer(self) -> bool {
        matches!(self, Self::Bun | Self::SocketIo)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Floor => "floor",
            Self::RoomFloor => "room floor",
            Self::Plain => "plain",
            Self::Native => "native JSON",
            Self::Paced => "plain, paced",
            Self::Bun => "Bun",
            Self::SocketIo => "Socket.IO",
            Self::Redis => "Redis",
        })
    }
}
