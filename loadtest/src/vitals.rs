//! What processes cost, as the kernel counts it in /proc: CPU time and memory of their own.
//!
//! Process ids come in, sums come out. It knows neither who they are nor what they do.

use std::collections::HashMap;
use std::fs;

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};

/// Processes that are watched together, as the nodes of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    pids: Vec<u32>,
    /// What each thread had used when it was last seen. A thread that ends takes its count along.
    threads: HashMap<u32, u64>,
    /// The sum of what all threads were seen to use.
    cpu: u64,
}

/// What they have used and hold at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads, user and system, in nanoseconds; it never goes down.
    pub cpu: u64,
    /// Resident memory of their own, not of files, in bytes.
    pub memory: u64,
}

impl Vitals {
    /// Watches the processes `pids`.
    ///
    /// # Errors
    /// When one of them is not there, or not ours to look at.
    pub fn new(pids: &[u32]) -> Result<Self> {
        for &pid in pids {
            ensure!(
                threads(pid).is_some() && memory(pid).is_some(),
                "no process {pid} whose CPU time and memory can be read"
            );
        }
        Ok(Self { pids: pids.to_vec(), ..Self::default() })
    }

    /// The sum of all; `None` when none is watched, or one has ended.
    pub fn look(&mut self) -> Option<Usage> {
        let mut sum = None;
        let mut seen = HashMap::new();
        for &pid in &self.pids {
            sum = Some(sum.unwrap_or(0) + memory(pid)?);
            seen.extend(threads(pid)?);
        }
        let before = std::mem::replace(&mut self.threads, seen);
        for (thread, now) in &self.threads {
            // A number may be given again: then it counts from 0.
            self.cpu += now.checked_sub(before.get(thread).copied().unwrap_or(0)).unwrap_or(*now);
        }
        Some(Usage { cpu: self.cpu, memory: sum? })
    }

    /// The CPU time that they were seen to use, in nanoseconds. Who has ended counts as seen last.
    pub fn cpu(&mut self) -> u64 {
        self.look();
        self.cpu
    }
}

/// CPU time of this process, threads that have ended included, in nanoseconds.
#[must_use]
pub fn own_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// What each thread has used, in nanoseconds. The scheduler's own count: the ticks of /proc/PID/stat are 10 ms each.
pub(crate) fn threads(pid: u32) -> Option<HashMap<u32, u64>> {
    let mut threads = HashMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = task.ok()?;
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let thread = task.file_name().to_str()?.parse().ok()?;
        threads.insert(thread, text.split(' ').next()?.parse().ok()?);
    }
    Some(threads)
}

/// Resident memory of its own (not of files), in bytes.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    anonymous(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(anonymous("VmRSS:\t  10 kB\nRssAnon:\t    5120 kB\n"), Some(5120 * 1024));
        assert_eq!(anonymous("Name:\tx\n"), None);
    }

    #[test]
    fn time_of_threads_that_have_ended_stays() {
        let mut vitals = Vitals::new(&[std::process::id()]).unwrap();
        let before = vitals.look().unwrap();
        assert!(before.memory > 0);
        let (work, seen) = (Barrier::new(2), Barrier::new(2));
        let used = thread::scope(|scope| {
            scope.spawn(|| {
                let from = own_cpu();
                while own_cpu() - from < 20_000_000 {}
                work.wait();
                seen.wait();
            });
            work.wait();
            let used = vitals.look().unwrap();
            seen.wait();
            used
        });
        assert!(used.cpu >= before.cpu);
        assert!(vitals.look().unwrap().cpu >= used.cpu, "the thread has ended, its time has not");
    }

    #[test]
    fn nobody_is_nothing_and_a_stranger_is_refused() {
        assert_eq!(Vitals::default().look(), None);
        // Above the largest process id that Linux gives.
        let error = Vitals::new(&[5_000_000]).unwrap_err().to_string();
        assert!(error.contains("5000000"), "{error}");
    }
}
