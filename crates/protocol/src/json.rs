//! Native frames as JSON: one object a line.
//!
//! Payloads that are JSON pass as they are, save that raw CR and LF (only ever white space between
//! tokens) become spaces, so that a line stays a line.

use std::io::Write;

use bytes::Bytes;
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Event, Payload, PayloadKind, Position, RequestId};

use crate::flat::ServerFlat;
use crate::reading::Reading;
use crate::{ClientFrame, Malformed, ServerFrame, encode_base64};

/// What a request is, in the words of its refusal.
const FORM: &str = "a request is one JSON object a line";

/// The requests in a message, split at LF; empty lines are skipped.
pub fn decode_client(message: &[u8]) -> Vec<Result<ClientFrame, Malformed>> {
    let lines = message.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(decode_line).collect()
}

fn decode_line(line: &[u8]) -> Result<ClientFrame, Malformed> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let (reading, broken) = Reading::<Box<RawValue>>::read(&mut json, FORM);
    if let Some(malformed) = broken {
        return Err(malformed);
    }
    if let Err(more) = json.end() {
        return Err(reading.broken(&more, FORM));
    }
    ClientFrame::from_flat(reading.finish()?, |raw| {
        let payload = Payload::new(Bytes::from(String::from(Box::<str>::from(raw))));
        match payload.kind() {
            PayloadKind::Json => Ok(payload.bytes().clone()),
            _ => Err("`data` is nested deeper than 128 levels".into()),
        }
    })
}

/// A request as one line, without the LF.
pub fn encode_client(frame: &ClientFrame) -> String {
    let flat = frame.to_flat(|bytes, kind| match kind {
        PayloadKind::Json => raw(bytes),
        PayloadKind::Text => std::str::from_utf8(bytes).ok().and_then(|text| raw(quote(text).as_bytes())),
        PayloadKind::Binary => None,
    });
    to_string(&flat)
}

/// The frames in a message of the server.
///
/// # Errors
/// A sentence that says what is wrong with the first frame that is.
pub fn decode_server(message: &[u8]) -> Result<Vec<ServerFrame>, String> {
    let lines = message.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines
        .map(|line| {
            let flat: ServerFlat<Box<RawValue>> =
                serde_json::from_slice(line).map_err(|error| error.to_string())?;
            ServerFrame::from_flat(flat, |raw| Payload::new(Bytes::from(String::from(Box::<str>::from(raw)))))
        })
        .collect()
}

/// A frame of the server as one line, without the LF.
pub fn encode_server(frame: &ServerFrame) -> String {
    let flat = frame.to_flat(|payload| match payload.kind() {
        PayloadKind::Json => raw(&one_line(payload.bytes())),
        PayloadKind::Text => payload.text().and_then(|text| raw(quote(text).as_bytes())),
        PayloadKind::Binary => None,
    });
    to_string(&flat)
}

/// Appends an event frame: what [`encode_server`] makes of it, without the copies.
pub fn write_event(out: &mut Vec<u8>, channel: &ChannelName, event: &Event) {
    write_head(out, "event", None, channel);
    if let Some(position) = event.position {
        let _ = write!(out, ",\"offset\":{}", position.offset);
    }
    out.push(b',');
    write_content(out, event);
}

/// Appends the reply to `subscribe`: `position` is the one behind `events`, none where the channel has no
/// history. Of the events those without a position are left out.
pub fn write_subscribed(
    out: &mut Vec<u8>,
    id: RequestId,
    channel: &ChannelName,
    position: Option<Position>,
    recovered: Option<bool>,
    events: &[Event],
) {
    write_head(out, "subscribed", Some(id), channel);
    match position {
        Some(position) => write_page(out, position, recovered, events),
        None => out.push(b'}'),
    }
}

/// Appends the reply to `history`; `position` is that of the channel's last event.
pub fn write_history(
    out: &mut Vec<u8>,
    id: RequestId,
    channel: &ChannelName,
    position: Position,
    recovered: Option<bool>,
    events: &[Event],
) {
    write_head(out, "history", Some(id), channel);
    write_page(out, position, recovered, events);
}

