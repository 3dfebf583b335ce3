//! The writing half of a connection: staging, flushing, closing.
//!
//! ```text
//! open ──stage, flush──► all written
//!  │ └─part written────► blocked: the task waits for room, writes the rest
//!  ├─take off──► aloft: others only append ──land──► as after a write
//!  ├─overflow, or 5 s blocked─► closing: a half-written entry stays, the rest goes, then the close frame
//!  └─close─────────────► closing ──drained──► finished: the peer's end, or 5 s ──► dead
//! ```

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tidegate_core::hub::ChannelKey;
use tidegate_core::{Close, Entry, Outbox};

use super::extra::Extra;
use super::{ByteStream, Connection, wake};
use crate::wire::Slice;

/// Slices that leave in one write at most (`IOV_MAX` is 1024; more than 64 brings nothing).
const WRITE_SLICES: usize = 64;

/// What a bare door's client reads when its connection ends before its channels were confirmed.
pub(super) const NOT_OPENED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
                            Content-Length: 0\r\nConnection: close\r\n\r\n";

/// What it reads when it broke the rules before: coming back would not help.
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) outbox: Outbox,
    pub(super) state: State,
    /// The kernel had no room; the task goes on when it has.
    pub(super) blocked: bool,
    /// Its one entry is with the kernel, in a flight that holds no lock: others only append.
    pub(super) aloft: bool,
    /// Something was staged, and whoever staged it first will flush.
    pub(super) staged: bool,
    /// Bytes of this outbox in the gauge.
    gauged: u32,
    /// Why it closes, once it does.
    close: Option<Close>,
    pub(super) extra: Option<Box<Extra>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Entries gather but are not written: the head of the response is still to come.
    Held,
    #[default]
    Open,
    /// Takes nothing more; ends when all is written.
    Closing,
    /// All is written and the stream is finished.
    Finished,
    Dead,
}

/// What became of a staged entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Staged {
    /// It is the first: the caller flushes, at the end of its batch.
    First,
    /// Somebody will flush: who staged before, or the task.
    Behind,
    /// Not taken: the connection is closing.
    Refused,
}

impl<B: ByteStream> Connection<B> {
    /// Whether bytes wait for the kernel.
    pub(crate) fn is_blocked(&self) -> bool {
        self.out.lock().blocked
    }

    /// Keeps what is staged from now on until [`Connection::release`].
    pub(crate) fn hold(&self) {
        self.out.lock().state = State::Held;
    }

    /// Puts `head` before what gathered, and writes all.
    pub(crate) fn release(&self, head: Bytes) {
        let mut out = self.out.lock();
        if out.state == State::Held {
            out.outbox.push_head(head);
            out.state = State::Open;
            self.write(&mut out);
        }
    }

    /// Stages events of a channel. Overflow closes the connection as slow.
    pub(crate) fn stage(&self, slice: &Slice, channel: ChannelKey) -> Staged {
        let mut out = self.out.lock();
        self.await_landing(&mut out, Some(slice.bytes.len()));
        let bytes = match (slice.listed, &mut out.extra) {
            (Some(position), Some(extra)) => {
                let mut bytes = slice.bytes.to_vec();
                extra.list.end(&mut bytes, channel, position);
                bytes.into()
            }
            _ => slice.bytes.clone(),
        };
        self.stage_entry(&mut out, Entry { bytes, channel: Some(channel), events: slice.events })
    }

    /// Stages what stands together, as few entries: those of a whole page must not fill an outbox by their number.
    pub(crate) fn stage_page(&self, slices: &[Slice], channel: ChannelKey) {
        let mut out = self.out.lock();
        self.await_landing(&mut out, None);
        if let Some(extra) = &mut out.extra
            && slices.iter().any(|slice| slice.listed.is_some())
        {
            let (mut bytes, mut events) = (Vec::new(), 0);
            for slice in slices {
                bytes.extend_from_slice(&slice.bytes);
                events += slice.events;
                if let Some(position) = slice.listed {
                    extra.list.end(&mut bytes, channel, position);
                }
            }
            self.stage_entry(&mut out, Entry { bytes: bytes.into(), channel: Some(channel), events });
            return;
        }
        for Slice { bytes, events, .. } in slices {
            self.stage_entry(
                &mut out,
                Entry { bytes: bytes.clone(), channel: Some(channel), events: *events },
            );
        }
    }

    fn stage_entry(&self, out: &mut Out, entry: Entry) -> Staged {
        if !matches!(out.state, State::Open | State::Held) {
            return Staged::Refused;
        }
        let events = u64::from(entry.events);
        let mut pushed = out.outbox.push(entry.clone(), &self.shared.outbox);
        if pushed.is_err() && out.state == State::Open && !out.blocked {
            // One batch may be more than an outbox holds: only a socket without room makes it slow.
            self.write(out);
            pushed = match out.state {
                State::Open => out.outbox.push(entry, &self.shared.outbox),
                _ => return Staged::Refused,
            };
        }
        if let Err(overflow) = pushed {
            self.shared.dropped_slow.inc_by(events);
            let message = format!("the client reads too slowly: {overflow}");
            self.cut(out, Close::Slow, &message);
            return Staged::Refused;
        }
        if out.blocked || out.state == State::Held {
            self.gauge(out); // it stays a while; what is flushed at once is not worth counting
            return Staged::Behind;
        }
        if out.staged {
            return Staged::Behind;
        }
        out.staged = true;
        Staged::First
    }

    /// Writes what is staged, as far as the kernel takes it.
    pub(crate) fn flush(&self) {
        let mut out = self.out.lock();
        out.staged = false;
        if out.state == State::Open && !out.blocked {
            self.write(&mut out);
        }
    }

