//! Wire formats: events and last words as the bytes that go into sockets.
//!
//! A batch of events is encoded once per format, WebSocket headers included, into slices that all
//! subscribers share. It must not know who gets them.

mod words;

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use tidegate_core::{ChannelName, Close, Event, PayloadKind, Position};
use tidegate_protocol::{codes, encode_base64, json, msgpack};

use crate::doors::websocket::{Opcode, write_header};
pub(crate) use words::{Words, history};

/// How the bytes of a connection look. A door may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Format {
    /// The native door's JSON frames.
    Json,
    /// The native door's MessagePack frames.
    MessagePack,
    /// Bare payloads.
    Plain,
    /// Server-sent events of one channel: the payload.
    SseOne,
    /// Server-sent events of several channels: the native event object.
    SseMany,
}

/// How many formats there are.
const FORMATS: usize = 5;

/// Where a slice ends at the latest, unless one event is longer: a slice that is half written is
/// kept whole when an outbox overflows.
const SLICE_BYTES: usize = 64 << 10;
/// The longest header of a WebSocket frame that a server sends (RFC 6455, section 5.2).
const HEADER: usize = 10;
/// What a frame says beside channel and payload, about.
const FRAME_WORDS: usize = 64;

/// Encoded events that stand together, and how many.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) bytes: Bytes,
    pub(crate) events: u32,
    /// In a stream of several channels each connection has its own list of positions to end it with: the
    /// channel's new one. None where the bytes are whole.
    pub(crate) listed: Option<Position>,
}

/// Events of one channel, encoded when a format is first asked for: once, whoever asks.
pub(crate) struct Encoded<'a> {
    channel: Cow<'a, ChannelName>,
    events: Cow<'a, [Event]>,
    slices: Slices,
}

/// What some events became, in each format that somebody asked for.
#[derive(Default)]
pub(crate) struct Slices([OnceLock<Vec<Slice>>; FORMATS]);

impl<'a> Encoded<'a> {
    pub(crate) fn new(channel: &'a ChannelName, events: &'a [Event]) -> Self {
        let (channel, events) = (Cow::Borrowed(channel), Cow::Borrowed(events));
        Self { channel, events, slices: Slices::default() }
    }

    /// Those from `first` on in `format`; `slices` keeps them for whoever asks for the same.
    pub(crate) fn get_from<'s>(&self, first: usize, format: Format, slices: &'s Slices) -> &'s [Slice] {
        let events = self.events.get(first..).unwrap_or_default();
        slices.0[format as usize].get_or_init(|| encode(format, &self.channel, events))
    }

    #[cfg(test)]
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// For other tasks to share.
    pub(crate) fn into_owned(self) -> Encoded<'static> {
        let (channel, events) = (self.channel.into_owned(), self.events.into_owned());
        Encoded { channel: Cow::Owned(channel), events: Cow::Owned(events), slices: self.slices }
    }

    /// The events in `format`.
    pub(crate) fn get(&self, format: Format) -> &[Slice] {
        self.slices.0[format as usize].get_or_init(|| encode(format, &self.channel, &self.events))
    }
}

fn encode(format: Format, channel: &ChannelName, events: &[Event]) -> Vec<Slice> {
    let mut slices = Vec::with_capacity(1);
    // Growing step by step costs more than all the copying, and what is too much waits with the slice.
    let around = if format == Format::Plain { HEADER } else { HEADER + FRAME_WORDS + channel.as_str().len() };
    let mut expected = 0;
    for event in events {
        expected += event.payload.bytes().len() + around;
        if expected >= SLICE_BYTES {
            break;
        }
    }
    let mut out = Vec::with_capacity(expected);
    let one = events.first().filter(|_| format != Format::Plain);
    let one = one.map_or(0, |event| event.payload.bytes().len() + around);
    let (mut count, mut body) = (0, Vec::with_capacity(one));
    for event in events {
        write_event(&mut out, &mut body, format, channel, event);
        count += 1;
        let listed = event.position.filter(|_| format == Format::SseMany);
        if out.len() >= SLICE_BYTES || listed.is_some() {
            let (bytes, events) = (std::mem::take(&mut out).into(), std::mem::take(&mut count));
            slices.push(Slice { bytes, events, listed });
        }
    }
    if count > 0 {
        slices.push(Slice { bytes: out.into(), events: count, listed: None });
    }
    slices
}

/// Appends one event. `body` is scratch space.
fn write_event(out: &mut Vec<u8>, body: &mut Vec<u8>, format: Format, channel: &ChannelName, event: &Event) {
    body.clear();
    match format {
        Format::Json => {
            json::write_event(body, channel, event);
            write_frame(out, Opcode::Text, body);
        }
        Format::MessagePack => {
            msgpack::write_event(body, channel, event);
            write_frame(out, Opcode::Binary, body);
        }
        Format::Plain => {
            let binary = event.payload.kind() == PayloadKind::Binary;
            write_frame(out, if binary { Opcode::Binary } else { Opcode::Text }, event.payload.bytes());
        }
        Format::SseOne => write_sse(out, event),
        Format::SseMany => {
            json::write_event(body, channel, event);
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(body);
            // With a position the connection's list ends it.
            out.extend_from_slice(if event.position.is_some() { b"\n" } else { b"\n\n" });
        }
    }
}

