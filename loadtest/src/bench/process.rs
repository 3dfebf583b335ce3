//! A server process under measurement: started on one core, its CPU time and memory read from
//! /proc, ended with its owner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the server under measurement.
pub const SERVER_CORE: usize = 0;
/// The core of everything else: generator and Redis.
pub const OTHER_CORE: usize = 1;

/// One child process; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

/// Keeps the calling thread, and what it starts from now on, on one core.
///
/// # Errors
/// When the machine has no such core.
pub fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
        .with_context(|| format!("the benchmark needs core {core}: two cores in all"))
}

impl Server {
    /// Starts `program` on `core` and comes back to [`OTHER_CORE`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, args: &[&str], core: usize) -> Result<Self> {
        // Where setpriv is at hand the kernel ends the child even if we are killed.
        let mut command = if Path::new("/usr/bin/setpriv").exists() {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEGATE_") {
                command.env_remove(name);
            }
        }
        command.env("TIDEGATE_LOG", "warn");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        pin(core)?;
        let child = command.spawn().with_context(|| format!("starting {}", program.display()));
        pin(OTHER_CORE)?;
        Ok(Self { child: child? })
    }

    /// Waits for its first line on standard output.
    ///
    /// # Errors
    /// When it ends before it has said anything.
    pub fn first_line(&mut self) -> Result<String> {
        let output = self.child.stdout.take().context("its output was taken before")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "it ended without a word");
        Ok(line.trim_end().to_owned())
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time of all its threads so far, user and system, in nanoseconds. The scheduler's own
    /// count: the ticks of /proc/PID/stat are 10 ms each.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum +=
                text.split(' ').next().and_then(|time| time.parse::<u64>().ok()).context("no schedstat")?;
        }
        Ok(sum)
    }

    /// Resident memory of its own (not of files), in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        anonymous(&status).context("no RssAnon")
    }
}

fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(anonymous("VmRSS:\t  10 kB\nRssAnon:\t    5120 kB\n"), Some(5120 * 1024));
        assert_eq!(anonymous("Name:\tx\n"), None);
    }
}
