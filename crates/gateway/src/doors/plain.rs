//! The plain door: bare payloads over WebSocket. What a client sends goes into its first channel.

use bytes::Bytes;
use tidegate_core::session::{Input, Reply};

use super::Said;
use super::websocket::{Frames, Heard};
use crate::connection::{End, Inbound};
use crate::front::refusal_response;

/// One connection of the plain door.
pub(crate) struct Plain {
    frames: Frames,
    message_bytes: usize,
    /// The 101 and the welcome, until every channel is confirmed.
    head: Option<Bytes>,
}

impl Plain {
    pub(crate) fn new(head: Bytes, message_bytes: usize) -> Self {
        Self { frames: Frames::default(), message_bytes, head: Some(head) }
    }

    pub(crate) fn read(&mut self, bytes: &[u8], inbound: &mut Inbound) {
        let Inbound { inputs, replies, end } = inbound;
        let result = self.frames.read(bytes, self.message_bytes, replies, |message, _| match message {
            Heard::Close => *end = Some(End::Goodbye),
            Heard::Text(payload) | Heard::Binary(payload) => {
                inputs.push(Input::Publish { id: None, channel: None, payload, key: None });
            }
        });
        if let Err(broken) = result {
            *end = Some(broken.into());
        }
    }

    pub(crate) fn unfinished(&self) -> Option<u16> {
        self.frames.unfinished()
    }

    pub(crate) fn reply(&mut self, reply: &Reply) -> Option<Said> {
        opening(&mut self.head, reply)
    }
}

/// What a bare door says: its head once all is confirmed, or another response instead. After that
/// it has no words but the close.
pub(super) fn opening(head: &mut Option<Bytes>, reply: &Reply) -> Option<Said> {
    match reply {
        Reply::Opened => head.take().map(Said::Head),
        Reply::Refused { refusal, .. } => head.take().map(|_| refusal_response(refusal)),
        _ => None,
    }
}
