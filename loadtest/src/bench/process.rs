//! A server process under measurement: started on one core, its CPU time and memory read from
//! /proc, ended with its owner.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::vitals;

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

    /// CPU time of all its threads so far, user and system, in nanoseconds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<u64> {
        Ok(vitals::threads(self.child.id()).context("no schedstat")?.into_values().sum())
    }

    /// Resident memory of its own (not of files), in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<u64> {
        vitals::memory(self.child.id()).context("no RssAnon")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
