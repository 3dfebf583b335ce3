//! What an event carries: opaque bytes, and once found out, what kind they are.
//!
//! The kind is decided once per event, where it enters a node; every wire format relies on it.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

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

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Walk>(text).is_ok()
}

/// Walks through a JSON text and keeps nothing. Unlike `IgnoredAny`, which loops, it recurses by
/// way of `deserialize_any`, where serde_json stops at 128 levels (its documented limit).
struct Walk;

impl<'de> Deserialize<'de> for Walk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Walk>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Walk, Walk>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (bytes, kind) in [
            (&b"{\"a\": 1.50}"[..], PayloadKind::Json),
            (b" null\n", PayloadKind::Json),
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
    }
}
