//! Where frames and messages end in a stream of bytes, in 24 bytes of state.
//!
//! It only counts: whether a frame is valid is tungstenite's to say, save that it does not look at how
//! a length is written. It answers one question: is everything read so far whole? Then the connection
//! needs no buffer of its own.

/// The longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;

/// Follows frame boundaries.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Bytes of the current frame's payload that are still to come.
    payload_left: u64,
    /// What has come of a header so far; the mask's bytes are counted, never looked at.
    header: [u8; 10],
    header_len: u8,
    /// A fragmented message is open: its last frame has not begun.
    message_open: bool,
    /// How many messages have begun, wrapping; control frames between fragments are part of theirs.
    messages: u16,
    /// A length was written in more bytes than it needs.
    padded: bool,
}

impl Tracker {
    /// Whether no frame and no message is unfinished.
    pub(super) fn is_whole(&self) -> bool {
        self.payload_left == 0 && self.header_len == 0 && !self.message_open
    }

    /// Whether some length was written in more bytes than it needs.
    pub(super) fn is_padded(&self) -> bool {
        self.padded
    }

    /// How many messages have begun, wrapping.
    pub(super) fn messages(&self) -> u16 {
        self.messages
    }

    /// Passes over `bytes`.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            let at = usize::from(self.header_len);
            if at < self.header.len() {
                self.header[at] = bytes[0];
            }
            if at == 0 && bytes[0] & 0x0f != 0 && !self.message_open {
                // Already here: who lingers in a header has no time of its own for that.
                self.messages = self.messages.wrapping_add(1);
            }
            self.header_len += 1;
            bytes = &bytes[1..];
            if usize::from(self.header_len) >= self.header_bytes() {
                self.begin_payload();
            }
        }
    }

    /// How long the current header is, as far as can be told.
    fn header_bytes(&self) -> usize {
        if self.header_len < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 != 0 { 4 } else { 0 };
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        debug_assert!(2 + length + mask <= MAX_HEADER);
        2 + length + mask
    }

    fn begin_payload(&mut self) {
        let h = &self.header;
        self.payload_left = match h[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([h[2], h[3]])),
            127 => u64::from_be_bytes([h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9]]),
            short => u64::from(short),
        };
        self.padded |= match h[1] & 0x7f {
            126 => self.payload_left < 126,
            127 => self.payload_left <= 0xffff,
            _ => false,
        };
        let (fin, opcode) = (h[0] & 0x80 != 0, h[0] & 0x0f);
        if opcode < 0x8 {
            self.message_open = !fin; // control frames may stand between fragments
        }
        self.header_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(0x80 | payload as u8),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        frame.resize(frame.len() + payload, 0);
        frame
    }

    #[test]
    fn whole_only_between_messages_however_the_bytes_come() {
        let stream = [
            (frame(0x81, 5), true),
            (frame(0x81, 0), true),
            (frame(0x01, 200), false), // a message begins
            (frame(0x89, 3), false),   // a ping between its fragments
            (frame(0x00, 0), false),
            (frame(0x80, 70_000), true),
        ];
        for piece in [1, 2, 7, 100, usize::MAX] {
            let mut tracker = Tracker::default();
            for (frame, whole) in &stream {
                let mut sent = 0;
                for chunk in frame.chunks(piece.min(frame.len())) {
                    tracker.advance(chunk);
                    sent += chunk.len();
                    assert_eq!(tracker.is_whole(), sent == frame.len() && *whole, "{piece}");
                }
            }
        }
    }

    #[test]
    fn a_message_keeps_its_number_until_the_next_begins() {
        let mut tracker = Tracker::default();
        for (first, number) in
            [(0x81, 1), (0x89, 2), (0x01, 3), (0x89, 3), (0x00, 3), (0x8a, 3), (0x80, 3), (0x82, 4)]
        {
            tracker.advance(&frame(first, 3));
            assert_eq!(tracker.messages(), number, "{first:x}");
        }
        tracker.advance(&[0x81]);
        assert_eq!(tracker.messages(), 5, "it begins with its first byte");
        tracker.advance(&frame(0x81, 3)[1..]);
        assert_eq!(tracker.messages(), 5);
        assert_eq!(std::mem::size_of::<Tracker>(), 24, "every connection has one");
    }

    #[test]
    fn a_declared_length_of_2_to_the_63_is_only_a_number() {
        let mut tracker = Tracker::default();
        tracker.advance(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 9]);
        assert!(!tracker.is_whole());
    }
}
