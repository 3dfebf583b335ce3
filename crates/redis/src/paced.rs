//! A TCP stream that is not waited for while much comes, but looked at again and again.
//!
//! Where thousands of small messages a second arrive one by one, waking up for each costs more than all else that is
//! done with it: at 5,000 publishes a second to one subscriber each, 40 % of a node's time (prototype, docs/performance.md).
//! So a busy socket leaves epoll, and is read once a pace; what came meanwhile comes in one read. When it falls
//! quiet it goes back. Costs each event up to two paces, as timers of tokio are exact to a millisecond.

use std::io::{self, Read, Write};
use std::net;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// So many reads tell whether a socket is busy.
const SAMPLE: u32 = 32;
/// Reads within one pace that make it busy: fewer wake-ups would not pay for the timer.
const BUSY: u32 = 2;
/// So many looks in vain, one after the other, and it is quiet.
const QUIET: u32 = 8;

/// A stream with both ways of waiting.
pub(crate) struct Paced {
    mode: Mode,
    pace: Duration,
}

enum Mode {
    /// The runtime tells when something comes.
    Watched { stream: TcpStream, reads: u32, since: Instant },
    /// Nobody tells: it is read when `next` is over.
    Paced { stream: net::TcpStream, next: Pin<Box<Sleep>>, vain: u32 },
    /// While it changes; for ever after an error.
    Broken,
}

impl Paced {
    pub(crate) fn new(stream: TcpStream, pace: Duration) -> Self {
        Self { mode: Mode::Watched { stream, reads: 0, since: Instant::now() }, pace }
    }

    #[cfg(test)]
    pub(crate) fn is_paced(&self) -> bool {
        matches!(self.mode, Mode::Paced { .. })
    }

    /// Leaves epoll.
    fn pace(&mut self) -> io::Result<()> {
        self.mode = match std::mem::replace(&mut self.mode, Mode::Broken) {
            Mode::Watched { stream, .. } => {
                let next = Box::pin(sleep_until(Instant::now() + self.pace));
                Mode::Paced { stream: stream.into_std()?, next, vain: 0 }
            }
            other => other,
        };
        Ok(())
    }

    /// Goes back to epoll.
    fn watch(&mut self) -> io::Result<()> {
        self.mode = match std::mem::replace(&mut self.mode, Mode::Broken) {
            Mode::Paced { stream, .. } => {
                Mode::Watched { stream: TcpStream::from_std(stream)?, reads: 0, since: Instant::now() }
            }
            other => other,
        };
        Ok(())
    }

    /// Counts a read; whether it was one of many.
    fn is_busy(reads: &mut u32, since: &mut Instant, pace: Duration) -> bool {
        *reads += 1;
        if *reads < SAMPLE {
            return false;
        }
        let now = Instant::now();
        let took = now - std::mem::replace(since, now);
        *reads = 0;
        took < pace * (SAMPLE / BUSY)
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.mode {
                Mode::Watched { stream, reads, since } => {
                    ready!(Pin::new(stream).poll_read(context, buffer))?;
                    if Self::is_busy(reads, since, this.pace) {
                        this.pace()?;
                    }
                    return Poll::Ready(Ok(()));
                }
                Mode::Paced { stream, next, vain } => {
                    ready!(next.as_mut().poll(context));
                    let room = buffer.initialize_unfilled();
                    let asked = room.len();
                    match stream.read(room) {
                        Ok(read) => {
                            *vain = 0;
                            buffer.advance(read);
                            if read < asked {
                                next.as_mut().reset(Instant::now() + this.pace);
                            } // else there is more: the timer is over, and the next read comes at once
                            return Poll::Ready(Ok(()));
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            *vain += 1;
                            if *vain < QUIET {
                                next.as_mut().reset(Instant::now() + this.pace);
                            } else {
                                this.watch()?;
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Mode::Broken => return Poll::Ready(Err(broken())),
            }
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            match &mut this.mode {
                Mode::Watched { stream, .. } => return Pin::new(stream).poll_write(context, bytes),
                Mode::Paced { stream, .. } => match stream.write(bytes) {
                    // Only epoll tells when there is room.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => this.watch()?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    written => return Poll::Ready(written),
                },
                Mode::Broken => return Poll::Ready(Err(broken())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket keeps nothing back
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.mode {
            Mode::Watched { stream, .. } => Pin::new(stream).poll_shutdown(context),
            Mode::Paced { stream, .. } => Poll::Ready(stream.shutdown(net::Shutdown::Write)),
            Mode::Broken => Poll::Ready(Err(broken())),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("the stream could not be handed over between the runtime and us")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const PACE: Duration = Duration::from_millis(5);

    async fn pair() -> (TcpStream, Paced) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (near, far) =
            tokio::join!(TcpStream::connect(listener.local_addr().expect("bound")), listener.accept());
        let near = near.expect("connected");
        near.set_nodelay(true).expect("a socket");
        (far.expect("accepted").0, Paced::new(near, PACE))
    }

    /// Law: every byte comes once and in order, in both ways, while the stream becomes busy and quiet again.
    #[tokio::test]
    async fn a_busy_stream_is_paced_and_a_quiet_one_watched_and_no_byte_is_lost() {
        let (mut far, mut paced) = pair().await;
        let (mut sent, mut heard) = (0_u32, 0_u32);
        for _ in 0..2 {
            assert!(!paced.is_paced());
            // One by one, each after the one before was read: as busy as it gets.
            while !paced.is_paced() {
                far.write_u32(sent).await.expect("written");
                sent += 1;
                assert_eq!(paced.read_u32().await.expect("read"), heard);
                heard += 1;
                assert!(sent < 100_000, "it is never busy");
            }
            for _ in 0..10 {
                for _ in 0..500 {
                    far.write_u32(sent).await.expect("written");
                    sent += 1;
                }
                while heard < sent {
                    assert_eq!(paced.read_u32().await.expect("read"), heard);
                    heard += 1;
                }
                paced.write_u32(heard).await.expect("written");
                assert_eq!(far.read_u32().await.expect("read"), heard);
            }
            assert!(paced.is_paced());
            // Quiet: what comes then is heard at once.
            let (next, ()) = tokio::join!(paced.read_u32(), async {
                tokio::time::sleep(PACE * (QUIET + 4) * 2).await;
                far.write_u32(sent).await.expect("written");
            });
            assert_eq!(next.expect("read"), heard);
            (sent, heard) = (sent + 1, heard + 1);
        }
        drop(far);
        assert_eq!(paced.read(&mut [0; 4]).await.expect("the end"), 0);
    }

    /// Law: a write that finds no room waits for it; the stream goes back to epoll for that.
    #[tokio::test]
    async fn a_paced_stream_waits_for_room_to_write() {
        let (mut far, mut paced) = pair().await;
        while !paced.is_paced() {
            far.write_u8(1).await.expect("written");
            assert_eq!(paced.read_u8().await.expect("read"), 1);
        }
        let much = vec![7; 32 << 20];
        let (written, read) = tokio::join!(paced.write_all(&much), async {
            let mut back = vec![0; much.len()];
            far.read_exact(&mut back).await.map(|_| back)
        });
        written.expect("written");
        assert!(read.expect("read") == much);
    }
}
