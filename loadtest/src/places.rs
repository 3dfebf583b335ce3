//! Where a connection is in each of its channels, so that it can come back and go on there.
//!
//! Only runs with storms keep places. Frames come in beside the ear, which judges what is in them; what
//! leaves is `since`. It knows the wire, not sockets.

use crate::door::Door;
use crate::greeting::{self, Position};
use crate::stamp::Stamp;

/// The places of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// By channel's number: its name and how far it is.
    native: Vec<(u32, String, Position)>,
    /// The last `id:` of an event stream: a position, or a list of them.
    stream: Option<String>,
}

impl Places {
    /// Of nothing yet, in these channels.
    #[must_use]
    pub fn new(channels: impl IntoIterator<Item = (u32, String)>) -> Self {
        let native = channels.into_iter().map(|(number, name)| (number, name, Position::default()));
        Self { native: native.collect(), stream: None }
    }

    /// What the native door takes as `since`.
    #[must_use]
    pub fn since(&self, name: &str) -> Option<Position> {
        let (_, _, position) = self.native.iter().find(|(_, known, _)| known == name)?;
        (!position.epoch.is_empty()).then(|| position.clone())
    }

    /// What the event stream takes as `Last-Event-ID`.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// Takes note of one frame or block. Returns whether the server said that it could not give what was missed.
    pub fn note(&mut self, door: Door, frame: &[u8]) -> bool {
        if door == Door::Sse {
            return self.note_block(frame);
        }
        let mut from = 0;
        // A reply with events tells the epoch; events follow it in the same frame.
        let lost = !is_event(frame) && self.note_reply(door, frame);
        while let Some((at, stamp)) = Stamp::find(frame, from, from) {
            if let (Some(offset), Some((_, _, position))) = (
                offset_before(&frame[from..at]),
                self.native.iter_mut().find(|(number, ..)| *number == stamp.channel),
            ) {
                position.offset = position.offset.max(offset);
            }
            from = at + crate::stamp::SMALLEST;
        }
        lost
    }

    fn note_reply(&mut self, door: Door, frame: &[u8]) -> bool {
        let Ok(reply) = greeting::read(door, frame) else { return false };
        let (Some(channel), Some(epoch), Some(offset)) = (reply.channel, reply.epoch, reply.offset) else {
            return false;
        };
        if let Some((_, _, position)) = self.native.iter_mut().find(|(_, name, _)| *name == channel) {
            *position = Position { epoch, offset };
        }
        reply.recovered == Some(false) || reply.r#type == "gap"
    }

    fn note_block(&mut self, block: &[u8]) -> bool {
        let id = block.split(|&byte| byte == b'\n').rev().find_map(|line| line.strip_prefix(b"id: "));
        if let Some(id) = id {
            self.stream = Some(String::from_utf8_lossy(id).into_owned());
        }
        block.starts_with(b"event: gap")
    }
}

/// Whether a native frame is an event, in either codec: by far the most are.
fn is_event(frame: &[u8]) -> bool {
    let head = &frame[..frame.len().min(24)];
    head.windows(6).any(|window| window == b"event\"" || window == b"\xa5event")
}

/// The number behind the last `offset` of these bytes, in JSON or MessagePack.
fn offset_before(bytes: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"offset";
    let at = bytes.windows(NAME.len()).rposition(|window| window == NAME)? + NAME.len();
    let value = &bytes[at..];
    if let Some(digits) = value.strip_prefix(b"\":") {
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        return std::str::from_utf8(&digits[..end]).ok()?.parse().ok();
    }
    let number = |count: usize| {
        let bytes = value.get(1..=count)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    match *value.first()? {
        small @ 0..=0x7f => Some(u64::from(small)),
        0xcc => number(1),
        0xcd => number(2),
        0xce => number(4),
        0xcf => number(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(sequence: u64) -> String {
        let mut payload = Vec::new();
        Stamp { run: 7, channel: 1, sequence, due: 40 }.write(60, &mut payload);
        String::from_utf8(payload).unwrap()
    }

    fn places() -> Places {
        Places::new([(0, "load:a".to_owned()), (1, "load:b".to_owned())])
    }

    #[test]
    fn a_native_client_goes_on_after_its_last_event() {
        let mut places = places();
        assert_eq!(places.since("load:b"), None);
        let reply = r#"{"type":"subscribed","id":2,"channel":"load:b","epoch":"17","offset":3,"events":[]}"#;
        assert!(!places.note(Door::Native, reply.as_bytes()));
        assert_eq!(places.since("load:b"), Some(Position { epoch: "17".to_owned(), offset: 3 }));
        let event = format!(r#"{{"type":"event","channel":"load:b","offset":4,"data":{}}}"#, stamped(4));
        places.note(Door::Native, event.as_bytes());
        assert_eq!(places.since("load:b").unwrap().offset, 4);
        assert_eq!(places.since("load:a"), None);
        let reply =
            r#"{"type":"subscribed","id":2,"channel":"load:b","epoch":"18","offset":2,"recovered":false}"#;
        assert!(places.note(Door::Native, reply.as_bytes()));
        assert_eq!(places.since("load:b"), Some(Position { epoch: "18".to_owned(), offset: 2 }));
    }

    #[test]
    fn messagepack_says_the_same() {
        #[derive(serde::Serialize)]
        struct Frame {
            r#type: &'static str,
            channel: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            epoch: Option<&'static str>,
            offset: u64,
            data: String,
        }
        let mut places = places();
        let mut note = |r#type, epoch, offset| {
            let frame = Frame { r#type, channel: "load:b", epoch, offset, data: stamped(offset) };
            places.note(Door::NativeMsgpack, &rmp_serde::to_vec_named(&frame).unwrap());
            places.since("load:b").unwrap().offset
        };
        assert_eq!(note("subscribed", Some("17"), 1), 1);
        for offset in [2, 127, 128, 255, 256, 70_000, 1 << 40] {
            assert_eq!(note("event", None, offset), offset);
        }
    }

    #[test]
    fn an_event_stream_keeps_the_last_id() {
        let mut places = places();
        assert_eq!(places.last_id(), None);
        places.note(Door::Sse, b"data: \"a\"\nid: 17-4,-");
        places.note(Door::Sse, b": ping");
        assert_eq!(places.last_id(), Some("17-4,-"));
        assert!(places.note(Door::Sse, b"event: gap\ndata: {}\nid: 18-1,-"));
    }
}
