//! What names all our keys.

/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 16;

/// What names all our keys and functions in a Redis: `[a-z][a-z0-9_]{0,15}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no prefix: a small letter, then at most 15 small letters, digits or underscores are expected"
)]
pub struct PrefixError(String);

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("tg".to_owned())
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Self, PrefixError> {
        let rest_is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let valid = text.len() <= MAX_PREFIX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(rest_is_valid);
        if valid { Ok(Self(text)) } else { Err(PrefixError(text.chars().take(64).collect())) }
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for text in ["tg", "a", "a_1", "abcdefghijklmnop"] {
            assert_eq!(Prefix::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        for text in ["", "1a", "_a", "Tg", "a-b", "a{", "é", "abcdefghijklmnopq"] {
            assert!(Prefix::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
