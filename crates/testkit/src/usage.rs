//! What a process uses: memory, time of processors, descriptors, as Linux tells it.

use std::fs;
use std::time::Duration;

/// What one process uses. All zero when it is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory it has for itself.
    pub memory: u64,
    /// The most of it that there was at once, since its start or [`Usage::forget_peak`]; pages of files included.
    pub peak: u64,
    /// Time on processors, of its own and of the kernel for it.
    pub cpu: Duration,
    /// Open descriptors.
    pub files: usize,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok());
            kib.map_or(0, |kib: u64| kib << 10)
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may hold anything; what follows the last bracket is numbers. utime and stime are fields 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        let second = rustix::param::clock_ticks_per_second().max(1);
        Self {
            memory: bytes("RssAnon"),
            peak: bytes("VmHWM"),
            cpu: Duration::from_millis(ticks * 1000 / second),
            files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        }
    }

    /// From now on [`Usage::peak`] of the process counts anew.
    ///
    /// # Errors
    /// When the process is another user's.
    pub fn forget_peak(pid: u32) -> std::io::Result<()> {
        fs::write(format!("/proc/{pid}/clear_refs"), "5")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_takes_is_seen_and_a_peak_is_forgotten() {
        let pid = std::process::id();
        let before = Usage::of(pid);
        let taken = vec![1u8; 64 << 20];
        let with = Usage::of(pid);
        assert!(with.memory >= before.memory + taken.len() as u64 && with.files > 2, "{before:?} {with:?}");
        drop(taken);
        assert!(Usage::of(pid).peak >= with.memory);
        Usage::forget_peak(pid).expect("our own");
        let after = Usage::of(pid);
        assert!(after.peak < with.peak, "{with:?} {after:?}");
        assert_eq!(Usage::of(u32::MAX), Usage::default());
    }
}
