//! Numbers with their units, as people read them: three digits that count, thousands apart.

use serde::{Deserialize, Serialize};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Whole things.
    Count,
    /// Things a second.
    PerSecond,
    /// Microseconds, shown as the unit that fits.
    Microseconds,
    /// Seconds.
    Seconds,
    /// Cores of CPU.
    Cores,
    /// Bytes, shown as the unit that fits.
    Bytes,
}

impl Unit {
    /// The number with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Count => grouped(value),
            Self::PerSecond => format!("{}/s", if value < 100.0 { digits(value) } else { grouped(value) }),
            Self::Microseconds => scaled(value, 1e3, &["µs", "ms", "s"]),
            Self::Seconds => seconds(value),
            Self::Cores => format!("{} cores", digits(value)),
            Self::Bytes => scaled(value, 1024.0, &["B", "KiB", "MiB"]),
        }
    }

    /// The number as a label of an axis: short, and 0 without a unit.
    #[must_use]
    pub fn label(self, value: f64) -> String {
        match self {
            _ if value == 0.0 => "0".to_owned(),
            Self::Count | Self::PerSecond => short(value),
            Self::Cores => digits(value),
            _ => self.show(value),
        }
    }

    /// What the axis is called.
    #[must_use]
    pub fn axis(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::PerSecond => "a second",
            Self::Microseconds => "latency",
            Self::Seconds => "seconds",
            Self::Cores => "cores",
            Self::Bytes => "resident",
        }
    }
}

fn seconds(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{} s", grouped(value)) } else { format!("{} s", digits(value)) }
}

/// `value` in the largest of `units` (each `step` times the one before) that leaves it at least 1.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    // 999.6 would be shown as 1000.
    while value >= step - 0.5
        && let Some(next) = units.next()
    {
        (value, unit) = (value / step, next);
    }
    if value >= 1_000.0 { format!("{} {unit}", grouped(value)) } else { format!("{} {unit}", digits(value)) }
}

/// Three digits that count, without zeros at the end: 1.25, 12.5, 125.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if places == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// 1500 as 1.5 k, 2000000 as 2 M.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 999_500.0 => format!("{} M", digits(value / 1e6)),
        size if size >= 1_000.0 => format!("{} k", digits(value / 1e3)),
        _ => digits(value),
    }
}

/// The whole number, thousands apart.
fn grouped(value: f64) -> String {
    let text = format!("{:.0}", value.abs());
    let mut out = String::from(if value <= -0.5 { "−" } else { "" });
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A date and a time of day, UTC, of seconds since 1970.
#[must_use]
pub fn date(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in years that end with February: the leap day is their last.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let shown = |unit: Unit, values: &[f64]| values.iter().map(|&v| unit.show(v)).collect::<Vec<_>>();
        assert_eq!(shown(Unit::Count, &[0.0, 999.0, 1_234_567.0]), ["0", "999", "1,234,567"]);
        assert_eq!(
            shown(Unit::Microseconds, &[0.0, 12.34, 999.9, 1_234.0, 56_789.0, 1_234_567.0]),
            ["0 µs", "12.3 µs", "1 ms", "1.23 ms", "56.8 ms", "1.23 s"]
        );
        assert_eq!(shown(Unit::Bytes, &[512.0, 2048.0, 5.0 * 1024.0 * 1024.0]), ["512 B", "2 KiB", "5 MiB"]);
        assert_eq!(shown(Unit::Bytes, &[3e10]), ["28,610 MiB"]);
        assert_eq!(shown(Unit::PerSecond, &[12.5, 40_000.4]), ["12.5/s", "40,000/s"]);
        assert_eq!(shown(Unit::Seconds, &[0.25, 3_600.0]), ["0.25 s", "3,600 s"]);
        assert_eq!(shown(Unit::Cores, &[0.456]), ["0.46 cores"]);
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(Unit::PerSecond.label(40_000.0), "40 k");
        assert_eq!(Unit::Count.label(1_500_000.0), "1.5 M");
        assert_eq!(Unit::Bytes.label(0.0), "0");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_825_599), "2000-02-29 11:59 UTC");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
