//! Numbers and truths, as TOML writes them and as the environment, which has texts only.
//!
//! Left to itself the `config` crate makes 2 of `1.5`, 1 of `true` and `true` of `7`: a slip would
//! become another setting instead of a sentence.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

/// A whole number.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Count;
    impl Visitor<'_> for Count {
        type Value = usize;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number from 0 on")
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<usize, E> {
            usize::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<usize, E> {
            usize::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Count)
}

/// Yes or no, if anything.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Truth;
    impl Visitor<'_> for Truth {
        type Value = Option<bool>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true or false")
        }
        fn visit_bool<E: Error>(self, truth: bool) -> Result<Option<bool>, E> {
            Ok(Some(truth))
        }
        fn visit_unit<E: Error>(self) -> Result<Option<bool>, E> {
            Ok(None)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Option<bool>, E> {
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(Some(true)),
                "false" | "no" | "off" | "0" => Ok(Some(false)),
                _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }
    }
    deserializer.deserialize_any(Truth)
}
