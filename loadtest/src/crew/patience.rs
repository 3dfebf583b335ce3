//! Reading the news of a worker that may never say anything again: frozen by a signal or a debugger, or out of memory.
//!
//! A sound worker speaks every second, as long as the series goes on, and at once when it is told to end. It knows a
//! pipe and how long is too long, not what is said.

use std::io::{self, ErrorKind, Read};
use std::process::ChildStdout;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often it is looked whether silence counts. Silence is counted in these, not by a clock: when this process does not
/// run itself (both were stopped at the terminal), nobody is to blame.
const LOOK: Duration = Duration::from_millis(100);
/// The longest silence of a small run.
const SILENCE: Duration = Duration::from_secs(10);
/// A worker that opens or judges so many connections may take a second longer.
const A_SECOND: u32 = 10_000;

/// A worker's news, for as long as it is not silent for too long.
#[derive(Debug)]
pub(super) struct Patience<O> {
    news: ChildStdout,
    longest: Duration,
    silent: Duration,
    spoken: bool,
    /// Whether a worker must speak that has never spoken.
    due: O,
}

/// The longest silence of a worker in a run with so many connections.
pub(super) fn longest(connections: u32) -> Duration {
    SILENCE + Duration::from_secs(u64::from(connections / A_SECOND))
}

impl<O: Fn() -> bool> Patience<O> {
    pub(super) fn new(news: ChildStdout, longest: Duration, due: O) -> Self {
        Self { news, longest, silent: Duration::ZERO, spoken: false, due }
    }
}

/// A silence that is too long is [`ErrorKind::TimedOut`], also in the middle of a message.
impl<O: Fn() -> bool> Read for Patience<O> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let look = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        loop {
            let mut pipe = [PollFd::new(&self.news, PollFlags::IN)];
            match poll(&mut pipe, Some(&look)) {
                Ok(0) => {}
                Ok(_) => {
                    (self.spoken, self.silent) = (true, Duration::ZERO);
                    return self.news.read(buffer);
                }
                Err(error) => return Err(error.into()),
            }
            // At first it looks for the gateway's address; and all together have a time to be open.
            if self.spoken || (self.due)() {
                self.silent += LOOK;
            }
            if self.silent >= self.longest {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}
