//! The echo door: what it hears, it says. Not in the product: conformance suites speak to an echo.
//!
//! It reads, closes and writes as the other WebSocket doors do, through the same frames, outbox and
//! task, so what a suite finds here holds for them. Its session has nobody's rights and no channel.

use tidegate_core::session::Reply;

use super::Said;
use super::websocket::{Frames, Heard, Opcode};
use crate::connection::{End, Inbound};
use crate::wire::write_frame;

/// One connection of the echo door.
pub(crate) struct Echo {
    frames: Frames,
    message_bytes: usize,
}

impl Echo {
    pub(crate) fn new(message_bytes: usize) -> Self {
        Self { frames: Frames::default(), message_bytes }
    }

    pub(crate) fn read(&mut self, bytes: &[u8], inbound: &mut Inbound) {
        let Inbound { replies, end, .. } = inbound;
        // The echo stands where its message came among pings and the close.
        let result = self.frames.read(bytes, self.message_bytes, replies, |message, replies| match message {
            Heard::Text(payload) => write_frame(replies, Opcode::Text, &payload),
            Heard::Binary(payload) => write_frame(replies, Opcode::Binary, &payload),
            Heard::Close => *end = Some(End::Goodbye),
        });
        if let Err(broken) = result {
            *end = Some(broken.into());
        }
    }

    pub(crate) fn unfinished(&self) -> Option<u16> {
        self.frames.unfinished()
    }

    pub(crate) fn reply(&mut self, _: &Reply) -> Option<Said> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame of a client; a mask of zeros changes nothing.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn echoes_keep_their_kind_and_their_place_among_pings_and_the_close() {
        let (mut echo, mut inbound) = (Echo::new(100), Inbound::default());
        let one = [frame(0x81, b"a"), frame(0x89, b"p"), frame(0x02, b"b"), frame(0x89, b"q")].concat();
        let two = [frame(0x80, b"c"), frame(0x88, &[])].concat();
        echo.read(&[one, two].concat(), &mut inbound);
        assert_eq!(inbound.replies, b"\x81\x01a\x8a\x01p\x8a\x01q\x82\x02bc\x88\x00");
        assert_eq!((inbound.end, inbound.inputs.len()), (Some(End::Goodbye), 0));
    }
}
