//! Reading WebSocket messages without keeping a reader: tungstenite's context is borrowed.
//!
//! When all bytes that were read are whole messages, one context per thread handles them and is
//! empty again. Only a connection in the middle of a message owns one, until the message ends. A
//! context for life would cost 1–64 KiB a connection, since tungstenite never gives buffers back.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::tracker::Tracker;

/// Read buffer of a context. Each look zero-fills what is free, so it is small; longer messages
/// grow it while they last.
const READ_BUFFER: usize = 4 << 10;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A text message.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// The peer closes; our answer is among the replies.
    Close,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// RFC 6455 is violated: close 1002.
    Protocol(String),
    /// A text message is no UTF-8: close 1007.
    Utf8,
    /// A message is longer than allowed: close 1009.
    TooBig(String),
}

/// The reading half of one connection.
#[derive(Default)]
pub(crate) struct Frames {
    tracker: Tracker,
    /// While a frame or message is unfinished.
    own: Option<Box<WebSocketContext>>,
}

thread_local! {
    /// Used within one call only, so connections of one thread can share it.
    static SHARED: RefCell<Option<(usize, WebSocketContext)>> = const { RefCell::new(None) };
}

impl Frames {
    /// Reads `bytes`, which hold any part of the stream. Messages go to `hear`, what the protocol
    /// itself answers (pongs, the close) to `replies` as whole frames. `hear` is given the replies
    /// too: what it appends stands where an answer to its message belongs. It must not read frames.
    ///
    /// # Errors
    /// [`Broken`]: the connection must be closed; what came before was heard.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        most: usize,
        replies: &mut Vec<u8>,
        mut hear: impl FnMut(Heard, &mut Vec<u8>),
    ) -> Result<(), Broken> {
        self.tracker.advance(bytes);
        let result = self.messages(bytes, most, replies, &mut hear);
        if self.tracker.is_padded() && result.is_ok() {
            // RFC 6455 section 5.2; tungstenite lets it pass.
            return Err(Broken::Protocol("a length must be written in the fewest bytes".into()));
        }
        result
    }

    fn messages(
        &mut self,
        bytes: &[u8],
        most: usize,
        replies: &mut Vec<u8>,
        hear: &mut impl FnMut(Heard, &mut Vec<u8>),
    ) -> Result<(), Broken> {
        let whole = self.tracker.is_whole();
        if whole && self.own.is_none() {
            return SHARED.with_borrow_mut(|shared| {
                let (limit, mut context) = shared.take().unwrap_or_else(|| (most, context(most)));
                if limit != most {
                    context = self::context(most); // another node in this process has other limits
                }
                let result = drive(&mut context, bytes, replies, hear);
                if result == Ok(Next::Message) {
                    *shared = Some((most, context)); // after a close or an error it is thrown away
                }
                result.map(drop)
            });
        }
        let context = self.own.get_or_insert_with(|| Box::new(self::context(most)));
        let result = drive(context, bytes, replies, hear);
        if whole {
            self.own = None;
        }
        result.map(drop)
    }

    /// The number of the message that has begun and not ended: until it ends it costs a context.
    pub(crate) fn unfinished(&self) -> Option<u16> {
        self.own.as_ref().map(|_| self.tracker.messages())
    }
}

fn context(most: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 10)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    WebSocketContext::new(Role::Server, Some(config))
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Message,
    Closed,
}

fn drive(
    context: &mut WebSocketContext,
    bytes: &[u8],
    replies: &mut Vec<u8>,
    hear: &mut impl FnMut(Heard, &mut Vec<u8>),
) -> Result<Next, Broken> {
    let mut pipe = Pipe { input: bytes, replies };
    loop {
        match context.read(&mut pipe) {
            // Copied: a message is a slice of the read buffer and would pin it.
            Ok(Message::Text(text)) => {
                hear(Heard::Text(Bytes::copy_from_slice(text.as_bytes())), pipe.replies);
            }
            Ok(Message::Binary(bytes)) => hear(Heard::Binary(Bytes::copy_from_slice(&bytes)), pipe.replies),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => {
                hear(Heard::Close, pipe.replies);
                let _ = context.flush(&mut pipe); // writes our answer, then says that all is closed
                return Ok(Next::Closed);
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = context.flush(&mut pipe); // the pipe takes all
                return Ok(Next::Message);
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(Next::Closed),
            Err(Error::Utf8(_)) => return Err(Broken::Utf8),
            Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size })) => {
                return Err(Broken::TooBig(format!(
                    "a message of {size} bytes, at most {max_size} are allowed"
                )));
            }
            Err(error) => return Err(Broken::Protocol(error.to_string())),
        }
    }
}

/// Reads what was read already; writes to where replies gather. Never blocks a writer.
struct Pipe<'a> {
    input: &'a [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
