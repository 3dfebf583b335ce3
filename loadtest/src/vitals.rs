//! What processes cost, as the kernel counts it in /proc: CPU time and memory of their own.
//!
//! Process ids come in, sums come out. It knows neither who they are nor what they do.

use std::fs;

use anyhow::{Result, ensure};

/// Processes that are watched together, as the nodes of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Vitals(Vec<u32>);

/// What they have used and hold at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads that are left, user and system, in nanoseconds.
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
            ensure!(usage(pid).is_some(), "no process {pid} whose CPU time and memory can be read");
        }
        Ok(Self(pids.to_vec()))
    }

    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self(vec![std::process::id()])
    }

    /// The sum of all; `None` when none is watched, or one has ended.
    #[must_use]
    pub fn look(&self) -> Option<Usage> {
        let mut sum = None;
        for &pid in &self.0 {
            let (Usage { cpu, memory }, one) = (sum.unwrap_or_default(), usage(pid)?);
            sum = Some(Usage { cpu: cpu + one.cpu, memory: memory + one.memory });
        }
        sum
    }
}

fn usage(pid: u32) -> Option<Usage> {
    let mut cpu = 0;
    // The scheduler's own count: the ticks of /proc/PID/stat are 10 ms each.
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        cpu += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    let memory = anonymous(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
    Some(Usage { cpu, memory })
}

fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(anonymous("VmRSS:\t  10 kB\nRssAnon:\t    5120 kB\n"), Some(5120 * 1024));
        assert_eq!(anonymous("Name:\tx\n"), None);
    }

    #[test]
    fn we_see_ourselves_and_several_add_up() {
        let own = Vitals::own().look().unwrap();
        assert!(own.cpu > 0 && own.memory > 0);
        let twice = Vitals(vec![std::process::id(); 2]).look().unwrap();
        assert!(twice.cpu >= 2 * own.cpu);
    }

    #[test]
    fn nobody_is_nothing_and_a_stranger_is_refused() {
        assert_eq!(Vitals::default().look(), None);
        // Above the largest process id that Linux gives.
        let error = Vitals::new(&[5_000_000]).unwrap_err().to_string();
        assert!(error.contains("5000000"), "{error}");
    }
}
