//! Flushing many connections together: what a lane does at the end of a batch.
//!
//! Built with the feature `uring`, and where the kernel allows it, connections with one untouched entry leave in
//! one call: they *take off*, are sent, and *land*. No lock is held meanwhile; whoever else comes only appends, and
//! the landing writes that. All others, and all without a ring, are flushed one by one. It must not know channels.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::writing::Out;
use super::{ByteStream, Connection, Peer};

#[cfg(feature = "uring")]
use {
    super::writing::State,
    bytes::Bytes,
    std::io,
    tidegate_uring::{MOST, Parcel, Ring},
};

/// With fewer, the way to the kernel and back costs as much as it saves.
#[cfg(feature = "uring")]
const WORTH_A_CALL: usize = 4;

/// The way to flush of one lane, or of one of its helpers.
#[derive(Default)]
pub(crate) struct Flight {
    #[cfg(feature = "uring")]
    ring: Option<Ring>,
    /// Empty between flights; keeps its storage, and in flight the sockets and bytes.
    #[cfg(feature = "uring")]
    aloft: Vec<(Arc<Peer>, Bytes)>,
}

impl Flight {
    /// Connections that are flushed together at most: two or three milliseconds of a worker.
    #[cfg(feature = "uring")]
    pub(crate) const FULL: usize = MOST;
    /// Connections that are flushed together at most: some two milliseconds of a worker.
    #[cfg(not(feature = "uring"))]
    pub(crate) const FULL: usize = 256;

    /// So many.
    #[cfg(not(feature = "uring"))]
    pub(crate) fn many(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::default()).collect()
    }

    /// So many; without rings if the kernel refuses one.
    #[cfg(feature = "uring")]
    pub(crate) fn many(count: usize) -> Vec<Self> {
        let rings: io::Result<Vec<Ring>> = (0..count).map(|_| Ring::new()).collect();
        match rings {
            Ok(rings) => {
                tracing::info!("lanes write over io_uring");
                rings.into_iter().map(|ring| Self { ring: Some(ring), aloft: Vec::new() }).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "io_uring is not to be had: writing without it");
                (0..count).map(|_| Self::default()).collect()
            }
        }
    }

    /// Whether it has a ring.
    #[cfg(all(test, feature = "uring"))]
    pub(super) fn flies(&self) -> bool {
        self.ring.is_some()
    }

    /// Writes what is staged in each of them.
    pub(crate) fn flush(&mut self, staged: &mut Vec<Arc<Peer>>) {
        #[cfg(feature = "uring")]
        if let Some(ring) = &mut self.ring
            && staged.len() >= WORTH_A_CALL
        {
            while !staged.is_empty() {
                let aloft = &mut self.aloft;
                aloft.extend(staged.drain(..staged.len().min(MOST)).filter_map(Connection::take_off));
                let mut parcels = Vec::with_capacity(aloft.len());
                parcels.extend(aloft.iter().filter_map(|(connection, bytes)| {
                    connection.stream.socket().map(|socket| Parcel { socket, bytes })
                }));
                let answers = ring.send(&parcels);
                debug_assert_eq!(answers.len(), aloft.len(), "who has no socket does not take off");
                for ((connection, _), answer) in aloft.iter().zip(answers) {
                    connection.land(answer);
                }
                aloft.clear();
            }
        }
        for connection in staged.drain(..) {
            connection.flush();
        }
    }
}

impl<B: ByteStream> Connection<B> {
    /// Gives away the one entry that waits, until [`Connection::land`]; what cannot leave so is flushed.
    #[cfg(feature = "uring")]
    pub(super) fn take_off(self: Arc<Self>) -> Option<(Arc<Self>, Bytes)> {
        let bytes = {
            let mut out = self.out.lock();
            let ready = out.state == State::Open && !out.blocked && !out.aloft;
            let bytes = if ready && self.stream.socket().is_some() { out.outbox.lift() } else { None };
            out.aloft |= bytes.is_some();
            out.staged &= bytes.is_none();
            bytes
        };
        if bytes.is_none() {
            self.flush();
        }
        Some((self, bytes?))
    }

    /// The kernel has answered: goes on as after a write, with what came meanwhile too.
    #[cfg(feature = "uring")]
    pub(super) fn land(&self, answer: io::Result<usize>) {
        let mut out = self.out.lock();
        out.aloft = false;
        if out.state == State::Dead {
            return; // nothing is left that could be written
        }
        out.outbox.land();
        match self.took(&mut out, answer) {
            true => self.write(&mut out),
            false => self.settle(&mut out),
        }
    }

    /// In flight nobody can make room, so whoever may need it waits: at most for one call of the kernel, on another
    /// thread. `bytes` are those to be staged, if they are one entry.
    pub(super) fn await_landing(&self, out: &mut MutexGuard<'_, Out>, bytes: Option<usize>) {
        // An entry grows by what a stream's list of positions says.
        let fits = |out: &Out| {
            out.extra.is_none() && bytes.is_some_and(|bytes| out.outbox.fits(bytes, &self.shared.outbox))
        };
        while out.aloft && !fits(out) {
            MutexGuard::unlocked(out, std::thread::yield_now);
        }
    }
}
