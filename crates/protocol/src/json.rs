//! Native frames as JSON: one object a line.
//!
//! Payloads that are JSON pass as they are, save that raw CR and LF (only ever white space between
//! tokens) become spaces, so that a line stays a line.

use std::io::Write;

use bytes::Bytes;
use serde_json::value::RawValue;
use tidegate_core::{ChannelName, Event, Payload, PayloadKind};

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
    out.extend_from_slice(b"{\"type\":\"event\",\"channel\":");
    write_string(out, channel.as_str());
    if let Some(position) = event.position {
        let _ = write!(out, ",\"offset\":{}", position.offset);
    }
    if event.payload.kind() == PayloadKind::Binary {
        out.extend_from_slice(b",\"data_base64\":\"");
        out.extend_from_slice(encode_base64(event.payload.bytes()).as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(b",\"data\":");
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
mod tests;
