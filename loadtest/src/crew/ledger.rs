//! Counters that all processes of a run see at once: a file in memory, of which each counter has one writer.
//!
//! Without them a worker would learn late how many events a channel has, and could not say of a connection that comes
//! in what it must hear. It knows no pipes and no processes: numbers only.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, memfd_create};

/// Each counter stands there twice: whoever reads while it is written sees two numbers, and reads again.
const WIDTH: usize = 16;

/// What each worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Connections that came in.
    Open,
    /// Those that are away now.
    Absent,
    /// Attempts to connect that failed.
    Failures,
    /// Events to connections.
    Delivered,
}

/// So many counters a worker has.
const COUNTS: usize = 4;

/// The shared counters: of each worker those of [`Count`], of each channel the events sent.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    workers: u32,
}

impl Ledger {
    /// A new one, all 0, that is gone with the last process that has it open.
    ///
    /// # Errors
    /// When the kernel has no such files.
    pub fn create(workers: u32) -> Result<Self> {
        let file: OwnedFd =
            memfd_create("tidegate-loadtest", MemfdFlags::CLOEXEC).context("a file in memory")?;
        Ok(Self { file: file.into(), workers })
    }

    /// That of another process.
    ///
    /// # Errors
    /// When that process has ended.
    pub fn open(path: &Path, workers: u32) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Self { file: file.with_context(|| path.display().to_string())?, workers })
    }

    /// Where other processes find it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// A worker writes one of its own counters.
    pub fn count(&self, worker: u32, count: Count, value: u64) {
        self.write(worker as usize * COUNTS + count as usize, value);
    }

    /// Over all workers. What counts up and down is a sum of two's complements.
    #[must_use]
    pub fn sum(&self, count: Count) -> u64 {
        let each = (0..self.workers as usize).map(|worker| self.read(worker * COUNTS + count as usize));
        each.fold(0, u64::wrapping_add)
    }

    /// The publisher of a channel writes how many events are sent, or about to be.
    pub fn send(&self, channel: u32, sent: u64) {
        self.write(self.workers as usize * COUNTS + channel as usize, sent);
    }

    /// How many that are.
    #[must_use]
    pub fn sent(&self, channel: u32) -> u64 {
        self.read(self.workers as usize * COUNTS + channel as usize)
    }

    fn write(&self, place: usize, value: u64) {
        let value = value.to_ne_bytes();
        // Memory may be full: then the counter stays behind, and the run fails for what seems to be missing.
        let _ = self.file.write_all_at(&[value, value].concat(), (place * WIDTH) as u64);
    }

    fn read(&self, place: usize) -> u64 {
        loop {
            let mut halves = [0; WIDTH];
            // Beyond what was ever written there is nothing: 0.
            if self.file.read_exact_at(&mut halves, (place * WIDTH) as u64).is_err() {
                return 0;
            }
            if halves[..WIDTH / 2] == halves[WIDTH / 2..] {
                return halves.first_chunk().map_or(0, |half| u64::from_ne_bytes(*half));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn another_process_sees_the_sums_and_every_channel() {
        let ours = Ledger::create(3).unwrap();
        let theirs = Ledger::open(&ours.path(), 3).unwrap();
        assert_eq!((ours.sum(Count::Delivered), theirs.sent(999_998)), (0, 0));
        theirs.count(0, Count::Delivered, 5);
        theirs.count(2, Count::Delivered, 1 << 40);
        theirs.count(1, Count::Absent, (-2_i64).cast_unsigned());
        theirs.count(2, Count::Absent, 3);
        ours.send(0, 7);
        ours.send(999_998, 9);
        assert_eq!((ours.sum(Count::Delivered), ours.sum(Count::Absent)), ((1 << 40) + 5, 1));
        assert_eq!((theirs.sent(0), theirs.sent(1), theirs.sent(999_998)), (7, 0, 9));
    }

    #[test]
    fn a_counter_is_never_seen_half_written() {
        let ledger = Ledger::create(1).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for value in 0..20_000_u64 {
                    // All bytes change at once.
                    ledger.send(0, value % 256 * 0x0101_0101_0101_0101);
                }
            });
            for _ in 0..20_000 {
                let bytes = ledger.sent(0).to_ne_bytes();
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{bytes:?}");
            }
        });
    }
}
