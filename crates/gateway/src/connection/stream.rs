//! The byte stream of a connection: TCP now, TLS later.
//!
//! Whoever has bytes writes them, from any thread, so a stream is shared and never blocks.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
#[cfg(feature = "uring")]
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a connection needs of its stream. All functions may be called from any thread.
pub(crate) trait ByteStream: Send + Sync + 'static {
    /// Whether there may be something to read; else the task is woken when there is.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Reads what is there; `WouldBlock` when nothing is, 0 at the end.
    fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Whether there may be room to write; else the task is woken when there is.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Writes what fits, in order; `WouldBlock` when nothing does.
    fn write_some(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// The socket, where what is written goes to it as it is: then a ring may write too.
    #[cfg(feature = "uring")]
    fn socket(&self) -> Option<BorrowedFd<'_>>;
    /// Says that no more will be written. What was written still arrives.
    fn finish(&self);
}

impl ByteStream for TcpStream {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(context)
    }

    fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut short = None;
        let socket = SockRef::from(self);
        let read = self.try_io(Interest::READABLE, || {
            let read = (&*socket).read(buffer)?;
            if read < buffer.len() {
                // Nothing is left: `WouldBlock` makes tokio forget the readiness it saw before this
                // read, which saves asking the kernel a second time.
                short = Some(read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(read)
        });
        match short {
            Some(read) => Ok(read),
            None => read,
        }
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(context)
    }

    fn write_some(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => Self::try_write(self, one), // plain send: no copying of the slice list
            many => self.try_write_vectored(many),
        }
    }

    #[cfg(feature = "uring")]
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    fn finish(&self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = SockRef::from(self).shutdown(Shutdown::Write);
    }
}
