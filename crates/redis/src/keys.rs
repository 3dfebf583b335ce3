//! How channels are spelled in Redis: `tg:{chat:42}`.
//!
//! The braces are a hash tag: on a Cluster all keys of a channel live in one slot.

use std::sync::Arc;

use crate::Prefix;

/// The spelling with one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `tg:{`
    head: Arc<str>,
}

impl Keys {
    /// Names that start with `prefix`.
    pub fn new(prefix: &Prefix) -> Self {
        Self { head: format!("{}:{{", prefix.as_str()).into() }
    }

    /// The pub/sub name of a channel.
    pub fn channel(&self, name: &str) -> String {
        [&self.head, name, "}"].concat()
    }

    /// The channel behind a pub/sub name; none for what is not ours or not UTF-8.
    pub fn parse<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        let name = key.strip_prefix(self.head.as_bytes())?.strip_suffix(b"}")?;
        std::str::from_utf8(name).ok()
    }

    /// The pattern of all pub/sub names with this prefix.
    pub fn pattern(&self) -> String {
        // A prefix has no special characters, and braces are plain in Redis' patterns.
        format!("{}*}}", self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_and_back() {
        let keys = Keys::new(&Prefix::default());
        assert_eq!(keys.channel("chat:42"), "tg:{chat:42}");
        for name in ["chat:42", "é", "~canary", ""] {
            assert_eq!(keys.parse(keys.channel(name).as_bytes()), Some(name));
        }
        assert_eq!(keys.pattern(), "tg:{*}");
    }

    #[test]
    fn what_is_not_ours_is_no_channel() {
        let keys = Keys::new(&Prefix::default());
        for foreign in [&b"tg:chat:42"[..], b"tg:{chat:42", b"xx:{chat:42}", b"tg:{\xff}", b"tg:}", b""] {
            assert_eq!(keys.parse(foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        /// What Redis says a message came on may be anything: backends publish to what they like.
        #[test]
        fn any_bytes_are_a_name_of_ours_or_none(
            bytes in prop::collection::vec(any::<u8>(), 0..40), head in any::<bool>(), tail in any::<bool>(),
        ) {
            let keys = Keys::new(&Prefix::default());
            let (head, tail) = (if head { &b"tg:{"[..] } else { b"" }, if tail { &b"}"[..] } else { b"" });
            let key = [head, &bytes, tail].concat();
            if let Some(name) = keys.parse(&key) {
                prop_assert_eq!(keys.channel(name).into_bytes(), key);
            }
        }

        #[test]
        fn every_name_comes_back(name in ".*") {
            let keys = Keys::new(&Prefix::default());
            let key = keys.channel(&name);
            prop_assert_eq!(keys.parse(key.as_bytes()), Some(&*name));
        }
    }
}
