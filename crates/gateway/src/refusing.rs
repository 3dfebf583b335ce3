//! Whom there is no room for: a word, and goodbye.
//!
//! At `limits.connections`, and when the process has no descriptor left, who comes reads
//! `503 Service Unavailable` with `Retry-After` instead of waiting in the kernel's backlog. At a pace: a flood of
//! dials costs a bounded part of a core. It must not know doors.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use socket2::SockRef;
use tidegate_broker::LogPace;
use tidegate_metrics::RefusedFor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::node::Node;

/// Time between two refusals: at most 200 a second.
const PACE: Duration = Duration::from_millis(5);
/// Peers that are being refused at once; one more waits in the backlog.
const SLOTS: usize = 16;
/// How long a refused peer may take to send its request and to read the answer.
const LINGER: Duration = Duration::from_millis(250);
/// The longest pause after `accept` failed; the first is [`PACE`]. A spin would only take the time that closing
/// needs, but connections that end make room within milliseconds.
const PAUSE: Duration = Duration::from_millis(100);
/// Refused at once when the descriptors stay away, before the next pause.
const AT_ONCE: usize = 16;
/// What every refused peer reads. A load balancer passes it on; programs come back later.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\
                      Content-Length: 53\r\nConnection: close\r\n\r\nthis node is full; come back, to this or another one\n";

/// Room for an accepted socket.
pub(crate) enum Room {
    /// To be served.
    Seat(OwnedSemaphorePermit),
    /// To be refused.
    Slot(OwnedSemaphorePermit),
}

/// Refuses.
pub(crate) struct Refusing {
    node: Arc<Node>,
    slots: Arc<Semaphore>,
    /// Given up while there is no other descriptor, to accept with, and to say so.
    spare: Option<File>,
    /// The next pause, while `accept` fails again and again.
    pause: Duration,
    full: LogPace,
    failed: LogPace,
}

impl Refusing {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            slots: Arc::new(Semaphore::new(SLOTS)),
            spare: spare(),
            pause: PACE,
            full: LogPace::default(),
            failed: LogPace::default(),
        }
    }

    /// A seat, if there is one now or in a moment; else a slot to be refused in.
    pub(crate) async fn room(&self, seats: &Arc<Semaphore>) -> Room {
        if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
            return Room::Seat(seat);
        }
        let seat = Arc::clone(seats).acquire_owned();
        let slot = async {
            tokio::time::sleep(PACE).await;
            Arc::clone(&self.slots).acquire_owned().await
        };
        // Nobody closes either semaphore.
        tokio::select! {
            biased;
            seat = seat => Room::Seat(seat.expect("seats are never closed")),
            slot = slot => Room::Slot(slot.expect("slots are never closed")),
        }
    }

    /// Tells a peer that the node is full, in a task of its own that ends within [`LINGER`].
    pub(crate) fn refuse(&self, socket: TcpStream, slot: OwnedSemaphorePermit) {
        self.node.metrics.refused(RefusedFor::Full).inc();
        if let Some(times) = self.full.tick() {
            tracing::warn!(times, "connections refused: the node has as many as limits.connections allows");
        }
        self.node.tasks.spawn(async move {
            // A peer that does not read or send in time is closed all the same.
            let _ = tokio::time::timeout(LINGER, say(socket)).await;
            drop(slot);
        });
    }

    /// `accept` works.
    pub(crate) fn accepted(&mut self) {
        self.pause = PACE;
    }

    /// `accept` failed; says how long to let it rest. When descriptors are still missing after a pause nobody would
    /// ever be told: the spare one lets a few in, and out.
    pub(crate) fn cannot_accept(
        &mut self,
        error: &io::Error,
        mut accept: impl FnMut() -> Poll<io::Result<TcpStream>>,
    ) -> Duration {
        let again = self.pause > PACE;
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE);
        if let Some(times) = self.failed.tick() {
            tracing::warn!(%error, times, "cannot accept; trying again");
        }
        if !again || !lacks_files(error) {
            return pause;
        }
        for _ in 0..AT_ONCE {
            self.spare = None;
            let Poll::Ready(Ok(socket)) = accept() else { break };
            self.node.metrics.refused(RefusedFor::Files).inc();
            // Nobody waits for it: unread bytes would make the kernel take the answer back.
            let socket = SockRef::from(&socket);
            let _ = (&*socket).read(&mut [0; 1024]);
            let _ = (&*socket).write(FULL);
        }
        self.spare = spare();
        pause
    }
}

/// Says it, and lets it arrive: a socket closed with unread bytes is reset.
async fn say(mut socket: TcpStream) {
    let mut bytes = [0; 1024];
    // Behind the request: an answer before it would be no answer to a load balancer.
    if !matches!(socket.read(&mut bytes).await, Ok(1..)) {
        return;
    }
    if socket.write_all(FULL).await.is_ok() && socket.shutdown().await.is_ok() {
        while matches!(socket.read(&mut bytes).await, Ok(1..)) {}
    }
}

/// A descriptor that stands for nothing.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether the process or the machine has no descriptor left.
fn lacks_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24)) // ENFILE, EMFILE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        assert_eq!(length.parse(), Ok(body.len()));
    }
}
