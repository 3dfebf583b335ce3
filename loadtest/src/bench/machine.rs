//! What kind of machine the figures are from: what moves them, and nothing that names it.

use std::fs;

use serde::Serialize;

/// What matters for the figures.
#[derive(Clone, Debug, Serialize)]
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