/// Appends a `position` frame.
pub fn write_position(out: &mut Vec<u8>, channel: &ChannelName, position: Position) {
    write_head(out, "position", None, channel);
    write_place(out, position);
    out.push(b'}');
}

/// Appends a `gap` frame.
pub fn write_gap(out: &mut Vec<u8>, channel: &ChannelName, position: Position, reason: &str) {
    write_head(out, "gap", None, channel);
    write_place(out, position);
    out.extend_from_slice(b",\"reason\":");
    write_string(out, reason);
    out.push(b'}');
}

/// What frames about a channel begin with.
fn write_head(out: &mut Vec<u8>, kind: &str, id: Option<RequestId>, channel: &ChannelName) {
    let _ = write!(out, "{{\"type\":\"{kind}\",");
    if let Some(id) = id {
        let _ = write!(out, "\"id\":{},", id.get());
    }
    out.extend_from_slice(b"\"channel\":");
    write_string(out, channel.as_str());
}

fn write_place(out: &mut Vec<u8>, position: Position) {
    let _ = write!(out, ",\"epoch\":\"{}\",\"offset\":{}", position.epoch, position.offset);
}

/// The end of a reply with events.
fn write_page(out: &mut Vec<u8>, position: Position, recovered: Option<bool>, events: &[Event]) {
    write_place(out, position);
    if let Some(recovered) = recovered {
        let _ = write!(out, ",\"recovered\":{recovered}");
    }
    out.extend_from_slice(b",\"events\":[");
    let numbered = events.iter().filter_map(|event| event.position.map(|position| (position, event)));
    for (index, (position, event)) in numbered.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{{\"offset\":{},", position.offset);
        write_content(out, event);
    }
    out.extend_from_slice(b"]}");
}

/// The end of an event: what it carries, and who says so.
fn write_content(out: &mut Vec<u8>, event: &Event) {
    if event.payload.kind() == PayloadKind::Binary {
        out.extend_from_slice(b"\"data_base64\":\"");
        out.extend_from_slice(encode_base64(event.payload.bytes()).as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(b"\"data\":");
        write_data(out, &event.payload);
    }
    for (name, text) in [("from", &event.from), ("key", &event.key)] {
        if let Some(text) = text {
            let _ = write!(out, ",\"{name}\":");
            write_string(out, text);
        }
    }
    out.push(b'}');
}

/// Appends a payload as one line of JSON: JSON as it is, text as a string, binary as base64 in a
/// string.
pub fn write_data(out: &mut Vec<u8>, payload: &Payload) {
    match (payload.kind(), payload.text()) {
        (PayloadKind::Json, _) => {
            let from = out.len();
            out.extend_from_slice(payload.bytes());
            blank_line_ends(&mut out[from..]);
        }
        (PayloadKind::Text, Some(text)) => write_string(out, text),
        _ => {
            out.push(b'"');
            out.extend_from_slice(encode_base64(payload.bytes()).as_bytes());
            out.push(b'"');
        }
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // A vector takes all; a string always serialises.
    let _ = serde_json::to_writer(out, text);
}

fn one_line(json: &[u8]) -> Vec<u8> {
    let mut line = json.to_vec();
    blank_line_ends(&mut line);
    line
}

/// In valid JSON raw CR and LF stand between tokens only (RFC 8259 section 7 forbids them in
/// strings), so spaces mean the same.
fn blank_line_ends(json: &mut [u8]) {
    for byte in json.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')) {
        *byte = b' ';
    }
}

fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    String::from_utf8(json.to_vec()).ok().and_then(|text| RawValue::from_string(text).ok())
}

fn to_string<T: serde::Serialize>(flat: &T) -> String {
    // Maps with string keys and no floats always serialise.
    serde_json::to_string(flat).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
