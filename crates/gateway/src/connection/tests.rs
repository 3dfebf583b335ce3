//! The laws of writing: order, whole frames, bounds, the last words.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::Bytes;
use tidegate_core::Close;
use tidegate_core::hub::{ChannelKey, Hub};
use tidegate_metrics::Metrics;

#[cfg(feature = "uring")]
mod flight;

use super::writing::*;
use super::*;
use crate::wire::Slice;

/// A socket with room for so many bytes.
#[derive(Default)]
struct Pipe {
    room: Mutex<usize>,
    written: Mutex<Vec<u8>>,
    finished: Mutex<bool>,
    broken: bool,
    /// What a ring would be given.
    #[cfg(feature = "uring")]
    socket: Option<std::os::unix::net::UnixStream>,
}

impl ByteStream for Pipe {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
    fn read_some(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
    fn write_some(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut room = self.room.lock();
        let bytes: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).take(*room).collect();
        if bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        *room -= bytes.len();
        self.written.lock().extend_from_slice(&bytes);
        Ok(bytes.len())
    }
    #[cfg(feature = "uring")]
    fn socket(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.socket.as_ref().map(std::os::fd::AsFd::as_fd)
    }
    fn finish(&self) {
        *self.finished.lock() = true;
    }
}

struct Bench {
    connection: Arc<Connection<Pipe>>,
    metrics: Metrics,
    channel: ChannelKey,
}

impl Bench {
    fn new(room: usize) -> Self {
        Self::with(Pipe { room: Mutex::new(room), ..Pipe::default() }, Format::Plain)
    }

    fn with(pipe: Pipe, format: Format) -> Self {
        let metrics = Metrics::new("test", "memory");
        let shared = Arc::new(Shared {
            outbox: OutboxLimits { entries: 4, bytes: 100 },
            clock: Clock::start(),
            outbox_bytes: metrics.outbox_bytes.clone(),
            dropped_slow: metrics.dropped("slow"),
        });
        let hub = Hub::new(1);
        let channel = hub.join(&"a".parse().unwrap(), ()).seat.channel();
        Self { connection: Arc::new(Connection::new(pipe, format, shared)), metrics, channel }
    }

    fn stage(&self, text: &'static str) -> Staged {
        self.connection.stage(
            &Slice { bytes: Bytes::from_static(text.as_bytes()), events: 1, listed: None },
            self.channel,
        )
    }

    fn give_room(&self, room: usize) {
        *self.connection.stream.room.lock() = room;
        self.connection.resume();
    }

    fn written(&self) -> Vec<u8> {
        self.connection.stream.written.lock().clone()
    }

    fn is_finished(&self) -> bool {
        *self.connection.stream.finished.lock()
    }

    fn is_woken_for(&self, why: u8) -> bool {
        self.connection.wakes.swap(0, Ordering::AcqRel) & why != 0
    }
}

#[test]
fn what_is_staged_together_leaves_in_order_at_the_flush() {
    let bench = Bench::new(100);
    assert_eq!((bench.stage("a"), bench.stage("b")), (Staged::First, Staged::Behind));
    assert_eq!(bench.written(), b"");
    bench.connection.flush();
    assert_eq!(bench.written(), b"ab");
    assert_eq!(bench.stage("c"), Staged::First, "the next batch has its own first");
}

#[test]
fn a_blocked_connection_gathers_and_its_task_goes_on() {
    let bench = Bench::new(2);
    bench.stage("first");
    bench.connection.flush();
    assert!(bench.connection.is_blocked() && bench.is_woken_for(wake::OUTBOX));
    assert_eq!(bench.stage("second"), Staged::Behind, "nobody but the task flushes now");
    bench.connection.send(Bytes::from_static(b"reply"));
    assert_eq!((bench.written(), bench.metrics.outbox_bytes.get()), (b"fi".to_vec(), 14));
    bench.give_room(100);
    assert_eq!(bench.written(), b"firstsecondreply");
    assert_eq!((bench.connection.is_blocked(), bench.metrics.outbox_bytes.get()), (false, 0));
}

#[test]
fn overflow_keeps_the_half_written_frame_and_says_why() {
    let bench = Bench::new(2);
    for text in ["first", "second", "third", "fourth"] {
        bench.stage(text);
        bench.connection.flush();
    }
    assert_eq!(bench.stage("fifth"), Staged::Refused);
    assert_eq!(bench.metrics.dropped("slow").get(), 4, "three that waited and the one too many");
    assert_eq!(bench.stage("sixth"), Staged::Refused, "a closing connection takes nothing");
    bench.give_room(1000);
    let written = bench.written();
    assert_eq!(&written[..6], b"first\x88", "the rest of the frame, then the close");
    assert_eq!(&written[7..9], &4100u16.to_be_bytes());
    assert!(bench.is_finished());
    assert_eq!(bench.connection.end(), Some(Close::Slow));
}

#[test]
fn a_batch_above_the_limits_is_no_fault_of_a_socket_with_room() {
    let bench = Bench::new(10_000);
    let text: &'static str = "a text of forty bytes, more or less.....";
    for _ in 0..50 {
        assert_ne!(bench.stage(text), Staged::Refused);
    }
    bench.connection.flush();
    assert_eq!(bench.written().len(), 50 * text.len());
}

#[test]
fn a_close_stands_behind_what_waits() {
    let bench = Bench::new(1);
    bench.stage("event");
    bench.connection.flush();
    bench.connection.close(Close::Draining, Some(Bytes::from_static(b"|bye")));
    bench.connection.close(Close::Internal, Some(Bytes::from_static(b"|again")));
    assert!(!bench.is_finished());
    bench.give_room(100);
    assert_eq!(bench.written(), b"event|bye");
    assert!(bench.is_finished());
    assert_eq!(bench.connection.end(), Some(Close::Draining), "the first reason counts");
}

#[test]
fn what_came_before_the_head_stands_behind_it() {
    let bench = Bench::new(100);
    bench.connection.hold();
    assert_eq!(bench.stage("event"), Staged::Behind);
    bench.connection.flush();
    assert_eq!(bench.written(), b"");
    bench.connection.release(Bytes::from_static(b"head "));
    assert_eq!(bench.written(), b"head event");
}

#[test]
fn a_held_connection_is_refused_in_http() {
    for close in [Close::Draining, Close::Slow] {
        let bench = Bench::new(1000);
        bench.connection.hold();
        bench.stage("event");
        bench.connection.close(close, Some(Bytes::from_static(b"frame")));
        assert_eq!(bench.written(), NOT_OPENED);
    }
}

#[test]
fn a_broken_socket_ends_the_connection_and_frees_its_bytes() {
    let bench = Bench::with(Pipe { broken: true, ..Pipe::default() }, Format::Json);
    bench.stage("event");
    bench.connection.flush();
    assert!(bench.is_woken_for(wake::KILL));
    assert_eq!((bench.stage("next"), bench.metrics.outbox_bytes.get()), (Staged::Refused, 0));
}

#[test]
fn a_connection_at_rest_is_small() {
    // tokio adds 120 bytes to a task, and gives it whole lines of 128: 384 in all. The other is counted by two
    // words, and the allocator's next size below is 192.
    assert!(size_of::<Serve>() <= 264, "a task would be 512 bytes: {}", size_of::<Serve>());
    assert!(size_of::<Peer>() <= 208, "what is shared would be 256 bytes: {}", size_of::<Peer>());
}
