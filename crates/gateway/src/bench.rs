//! The last part of an event's way, for micro benchmarks: from events to slices, from a slice through a connection into a
//! socket. Built with the feature `bench` only, which no crate may switch on.

use std::io::{self, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll};

use tidegate_core::hub::{ChannelKey, Hub};
use tidegate_core::{ChannelName, Event, OutboxLimits};
use tidegate_metrics::Metrics;

use crate::clock::Clock;
use crate::connection::{ByteStream, Connection, Shared, Staged};
use crate::wire::{Encoded, Format, Slice};

/// The wire formats, by name.
pub const FORMATS: [&str; 5] = ["json", "msgpack", "plain", "sse_one", "sse_many"];

fn format(name: &str) -> Format {
    match name {
        "json" => Format::Json,
        "msgpack" => Format::MessagePack,
        "sse_one" => Format::SseOne,
        "sse_many" => Format::SseMany,
        _ => Format::Plain,
    }
}

/// Encodes a batch of events once, as the first subscriber with this format makes a lane do. Returns the slices.
#[must_use]
pub fn encode(name: &str, channel: &ChannelName, events: &[Event]) -> usize {
    Encoded::new(channel, events).get(format(name)).len()
}

/// A connection whose socket is one end of a pair.
pub struct Line {
    connection: Connection<UnixStream>,
    key: ChannelKey,
    slice: Slice,
    peer: UnixStream,
    heard: Vec<u8>,
}

impl Line {
    /// Opens one, and makes the slice that goes through it.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn open(channel: &ChannelName, event: &Event) -> io::Result<Self> {
        let (stream, peer) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let metrics = Metrics::new("bench", "memory");
        let shared = Arc::new(Shared {
            outbox: OutboxLimits::default(),
            clock: Clock::start(),
            outbox_bytes: metrics.outbox_bytes.clone(),
            dropped_slow: metrics.dropped("slow"),
        });
        let key = Hub::new(1).join(channel, ()).seat.channel();
        let slice = Encoded::new(channel, std::slice::from_ref(event)).get(Format::Plain)[0].clone();
        let connection = Connection::new(stream, Format::Plain, shared);
        Ok(Self { connection, key, slice, peer, heard: vec![0; 64 << 10] })
    }

    /// Stages the slice so often, flushes once, and reads at the other end. Returns the bytes that came.
    ///
    /// # Errors
    /// When the kernel took less than all, so that there is nothing to compare.
    pub fn pass(&mut self, times: usize) -> io::Result<usize> {
        for _ in 0..times {
            if self.connection.stage(&self.slice, self.key) == Staged::Refused {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        self.connection.flush();
        if self.connection.is_blocked() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.peer.read(&mut self.heard)
    }
}

impl ByteStream for UnixStream {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self;
        stream.read(buffer)
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn write_some(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self;
        match slices {
            [one] => stream.write(one),
            many => stream.write_vectored(many),
        }
    }

    #[cfg(feature = "uring")]
    fn socket(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None // what is measured here is one write a connection
    }

    fn finish(&self) {
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}
