//! What a session has asked and not yet heard of.

use crate::place::Since;
use crate::{ChannelName, RequestId, Ticket};

/// The open questions of one session. Owns no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Asks {
    next: u32,
    open: Vec<(Ticket, Pending)>,
}

/// Which request a ticket belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pending {
    Connect(RequestId, crate::ClientId),
    Open(Vec<(ChannelName, Since)>),
    Join(Option<RequestId>, ChannelName, Since),
    Leave(RequestId),
    Publish(Option<RequestId>),
    History(RequestId, ChannelName),
}

impl Asks {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn open(&mut self, pending: Pending) -> Ticket {
        let ticket = Ticket(self.next);
        self.next = self.next.wrapping_add(1); // far fewer than 2^32 are open at once
        self.open.push((ticket, pending));
        ticket
    }

    /// The request behind `ticket`; none for an answer that was given before.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<Pending> {
        let at = self.open.iter().position(|(t, _)| *t == ticket)?;
        let (_, pending) = self.open.remove(at);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        Some(pending)
    }

    /// Whether some channel is still being joined.
    pub(super) fn joining(&self) -> bool {
        self.open.iter().any(|(_, pending)| matches!(pending, Pending::Join(..)))
    }
}
