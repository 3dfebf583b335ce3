//! Where a master is, as it is known now. It may move, and nobody but a [lookout](crate::lookout) is told.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::address::Address;

/// One master, followed wherever it goes.
#[derive(Clone)]
pub(crate) struct Whereabouts {
    address: watch::Receiver<Option<Address>>,
    /// Rung when the address seems wrong.
    doubt: Arc<Notify>,
    /// Whether it must be asked if it is a master: Sentinels may be late.
    pub(crate) must_be_master: bool,
}

impl Whereabouts {
    /// A server that never moves.
    pub(crate) fn fixed(address: Address) -> Self {
        // Without a sender nothing ever changes.
        let (_, address) = watch::channel(Some(address));
        Self { address, doubt: Arc::new(Notify::new()), must_be_master: false }
    }

    /// A server whose lookout sends where it is, and listens for doubts.
    pub(crate) fn followed(
        address: watch::Receiver<Option<Address>>,
        doubt: Arc<Notify>,
        must_be_master: bool,
    ) -> Self {
        Self { address, doubt, must_be_master }
    }

    /// The address, once one is known.
    pub(crate) async fn known(&mut self) -> Address {
        loop {
            if let Some(address) = self.address.borrow_and_update().clone() {
                return address;
            }
            if self.address.changed().await.is_err() {
                std::future::pending::<()>().await; // the lookout has ended, and so will whoever waits
            }
        }
    }

    /// The address, if one is known.
    pub(crate) fn now(&self) -> Option<Address> {
        self.address.borrow().clone()
    }

    /// Returns when the master is elsewhere than where [`known`](Self::known) said.
    pub(crate) async fn moved(&mut self) {
        if self.address.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The address may be wrong: somebody shall look.
    pub(crate) fn doubt(&self) {
        self.doubt.notify_one();
    }
}
