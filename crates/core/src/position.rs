//! Positions: which event of which stretch of a channel's history.
//!
//! The rules are in POSITIONS of the design; here is only the value and its spelling
//! `<epoch>-<offset>`. An epoch is 13 digits of milliseconds and 6 of nonce: 19 digits fit a `u64`.

use std::fmt;
use std::str::FromStr;

/// One writer's stretch of a channel's history; later epochs are greater. On the wire a string of
/// 19 decimal digits, since it exceeds what a double holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u64);

/// Nonces there are.
const NONCES: u64 = 1_000_000;
/// The latest time that 13 digits hold: in the year 2286.
const MAX_MILLIS: u64 = 9_999_999_999_999;

/// An event's place in its channel. Offsets count 1, 2, 3 … through all epochs of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The stretch of history that numbered it.
    pub epoch: Epoch,
    /// The number of the event; 0 is "before the first".
    pub offset: u64,
}

/// A text that is no epoch or position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no position: <19 digits>-<offset> is expected")]
pub struct PositionError(String);

impl Epoch {
    /// An epoch that begins at this time, in milliseconds since 1970. Of the nonce six digits count.
    pub fn new(millis: u64, nonce: u64) -> Self {
        Self(millis.min(MAX_MILLIS) * NONCES + nonce % NONCES)
    }

    /// When it began, in milliseconds since 1970; at least later than every epoch before it.
    pub fn millis(self) -> u64 {
        self.0 / NONCES
    }
}

impl FromStr for Epoch {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let digits = text.len() == 19 && text.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { text.parse().ok() } else { None };
        value.map(Self).ok_or_else(|| PositionError(text.chars().take(64).collect()))
    }
}

impl FromStr for Position {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let error = || PositionError(text.chars().take(64).collect());
        let (epoch, offset) = text.split_once('-').ok_or_else(error)?;
        let plain = !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_digit());
        let offset = if plain { offset.parse().ok() } else { None };
        Ok(Self { epoch: epoch.parse()?, offset: offset.ok_or_else(error)? })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:019}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whatever_was_given_may_be_given_back() {
        for text in
            ["1763700000000000001-0", "0000000000000000000-7", "9999999999999999999-18446744073709551615"]
        {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "-",
            "1-1",
            "1763700000000000001",
            "1763700000000000001-",
            "1763700000000000001-+1",
            "176370000000000000x-1",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_epoch_is_its_time_and_a_nonce() {
        let epoch = Epoch::new(1_763_700_000_000, 7_000_001);
        assert_eq!(epoch.to_string(), "1763700000000000001");
        assert_eq!(epoch.millis(), 1_763_700_000_000);
        assert_eq!(Epoch::new(u64::MAX, 5).to_string(), "9999999999999000005");
    }

    #[test]
    fn later_epochs_are_greater() {
        let (a, b): (Epoch, Epoch) =
            ("1763700000000000001".parse().unwrap(), "1763700000001000000".parse().unwrap());
        assert!(a < b && a.to_string() < b.to_string());
    }

    proptest! {
        #[test]
        fn any_text_is_a_position_or_none(text in "[0-9]{18,20}-?[+0-9]{0,21}|.{0,80}") {
            match text.parse::<Position>() {
                Ok(position) => {
                    let plain = text.len() == 21 || !text[20..].starts_with('0');
                    prop_assert!(!plain || position.to_string() == text);
                    prop_assert_eq!(position.to_string().parse(), Ok(position));
                }
                Err(error) => prop_assert!(error.to_string().contains("<19 digits>-<offset>")),
            }
        }

        #[test]
        fn every_position_is_spelled_and_read_again(epoch in 0u64..10_000_000_000_000_000_000, offset in any::<u64>()) {
            let position = Position { epoch: Epoch(epoch), offset };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
