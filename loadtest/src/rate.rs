//! How fast events are sent: so many a second, or as fast as deliveries keep up.

use std::fmt;
use std::str::FromStr;

/// Events a second in total.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Open loop: sent when due, whatever happens to the earlier ones.
    PerSecond(f64),
    /// Closed loop: a fixed number of events is under way at any time.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self::PerSecond(rate)),
            _ => Err("a rate is a number above 0 (events a second) or `max`".to_owned()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(rate) => write!(f, "{rate}"),
            Self::Max => f.write_str("max"),
        }
    }
}
