//! What a subscriber is told besides events, in each format: where it stands, that events are missing.

use bytes::Bytes;
use tidegate_core::place::{GapReason, Word};
use tidegate_core::session::Past;
use tidegate_core::{ChannelName, Event, Position, RequestId};
use tidegate_protocol::{Codec, json, msgpack};

use super::{FORMATS, Format, Slice, write_frame};
use crate::doors::websocket::Opcode;

/// Words about one channel, encoded when a format is first asked for.
pub(crate) struct Words<'a> {
    channel: &'a ChannelName,
    last: [Option<(Word, Slice)>; FORMATS],
}

impl<'a> Words<'a> {
    pub(crate) fn new(channel: &'a ChannelName) -> Self {
        Self { channel, last: [const { None }; FORMATS] }
    }

    /// A word in `format`; none where it has no words: bare payloads say nothing else.
    pub(crate) fn get(&mut self, format: Format, word: Word) -> Option<&Slice> {
        if format == Format::Plain {
            return None;
        }
        let held = &mut self.last[format as usize];
        if held.as_ref().is_none_or(|(said, _)| *said != word) {
            *held = Some((word, encode(format, self.channel, word)));
        }
        held.as_ref().map(|(_, slice)| slice)
    }
}

fn encode(format: Format, channel: &ChannelName, word: Word) -> Slice {
    let (mut body, mut out) = (Vec::new(), Vec::new());
    match (format, word) {
        (Format::MessagePack, Word::Position(at)) => msgpack::write_position(&mut body, channel, at),
        (Format::MessagePack, Word::Gap(at, why)) => msgpack::write_gap(&mut body, channel, at, spell(why)),
        (Format::SseOne | Format::SseMany | Format::Plain, Word::Position(_)) => {}
        (_, Word::Position(at)) => json::write_position(&mut body, channel, at),
        (_, Word::Gap(at, why)) => json::write_gap(&mut body, channel, at, spell(why)),
    }
    match format {
        Format::Json => write_frame(&mut out, Opcode::Text, &body),
        Format::MessagePack => write_frame(&mut out, Opcode::Binary, &body),
        Format::Plain => {}
        Format::SseOne | Format::SseMany => {
            if !body.is_empty() {
                out.extend_from_slice(b"event: gap\ndata: ");
                out.extend_from_slice(&body);
                out.push(b'\n');
            }
        }
    }
    let (Word::Position(position) | Word::Gap(position, _)) = word;
    if format == Format::SseOne {
        // Without data a browser keeps the id and fires nothing (WHATWG HTML, section 9.2.6).
        out.extend_from_slice(format!("id: {position}\n\n").as_bytes());
    }
    let listed = (format == Format::SseMany).then_some(position);
    Slice { bytes: out.into(), events: 0, listed }
}

/// Why, as clients read it.
fn spell(why: GapReason) -> &'static str {
    match why {
        GapReason::Lost => "lost",
        GapReason::Dropped => "dropped",
    }
}

impl Format {
    /// The reply to `subscribe` where the channel has history: where the subscriber stands, and what it
    /// missed. None in the formats of bare doors.
    pub(crate) fn subscribed(
        self,
        id: RequestId,
        channel: &ChannelName,
        at: Position,
        recovered: Option<bool>,
        events: &[Event],
    ) -> Option<Bytes> {
        let (mut body, mut out) = (Vec::new(), Vec::new());
        match self {
            Self::Json => {
                json::write_subscribed(&mut body, id, channel, Some(at), recovered, events);
                write_frame(&mut out, Opcode::Text, &body);
            }
            Self::MessagePack => {
                msgpack::write_subscribed(&mut body, id, channel, Some(at), recovered, events);
                write_frame(&mut out, Opcode::Binary, &body);
            }
            Self::Plain | Self::SseOne | Self::SseMany => return None,
        }
        Some(out.into())
    }
}

/// The reply to `history`.
pub(crate) fn history(codec: Codec, id: RequestId, channel: &ChannelName, past: &Past) -> Bytes {
    let Past { top, recovered, events } = past;
    let (mut body, mut out) = (Vec::new(), Vec::new());
    match codec {
        Codec::Json => {
            json::write_history(&mut body, id, channel, *top, *recovered, events);
            write_frame(&mut out, Opcode::Text, &body);
        }
        Codec::MessagePack => {
            msgpack::write_history(&mut body, id, channel, *top, *recovered, events);
            write_frame(&mut out, Opcode::Binary, &body);
        }
    }
    out.into()
}
