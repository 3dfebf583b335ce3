//! Identifiers as types, so that one cannot stand where another belongs.
//!
//! Random ids are made by the shell and passed in; this room only holds them.

use std::fmt;
use std::sync::Arc;

/// The number a client gives a request and gets back in the reply: 1 … 2^53−1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

/// The largest request id: the largest integer that JavaScript counts exactly.
const MAX_REQUEST_ID: u64 = (1 << 53) - 1;
/// The longest client id, in bytes.
const MAX_CLIENT_BYTES: usize = 64;

/// Why an id is none. The message names field, limit and value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A request id outside 1 … 2^53−1.
    #[error("`id` must be an integer from 1 to 9007199254740991, not {0}")]
    Request(u64),
    /// An empty client id.
    #[error("`client` must not be empty")]
    ClientEmpty,
    /// A client id that is too long; holds its length.
    #[error("`client` has at most 64 bytes, this one has {0}")]
    ClientTooLong(usize),
}

impl RequestId {
    /// Parses a request id.
    ///
    /// # Errors
    /// [`IdError::Request`] outside 1 … 2^53−1.
    pub fn new(id: u64) -> Result<Self, IdError> {
        if (1..=MAX_REQUEST_ID).contains(&id) { Ok(Self(id)) } else { Err(IdError::Request(id)) }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// What makes two connections the same tab or device. A secret between client and server: other
/// clients see the [`SessionId`] only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Parses a client id of 1–64 bytes.
    ///
    /// # Errors
    /// [`IdError`] when it is empty or too long.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.len() {
            0 => Err(IdError::ClientEmpty),
            n if n > MAX_CLIENT_BYTES => Err(IdError::ClientTooLong(n)),
            _ => Ok(Self(text.into())),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(secret)") // logs must not hand out what lets one take over a device
    }
}

/// One session: public, unguessable, new for each connection. Printed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]); // not a u128: its alignment would cost each session 16 bytes

impl SessionId {
    /// A session id from 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names something a session asked of the outside, until the answer comes. Unique in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bounds_and_what_is_beyond() {
        for (id, valid) in
            [(0, false), (1, true), (MAX_REQUEST_ID, true), (1 << 53, false), (u64::MAX, false)]
        {
            assert_eq!(RequestId::new(id).is_ok(), valid, "{id}");
        }
        for (client, error) in [
            (String::new(), Some(IdError::ClientEmpty)),
            ("é".repeat(32), None),
            ("é".repeat(32) + "x", Some(IdError::ClientTooLong(65))),
        ] {
            assert_eq!(ClientId::parse(&client).err(), error, "{client}");
        }
    }

    proptest! {
        #[test]
        fn any_id_is_kept_or_refused_with_its_value(number in any::<u64>(), text in ".{0,80}") {
            match RequestId::new(number) {
                Ok(id) => prop_assert_eq!(id.get(), number),
                Err(error) => prop_assert!(error.to_string().contains(&number.to_string())),
            }
            match ClientId::parse(&text) {
                Ok(client) => {
                    prop_assert_eq!(client.as_str(), &text);
                    prop_assert_eq!(format!("{:?}", client), "ClientId(secret)");
                }
                Err(error) => prop_assert!(error.to_string().contains("`client`")),
            }
        }
    }
}
