//! What a session asks of the node, and where the answer comes from.
//!
//! Some answers are there at once; others reach the connection later, in any order.

use std::sync::Arc;

use tidegate_core::Ticket;
use tidegate_core::session::{Answer, Ask};

use super::Serve;

impl Serve {
    /// Asks. Returns the answer, if it is there at once.
    pub(super) fn ask(&mut self, ticket: Ticket, ask: Ask) -> Option<Answer> {
        match ask {
            Ask::Authorise(credentials) => {
                let now = self.node.clock.now();
                Some(Answer::Authorised(self.node.policy.access.authorise(&credentials, now.unix_s)))
            }
            Ask::Join { channel, since, id } => {
                match self.node.relay.join(&channel, &self.connection, ticket, since, id) {
                    Ok(joined) if joined.live => Some(Answer::Joined(Ok(joined.seat))),
                    Ok(joined) => {
                        self.passing.get_or_insert_default().joining.push((ticket, joined.seat));
                        None
                    }
                    Err(refusal) => Some(Answer::Joined(Err(refusal))),
                }
            }
            Ask::Leave(seat) => {
                self.node.relay.leave(seat);
                Some(Answer::Left)
            }
            Ask::Publish { channel, payload, from, key } => {
                let to = Arc::clone(&self.connection);
                let from = Some(from.to_string().into());
                let done = move |answer| to.answer(ticket, Answer::Published(answer));
                self.node.relay.publish(channel, payload, key, from, done);
                None
            }
            Ask::History { channel, since, limit } => {
                // A task of its own: rare, and bounded by the session's open asks.
                let read = self.node.relay.history(channel, since, limit);
                let to = Arc::clone(&self.connection);
                self.node.tasks.spawn(async move {
                    to.answer(ticket, Answer::History(read.await));
                });
                None
            }
        }
    }
}
