//! Many small sends in one system call: a ring of the kernel's `io_uring`.
//!
//! Sockets and bytes come in, what the kernel took of each goes out. Nothing here waits for a socket: every send
//! says "only what fits now", so the kernel is done with all of them when the call returns, and nothing outlives the
//! borrow. It must not know connections, outboxes or frames. The one crate with `unsafe`: a ring is told addresses.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use rustix::net::SendFlags;

/// Sends of one call at most; a caller with more makes another call.
pub const MOST: usize = 512;

/// Some bytes for one socket.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// Where to.
    pub socket: BorrowedFd<'a>,
    /// What: of more than 2 GiB only the first.
    pub bytes: &'a [u8],
}

/// One ring of the kernel. One call at a time uses it, from whatever thread.
pub struct Ring {
    ring: IoUring,
    /// By parcel: the kernel's answer, bytes or a negated error number.
    answers: Vec<i32>,
}

/// No send is answered with it, so it stands for "no answer yet".
const NO_ANSWER: i32 = i32::MIN;

impl Ring {
    /// Makes a ring, and tries it.
    ///
    /// # Errors
    /// When the kernel has no `io_uring` or does not let us use it (seccomp, `kernel.io_uring_disabled`).
    pub fn new() -> io::Result<Self> {
        let entries = u32::try_from(MOST).map_err(io::Error::other)?;
        let ring = IoUring::new(entries)?;
        let mut probe = io_uring::Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // A filter may let us make rings and not use them: with nothing to submit this is only a look.
        ring.submit()?;
        Ok(Self { ring, answers: Vec::with_capacity(MOST) })
    }

    /// Offers each parcel to its socket, in order, and says how many of its bytes were taken, as a non-blocking
    /// `send` would. Of more than [`MOST`] parcels only the first are offered: there are as many answers as sends.
    pub fn send(&mut self, parcels: &[Parcel<'_>]) -> impl ExactSizeIterator<Item = io::Result<usize>> {
        let parcels = &parcels[..parcels.len().min(MOST)];
        self.answers.clear();
        self.answers.resize(parcels.len(), NO_ANSWER);
        let flags = (SendFlags::DONTWAIT | SendFlags::NOSIGNAL).bits().cast_signed();
        {
            let mut queue = self.ring.submission();
            for (n, Parcel { socket, bytes }) in (0..).zip(parcels) {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(i32::MAX.cast_unsigned());
                let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length);
                let entry = send.flags(flags).build().user_data(n);
                // SAFETY: The kernel reads `bytes` and uses `socket` until it has answered. Both are borrowed for this
                // call, and the call does not return or unwind before every send is answered: `take_answers` aborts
                // the process if it cannot know that. Between here and there runs no code of others.
                if unsafe { queue.push(&entry) }.is_err() {
                    std::process::abort(); // a queue of MOST entries, emptied by the last call
                }
            }
        }
        self.take_answers();
        self.answers.iter().map(|&answer| match usize::try_from(answer) {
            Ok(taken) => Ok(taken),
            Err(_) => Err(io::Error::from_raw_os_error(answer.saturating_neg())),
        })
    }

    /// Returns when every send has its answer.
    fn take_answers(&mut self) {
        let mut missing = self.answers.len();
        while missing > 0 {
            match self.ring.submit_and_wait(missing) {
                Ok(_) => {}
                // Interrupted, or short of memory for a moment: what was not submitted still stands in the queue.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
                        || error.kind() == io::ErrorKind::ResourceBusy => {}
                // The ring is broken, and what it still reads nobody knows.
                Err(_) => std::process::abort(),
            }
            for completion in self.ring.completion() {
                let at = usize::try_from(completion.user_data()).ok();
                match at.and_then(|at| self.answers.get_mut(at)) {
                    Some(answer) if *answer == NO_ANSWER => *answer = completion.result(),
                    _ => std::process::abort(), // an answer to nothing: the same
                }
                missing -= 1;
            }
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