    /// Stages a frame that belongs to no channel; the caller flushes at the end of its turn.
    pub(crate) fn stage_reply(&self, bytes: Bytes) {
        self.reply(bytes);
    }

    fn reply(&self, bytes: Bytes) -> Staged {
        let mut out = self.out.lock();
        self.await_landing(&mut out, Some(bytes.len()));
        self.stage_entry(&mut out, Entry::reply(bytes))
    }

    /// Stages a frame that belongs to no channel, and writes at once.
    pub(crate) fn send(&self, bytes: Bytes) {
        if self.reply(bytes) == Staged::First {
            self.flush();
        }
    }

    /// Closes behind what waits: `last` is written, then the stream is finished.
    pub(crate) fn close(&self, close: Close, last: Option<Bytes>) {
        let mut out = self.out.lock();
        match out.state {
            State::Open => self.finish_with(&mut out, close, last),
            State::Held => self.cut(&mut out, close, ""),
            State::Closing | State::Finished | State::Dead => {}
        }
    }

    /// Closes because the node stops.
    pub(crate) fn goodbye(&self) {
        self.close(Close::Draining, self.format.close(Close::Draining, ""));
    }

    /// Closes because the peer takes nothing of what waits. That is dropped at once; the peer has until
    /// the end of closing to read why.
    pub(crate) fn give_up(&self) {
        let mut out = self.out.lock();
        if out.blocked && matches!(out.state, State::Open | State::Held) {
            let message =
                format!("the client took nothing for 5 s while {} bytes waited", out.outbox.bytes());
            self.cut(&mut out, Close::Slow, &message);
        }
    }

    /// Closes at once: nothing that waits is written but `only`.
    pub(crate) fn close_instead(&self, close: Close, only: Bytes) {
        let mut out = self.out.lock();
        if matches!(out.state, State::Open | State::Held) {
            out.outbox.cut(); // it was never told that it hears them
            self.finish_with(&mut out, close, Some(only));
        }
    }

    fn cut(&self, out: &mut Out, close: Close, message: &str) {
        let last = match out.state {
            // Frames mean nothing to it yet.
            State::Held => Some(Bytes::from_static(match close {
                Close::Protocol | Close::InvalidUtf8 | Close::TooBig | Close::BadRequest => BAD_REQUEST,
                _ => NOT_OPENED,
            })),
            _ => self.format.close(close, message),
        };
        let dropped = out.outbox.cut();
        self.shared.dropped_slow.inc_by(dropped);
        self.finish_with(out, close, last);
    }

    fn finish_with(&self, out: &mut Out, close: Close, last: Option<Bytes>) {
        if let Some(last) = last {
            out.outbox.push_last(last);
        }
        out.state = State::Closing;
        out.close = Some(close);
        if !out.blocked {
            self.write(out);
        }
        self.gauge(out);
        self.wake(wake::OUTBOX);
    }

    /// Writes until all is written or the kernel has no room. In flight it leaves all to the landing.
    pub(super) fn write(&self, out: &mut Out) {
        while !out.outbox.is_empty() && !out.aloft {
            let written = match out.outbox.len() {
                // Nearly always: no list of slices to clear and to copy.
                1 => {
                    let mut slice = [IoSlice::new(&[])];
                    out.outbox.slices(&mut slice);
                    self.stream.write_some(&slice)
                }
                _ => {
                    let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
                    let count = out.outbox.slices(&mut slices);
                    self.stream.write_some(&slices[..count])
                }
            };
            if !self.took(out, written) {
                break;
            }
        }
        self.settle(out);
    }

    /// Takes in what the kernel said to the first that waits. Whether to go on.
    pub(super) fn took(&self, out: &mut Out, written: io::Result<usize>) -> bool {
        match written {
            Ok(written) => {
                out.outbox.advance(written);
                out.blocked = false;
                self.progress_s.store(self.shared.clock.second(), Ordering::Relaxed);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !out.blocked {
                    out.blocked = true;
                    // From now on it waits, however long ago there was something to write.
                    self.progress_s.store(self.shared.clock.second(), Ordering::Relaxed);
                    self.wake(wake::OUTBOX);
                }
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(_) => {
                self.die(out); // the peer is gone; the task finds out and cleans up
                self.wake(wake::KILL);
                false
            }
        }
    }

    /// What follows when all is written.
    pub(super) fn settle(&self, out: &mut Out) {
        if out.outbox.is_empty() {
            out.blocked = false;
            if out.state == State::Open
                && let Some(extra) = &mut out.extra
            {
                extra.unpark();
            }
            if out.state == State::Closing {
                out.state = State::Finished;
                self.stream.finish();
            }
        }
        self.gauge(out);
    }

    fn die(&self, out: &mut Out) {
        // Not counted as dropped: a peer that is gone misses nothing.
        out.state = State::Dead;
        out.outbox = Outbox::default();
        out.blocked = false;
        out.extra = None;
        self.gauge(out);
    }

    /// Keeps the gauge of waiting bytes in step.
    fn gauge(&self, out: &mut Out) {
        let bytes = out.outbox.bytes();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes != out.gauged {
            self.shared.outbox_bytes.add(i64::from(bytes) - i64::from(out.gauged));
            out.gauged = bytes;
        }
    }

    /// Whether it still takes entries.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.out.lock().state, State::Open | State::Held)
    }

    /// There is room again: writes what was blocked.
    pub(super) fn resume(&self) {
        let mut out = self.out.lock();
        if out.blocked {
            self.write(&mut out);
        }
    }

    /// Marks the connection dead and drops what waits. Returns why it was closed, if we did.
    pub(super) fn end(&self) -> Option<Close> {
        let mut out = self.out.lock();
        self.die(&mut out);
        out.close
    }
}
