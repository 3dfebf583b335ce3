//! Channel names, parsed once where they enter.
//!
//! A name that exists as a [`ChannelName`] is valid everywhere; nothing behind the doors checks it
//! again. It must not know how Redis spells a channel (that is `redis::keys`).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest channel name, in bytes.
const MAX_BYTES: usize = 255;

/// A channel's name: UTF-8, 1–255 bytes, without white space, control or format characters and
/// without `{` `}` `*`. Cloning is a reference count.
///
/// ```
/// use tidegate_core::ChannelName;
/// let name: ChannelName = "chat:42".parse()?;
/// assert_eq!(name.namespace(), "chat");
/// assert!("a b".parse::<ChannelName>().is_err());
/// # Ok::<(), tidegate_core::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name. The message names the limit and what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The empty text.
    #[error("a channel name must not be empty")]
    Empty,
    /// Longer than 255 bytes; holds the length given.
    #[error("a channel name has at most 255 bytes, this one has {0}")]
    TooLong(usize),
    /// A character that names must not contain.
    #[error("a channel name must not contain {0:?}")]
    Character(char),
    /// Starts with `~`: Tidegate's own channels.
    #[error("channel names that start with '~' are Tidegate's own")]
    Reserved,
}

impl ChannelName {
    /// Parses a name that a client, a backend or the API gave.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong; names that start with `~` are refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.starts_with('~') {
            return Err(NameError::Reserved);
        }
        Self::parse_any(text)
    }

    /// Parses a name that a node made or heard: Tidegate's own (`~…`) are allowed.
    ///
    /// # Errors
    /// As [`ChannelName::parse`], save [`NameError::Reserved`].
    pub fn parse_any(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        // Each event comes with its channel's name; most are plain ASCII, which one look settles.
        if text.bytes().all(is_plain) {
            return Ok(Self(text.into()));
        }
        match text.chars().find(|&c| !is_allowed(c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`, which carries the settings; `default` where there is none.
    pub fn namespace(&self) -> &str {
        match self.0.split_once(':') {
            Some((namespace, _)) => namespace,
            None => "default",
        }
    }
}

/// Whether `text` may stand before the `:` of a channel name, so that its settings can apply.
pub fn namespace_is_valid(text: &str) -> bool {
    !text.contains(':') && ChannelName::parse(text).is_ok()
}

/// The ASCII part of `is_allowed`.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'{' | b'}' | b'*')
}

fn is_allowed(c: char) -> bool {
    // Braces would choose the Cluster slot, `*` is the pattern sign of grants.
    !(c.is_whitespace() || c.is_control() || is_format(c) || matches!(c, '{' | '}' | '*'))
}

/// Unicode general category Cf (format), Unicode 16.0: invisible, so two names could look alike.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

impl std::str::FromStr for ChannelName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_namespace_stands_before_the_first_colon() {
        for (name, namespace) in [("chat:1", "chat"), ("chat:1:2", "chat"), ("lobby", "default"), (":x", "")]
        {
            assert_eq!(ChannelName::parse(name).unwrap().namespace(), namespace);
        }
    }

    #[test]
    fn refuses_what_the_contract_refuses() {
        let long = "é".repeat(128);
        for (text, error) in [
            ("", NameError::Empty),
            (long.as_str(), NameError::TooLong(256)),
            ("a b", NameError::Character(' ')),
            ("a\u{a0}b", NameError::Character('\u{a0}')),
            ("a\nb", NameError::Character('\n')),
            ("a\u{7f}", NameError::Character('\u{7f}')),
            ("a\u{200b}b", NameError::Character('\u{200b}')),
            ("a{b", NameError::Character('{')),
            ("a}b", NameError::Character('}')),
            ("a*", NameError::Character('*')),
            ("~control", NameError::Reserved),
        ] {
            assert_eq!(ChannelName::parse(text), Err(error));
        }
        assert!(ChannelName::parse(&"é".repeat(127)).is_ok());
        assert!(ChannelName::parse_any("~control").is_ok());
    }

    #[test]
    fn plain_bytes_are_the_ascii_that_is_allowed() {
        for byte in 0..=127 {
            assert_eq!(is_plain(byte), is_allowed(char::from(byte)), "{byte}");
        }
        assert!(!(128..=255).any(is_plain));
    }

    proptest! {
        #[test]
        fn any_text_is_kept_or_refused_with_what_is_wrong(text in ".*", repeated in 1usize..20) {
            let text = text.repeat(repeated);
            match ChannelName::parse(&text) {
                Ok(name) => {
                    prop_assert_eq!(name.as_str(), &text);
                    let clean = !text.contains(['{', '}', '*', ' ']);
                    prop_assert!(clean && (1..=MAX_BYTES).contains(&text.len()));
                    prop_assert!(namespace_is_valid(name.namespace()) || name.namespace().is_empty());
                }
                Err(NameError::TooLong(bytes)) => prop_assert!(bytes == text.len() && bytes > MAX_BYTES),
                Err(NameError::Character(wrong)) => prop_assert!(text.contains(wrong)),
                Err(NameError::Reserved) => prop_assert!(text.starts_with('~')),
                Err(NameError::Empty) => prop_assert!(text.is_empty()),
            }
        }
    }
}
