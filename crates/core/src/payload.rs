//! What an event carries: opaque bytes, and once found out, what kind they are.
//!
//! The kind is decided once per event, where it enters a node; every wire format relies on it.

use bytes::Bytes;
use serde::de::IgnoredAny;

/// The deepest JSON that counts as JSON: many parsers give up soon behind it.
const MAX_DEPTH: usize = 128;

/// What the bytes of a payload are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// One valid JSON text. Kept exactly as sent.
    Json,
    /// Valid UTF-8 that is not JSON.
    Text,
    /// Anything else.
    Binary,
}

/// An event's bytes with their kind. Cloning is a reference count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    kind: PayloadKind,
}

impl Payload {
    /// Looks at `bytes` once: JSON, text or binary. JSON deeper than 128 levels counts as text, so
    /// nobody behind us needs a deep stack.
    pub fn new(bytes: Bytes) -> Self {
        let kind = match std::str::from_utf8(&bytes) {
            Err(_) => PayloadKind::Binary,
            Ok(text) if is_json(text) => PayloadKind::Json,
            Ok(_) => PayloadKind::Text,
        };
        Self { bytes, kind }
    }

    /// The bytes as they were published.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What they are.
    pub fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// The payload as text, unless it is binary.
    pub fn text(&self) -> Option<&str> {
        match self.kind {
            PayloadKind::Binary => None,
            // Checked in `new`; the second look costs less than an unsafe block.
            _ => std::str::from_utf8(&self.bytes).ok(),
        }
    }
}

/// Whether `text` is JSON by its grammar (RFC 8259). What a number or an escape means is not judged:
/// they are passed on as they are.
fn is_json(text: &str) -> bool {
    // Each level takes two bytes, so small texts need no second look.
    let is_flat = |text: &str| text.len() <= 2 * MAX_DEPTH || depth(text) <= MAX_DEPTH;
    serde_json::from_str::<IgnoredAny>(text).is_ok() && is_flat(text)
}

/// The deepest nesting of valid JSON: brackets outside of strings.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds() {
        for (bytes, kind) in [
            (&b"{\"a\": 1.50}"[..], PayloadKind::Json),
            (b" null\n", PayloadKind::Json),
            (b"1e999", PayloadKind::Json),
            (b"\"\\ud800\"", PayloadKind::Json),
            (b"[\"[[\\\"[[\"]", PayloadKind::Json),
            (b"hello", PayloadKind::Text),
            (b"", PayloadKind::Text),
            (b"{\"a\":1} x", PayloadKind::Text),
            (b"\"\xff\"", PayloadKind::Binary),
            (b"\xc1\x01", PayloadKind::Binary),
        ] {
            assert_eq!(Payload::new(Bytes::copy_from_slice(bytes)).kind(), kind, "{bytes:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Payload::new(deep.into()).kind(), PayloadKind::Text);
        let allowed = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(Payload::new(allowed.into()).kind(), PayloadKind::Json);
    }

    proptest! {
        #[test]
        fn any_bytes_are_kept_and_are_of_one_kind(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                "[\\[\\]{}\",:0-9ab\\\\ue. -]{0,60}".prop_map(String::into_bytes),
            ],
        ) {
            let payload = Payload::new(bytes.clone().into());
            prop_assert_eq!(&payload.bytes()[..], &bytes[..]);
            let text = std::str::from_utf8(&bytes).ok();
            prop_assert_eq!(payload.text(), text);
            let json = text.is_some_and(|text| serde_json::from_str::<Box<serde_json::value::RawValue>>(text).is_ok());
            prop_assert_eq!(payload.kind() == PayloadKind::Json, json);
        }
    }
}
