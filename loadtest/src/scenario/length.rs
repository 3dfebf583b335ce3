//! A length of time as people write it: `10`, `2.5s`, `250ms`, `2m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A day is longer than any scenario, and no sum of times can overflow.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A length of time, at most a day. A bare number is seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Duration);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == 'µ');
        let unit = match &text[digits.len()..] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err("a length of time is a number of seconds, or has us, ms, s, m or h".to_owned()),
        };
        let number = digits
            .trim_end()
            .parse::<f64>()
            .map_err(|_| "a length of time is a number, such as 10, or 250ms".to_owned())?;
        let length = Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())?;
        (length <= LONGEST).then_some(Self(length)).ok_or_else(|| "at most a day".to_owned())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_and_without_a_unit() {
        for (text, milliseconds) in
            [("10", 10_000), ("2.5s", 2_500), ("250ms", 250), ("250 ms", 250), ("2m", 120_000), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(Length(Duration::from_millis(milliseconds))), "{text}");
        }
        for text in ["", "s", "-1", "1 year", "2d", "25h", "NaN"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
    }
}
