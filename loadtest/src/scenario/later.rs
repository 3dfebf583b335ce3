//! A setting that is not there yet. Its name is kept for it, and whoever uses it hears that.

use std::convert::Infallible;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A value that nobody can have.
#[derive(Clone, Copy, Debug)]
pub struct Later(Infallible);

const WORDS: &str = "reserved: `tls` and `presence` come with a later version";

impl FromStr for Later {
    type Err = String;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Err(WORDS.to_owned())
    }
}

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(WORDS))
    }
}
