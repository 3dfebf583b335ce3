//! What kind of machine the figures are from: what moves them, and nothing that names it.

use std::fs;

use serde::{Deserialize, Serialize};

/// What matters for the figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores to be used.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's version, without what a distribution adds.
    pub kernel: String,
    /// TCP's.
    pub congestion_control: String,
    /// The load average of the last minute when the benchmark began.
    pub load: f64,
}

impl Machine {
    /// Looks around. Ask before pinning: the cores are those this process may use.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let first = |text: String| text.split_whitespace().next().unwrap_or("unknown").to_owned();
        let kernel = first(read("/proc/sys/kernel/osrelease"));
        let memory = read("/proc/meminfo");
        let total = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: total.div_ceil(1024 * 1024),
            kernel: kernel.split('-').next().unwrap_or(&kernel).to_owned(),
            congestion_control: first(read("/proc/sys/net/ipv4/tcp_congestion_control")),
            load: first(read("/proc/loadavg")).parse().unwrap_or(0.0),
        }
    }
}

/// The day in UTC, as 2026-11-21.
#[must_use]
pub fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    day(since.as_secs() / 86_400)
}

/// `days` after 1970-01-01.
fn day(mut days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        for (days, date) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (11_017, "2000-03-01"), (20_778, "2026-11-21")]
        {
            assert_eq!(day(days), date);
        }
    }
}
