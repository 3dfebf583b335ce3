//! Doors: how clients come in. Each turns bytes into inputs of a session, and replies into bytes.
//!
//! A new door is a file or folder here, an arm of [`Door`], and a format in `wire`. A door knows
//! its protocol and nothing of the hub, the broker or sockets.

#[cfg(any(test, feature = "echo"))]
mod echo;
mod native;
mod plain;
mod sse;
pub(crate) mod websocket;

use bytes::Bytes;
use tidegate_core::Close;
use tidegate_core::session::Reply;

use crate::connection::Inbound;
#[cfg(any(test, feature = "echo"))]
pub(crate) use echo::Echo;
pub(crate) use native::{Greeting, Native, encode as encode_native};
pub(crate) use plain::Plain;
pub(crate) use sse::Sse;

/// What a door makes of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A frame, behind what waits.
    Frame(Bytes),
    /// The head of the response, before what gathered meanwhile.
    Head(Bytes),
    /// Another response altogether, instead of the head and of what gathered.
    Instead(Close, Bytes),
}

/// The door of one connection, with what it must remember.
pub(crate) enum Door {
    /// Frames with ids and replies, JSON or MessagePack over WebSocket.
    Native(Native),
    /// Bare payloads over WebSocket.
    Plain(Plain),
    /// Server-sent events.
    Sse(Sse),
    /// What comes in, goes out.
    #[cfg(any(test, feature = "echo"))]
    Echo(Echo),
}

/// The doors' names, as metrics label them.
#[cfg(not(any(test, feature = "echo")))]
pub(crate) const NAMES: [&str; 3] = ["native", "plain", "sse"];
/// The doors' names, and that of the one which the product does not have.
#[cfg(any(test, feature = "echo"))]
pub(crate) const NAMES: [&str; 4] = ["native", "plain", "sse", "echo"];

impl Door {
    /// Its place in [`NAMES`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Native(_) => 0,
            Self::Plain(_) => 1,
            Self::Sse(_) => 2,
            #[cfg(any(test, feature = "echo"))]
            Self::Echo(_) => 3,
        }
    }

    /// Makes inputs of bytes: any part of the stream, in order.
    pub(crate) fn read(&mut self, bytes: &[u8], inbound: &mut Inbound) {
        match self {
            Self::Native(native) => native.read(bytes, inbound),
            Self::Plain(plain) => plain.read(bytes, inbound),
            Self::Sse(_) => {} // whoever sends into an event stream is not heard
            #[cfg(any(test, feature = "echo"))]
            Self::Echo(echo) => echo.read(bytes, inbound),
        }
    }

    /// The number of the client's message that has begun and not ended; the next has another.
    pub(crate) fn unfinished(&self) -> Option<u16> {
        match self {
            Self::Native(native) => native.unfinished(),
            Self::Plain(plain) => plain.unfinished(),
            Self::Sse(_) => None,
            #[cfg(any(test, feature = "echo"))]
            Self::Echo(echo) => echo.unfinished(),
        }
    }

    /// Makes bytes of a reply; none where this door has no words for it.
    pub(crate) fn reply(&mut self, reply: &Reply) -> Option<Said> {
        match self {
            Self::Native(native) => native.reply(reply).map(Said::Frame),
            Self::Plain(plain) => plain.reply(reply),
            Self::Sse(sse) => sse.reply(reply),
            #[cfg(any(test, feature = "echo"))]
            Self::Echo(echo) => echo.reply(reply),
        }
    }
}
