//! What a process uses: memory, time of processors, descriptors, as Linux tells it.

use std::fs;
use std::time::Duration;

/// What one process uses. All zero when it is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory it has for itself.
    pub memory: u64,
    /// Time on processors, of its own and of the kernel for it.
    pub cpu: Duration,
    /// Open descriptors.
    pub files: usize,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may hold anything; what follows the last bracket is numbers. utime and stime are fields 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        let second = rustix::param::clock_ticks_per_second().max(1);
        Self {
            memory: Self::memory(pid),
            cpu: Duration::from_millis(ticks * 1000 / second),
            files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        }
    }

    /// Bytes of memory that this process has for itself: cheap enough to be asked for every few milliseconds.
    pub fn memory(pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        kib.map_or(0, |kib| kib << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_takes_is_seen() {
        let pid = std::process::id();
        let before = Usage::of(pid);
        let taken = std::hint::black_box(vec![1u8; 64 << 20]); // or the compiler leaves it out
        let with = Usage::of(pid);
        // Other tests of this process take and give back at the same time, but not nearly as much.
        let half = taken.len() as u64 / 2;
        assert!(with.memory >= before.memory + half && with.files > 2, "{before:?} {with:?}");
        drop(taken);
        assert!(Usage::memory(pid) + half <= with.memory);
        assert_eq!(Usage::of(u32::MAX), Usage::default());
    }
}
