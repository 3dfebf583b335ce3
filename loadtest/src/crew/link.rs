//! How one process of a run is bound to the others: what the main process orders, and what its workers count.

use std::process::ChildStdin;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::ledger::{Count, Ledger};
use super::message::{self, Order};

/// The other processes, seen from this one.
#[derive(Debug, Default)]
pub enum Link {
    /// There is none.
    #[default]
    Alone,
    /// This is the main process: it publishes and orders.
    Main {
        /// The shared counters.
        ledger: Ledger,
        /// The standard inputs of the workers. A pipe takes 64 kB; a worker that does not read holds up the order, not
        /// the other workers, until its keeper ends it.
        orders: Mutex<Vec<ChildStdin>>,
    },
    /// This is a worker: it receives and counts.
    Worker {
        /// The shared counters.
        ledger: Ledger,
        /// Which one, from 0.
        index: u32,
        /// Threads write one after the other, so that an older count never lies over a newer one.
        turn: Mutex<()>,
    },
}

impl Link {
    /// What all workers have counted; `None` where there are none, and this process counts for itself.
    #[must_use]
    pub fn sum(&self, count: Count) -> Option<u64> {
        match self {
            Self::Main { ledger, .. } => Some(ledger.sum(count)),
            Self::Alone | Self::Worker { .. } => None,
        }
    }

    /// The same, also where this is one of the workers.
    #[must_use]
    pub fn all(&self, count: Count) -> Option<u64> {
        match self {
            Self::Main { ledger, .. } | Self::Worker { ledger, .. } => Some(ledger.sum(count)),
            Self::Alone => None,
        }
    }

    /// A worker's counter has changed.
    pub fn count(&self, count: Count, now: impl Fn() -> u64) {
        if let Self::Worker { ledger, index, turn } = self {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.count(*index, count, now());
        }
    }

    /// So many events of a channel are sent, or about to be.
    pub fn send(&self, channel: u32, sent: u64) {
        if let Self::Main { ledger, .. } = self {
            ledger.send(channel, sent);
        }
    }

    /// How many that are, where another process publishes.
    #[must_use]
    pub fn sent(&self, channel: u32) -> Option<u64> {
        match self {
            Self::Worker { ledger, .. } => Some(ledger.sent(channel)),
            Self::Alone | Self::Main { .. } => None,
        }
    }

    /// Orders something of all workers, of each at once. One that has ended does not hear it: its keeper says so.
    pub fn order(&self, order: &Order) {
        if let Self::Main { orders, .. } = self {
            let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
            thread::scope(|scope| {
                for input in orders.iter_mut() {
                    scope.spawn(|| message::write(input, order));
                }
            });
        }
    }

    /// Orders each worker to open its slice: the `n`th order is the `n`th worker's.
    pub fn deal(&self, mut order: impl FnMut(u32, &Ledger) -> Order) {
        if let Self::Main { ledger, orders } = self {
            for (index, input) in (0..).zip(orders.lock().unwrap_or_else(PoisonError::into_inner).iter_mut())
            {
                let _ = message::write(input, &order(index, ledger));
            }
        }
    }
}