/// One server-sent event (WHATWG HTML, section 9.2): `data` is one line of JSON, or base64.
fn write_sse(out: &mut Vec<u8>, event: &Event) {
    if event.payload.kind() == PayloadKind::Binary {
        out.extend_from_slice(b"event: binary\ndata: ");
        out.extend_from_slice(encode_base64(event.payload.bytes()).as_bytes());
    } else {
        out.extend_from_slice(b"data: ");
        json::write_data(out, &event.payload);
    }
    if let Some(position) = event.position {
        out.extend_from_slice(format!("\nid: {position}").as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends one whole WebSocket frame.
pub(crate) fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    write_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

impl Format {
    /// The last bytes of a connection that is closed for `close`; none where the format has no
    /// words for it.
    pub(crate) fn close(self, close: Close, message: &str) -> Option<Bytes> {
        match self {
            Self::SseOne | Self::SseMany => None,
            Self::Json | Self::MessagePack | Self::Plain => {
                let (code, name) = codes::close_code(close);
                let mut payload = code.to_be_bytes().to_vec();
                let reason = if message.is_empty() { name.into() } else { format!("{name}: {message}") };
                // A control frame carries at most 125 bytes (RFC 6455 section 5.5).
                let mut end = reason.len().min(123);
                while !reason.is_char_boundary(end) {
                    end -= 1;
                }
                payload.extend_from_slice(&reason.as_bytes()[..end]);
                let mut out = Vec::with_capacity(payload.len() + 2);
                write_frame(&mut out, Opcode::Close, &payload);
                Some(out.into())
            }
        }
    }

    /// What keeps a silent connection alive, and asks whether the peer is.
    pub(crate) fn ping(self) -> Bytes {
        match self {
            Self::SseOne | Self::SseMany => Bytes::from_static(b": ping\n\n"),
            // An empty ping frame (RFC 6455 section 5.5.2).
            Self::Json | Self::MessagePack | Self::Plain => Bytes::from_static(&[0x89, 0x00]),
        }
    }

    /// Whether the peer answers pings, so that silence means it is gone.
    pub(crate) fn answers_pings(self) -> bool {
        !matches!(self, Self::SseOne | Self::SseMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::Payload;

    fn encoded(format: Format, payloads: &[&[u8]]) -> Vec<Slice> {
        let channel: ChannelName = "chat:1".parse().unwrap();
        let event = |p: &&[u8]| Event::live(Payload::new(Bytes::copy_from_slice(p)));
        let events: Vec<Event> = payloads.iter().map(event).collect();
        Encoded::new(&channel, &events).get(format).to_vec()
    }

    #[test]
    fn each_format_says_it_its_own_way() {
        for (format, payload, expected) in [
            (Format::Plain, &b"hi"[..], &b"\x81\x02hi"[..]),
            (Format::Plain, b"\xff", b"\x82\x01\xff"),
            (Format::SseOne, b"{\"a\":\n1}", b"data: {\"a\": 1}\n\n"),
            (Format::SseOne, b"a\nb", b"data: \"a\\nb\"\n\n"),
            (Format::SseOne, b"\xff", b"event: binary\ndata: /w==\n\n"),
            (Format::SseMany, b"1", b"data: {\"type\":\"event\",\"channel\":\"chat:1\",\"data\":1}\n\n"),
            (Format::Json, b"1", b"\x81\x2c{\"type\":\"event\",\"channel\":\"chat:1\",\"data\":1}"),
        ] {
            let slices = encoded(format, &[payload]);
            assert_eq!(slices[0].bytes, expected, "{format:?}: {:?}", slices[0].bytes);
        }
    }

    #[test]
    fn events_stand_together_up_to_64_kib() {
        let payload = vec![b'x'; 30_000];
        let slices = encoded(Format::Plain, &[&payload, &payload, &payload, b"last"]);
        assert_eq!(slices.iter().map(|s| s.events).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_slice_takes_hardly_more_than_it_holds() {
        let channel: ChannelName = "chat:1".parse().unwrap();
        for (size, many) in [(100, 1), (65_538, 1), (20_000, 10), (65_535, 3)] {
            let text = format!("\"{}\"", "x".repeat(size));
            let events = vec![Event::live(Payload::new(text.into())); many];
            for format in [Format::Plain, Format::Json, Format::SseOne] {
                let first = encode(format, &channel, &events).swap_remove(0).bytes;
                let held = first.len();
                let taken = first.try_into_mut().expect("nobody else has it").capacity();
                assert!(taken <= held + many * 80, "{format:?}: {taken} for {held}");
            }
        }
    }

    #[test]
    fn last_words_fit_a_control_frame() {
        let words = Format::Json.close(Close::Slow, &"é".repeat(200)).unwrap();
        assert_eq!((words[0], words[1]), (0x88, 2 + 122));
        assert_eq!(&words[2..4], &4100u16.to_be_bytes());
        assert!(std::str::from_utf8(&words[4..]).is_ok());
        assert_eq!(Format::SseOne.close(Close::Slow, "x"), None);
    }
}
