//! One connection: a socket, its outbox, and a way to wake its task.
//!
//! Shared by its task, the hub's seats and the registry. Whoever has bytes stages them and flushes,
//! under the outbox lock, with non-blocking writes; the task writes only what was blocked. The lock
//! is held over one send, never over an await, and nobody holds two.

mod asks;
mod extra;
mod flight;
mod inbound;
mod passing;
mod serve;
mod stream;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use tidegate_core::session::Answer;
use tidegate_core::{OutboxLimits, Ticket};
use tidegate_metrics::{IntCounter, IntGauge};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::wire::Format;
pub(crate) use flight::Flight;
pub(crate) use inbound::{End, Inbound};
pub(crate) use serve::Serve;
pub(crate) use stream::ByteStream;
use writing::Out;
pub(crate) use writing::Staged;

/// The stream of connections as this node accepts them.
pub(crate) type Socket = TcpStream;
/// A connection as the hub and the registry know it.
pub(crate) type Peer = Connection<Socket>;

/// Why the task is woken.
pub(crate) mod wake {
    /// The outbox is blocked or closing: look at it.
    pub(crate) const OUTBOX: u8 = 1;
    /// A deadline of the session may have passed.
    pub(crate) const TICK: u8 = 2;
    /// Answers wait in the inbox.
    pub(crate) const ANSWERS: u8 = 4;
    /// End at once.
    pub(crate) const KILL: u8 = 8;
}

/// What connections of one kind share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: OutboxLimits,
    pub(crate) clock: Clock,
    pub(crate) outbox_bytes: IntGauge,
    pub(crate) dropped_slow: IntCounter,
}

#[cfg(test)]
impl Shared {
    /// With outboxes that no test fills.
    pub(crate) fn roomy(metrics: &tidegate_metrics::Metrics) -> Self {
        Self {
            outbox: OutboxLimits { entries: 1 << 20, bytes: 1 << 30 },
            clock: Clock::start(),
            outbox_bytes: metrics.outbox_bytes.clone(),
            dropped_slow: metrics.dropped("slow"),
        }
    }
}

/// One connection.
pub(crate) struct Connection<B> {
    stream: B,
    format: Format,
    /// The node's second in which the peer was last heard, and in which a write last got on or began to wait.
    heard_s: AtomicU32,
    progress_s: AtomicU32,
    wakes: AtomicU8,
    waker: AtomicWaker,
    out: Mutex<Out>,
    /// Answers of the outside to the session. Bounded by the session's open asks.
    answers: Mutex<Vec<(Ticket, Answer)>>,
    shared: Arc<Shared>,
}

impl<B: ByteStream> Connection<B> {
    pub(crate) fn new(stream: B, format: Format, shared: Arc<Shared>) -> Self {
        let now_s = shared.clock.second();
        Self {
            stream,
            format,
            heard_s: AtomicU32::new(now_s),
            progress_s: AtomicU32::new(now_s),
            wakes: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            out: Mutex::new(Out::default()),
            answers: Mutex::new(Vec::new()),
            shared,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Wakes the task for `why`.
    pub(crate) fn wake(&self, why: u8) {
        self.wakes.fetch_or(why, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Hands an answer to the session.
    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        self.answers.lock().push((ticket, answer));
        self.wake(wake::ANSWERS);
    }

    /// The seconds in which the peer was last heard, and in which a write last got on or began to wait.
    pub(crate) fn last_signs_s(&self) -> (u32, u32) {
        (self.heard_s.load(Ordering::Relaxed), self.progress_s.load(Ordering::Relaxed))
    }

    /// Hands an answer to the session, and stages what belongs to it before anything that the client may
    /// say to that is read.
    pub(crate) fn answer_behind(&self, ticket: Ticket, answer: Answer, stage: impl FnOnce()) {
        let mut answers = self.answers.lock();
        // The task looks at this flag before it takes in what it has read.
        self.wakes.fetch_or(wake::ANSWERS, Ordering::AcqRel);
        stage();
        answers.push((ticket, answer));
        drop(answers);
        self.waker.wake();
    }

    /// Whether answers wait, or are about to.
    fn has_answers(&self) -> bool {
        self.wakes.load(Ordering::Acquire) & wake::ANSWERS != 0
    }

    fn heard(&self) {
        self.heard_s.store(self.shared.clock.second(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
