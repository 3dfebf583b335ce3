//! What a step of a session leads to.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::Credentials;
use crate::hub::Seat;
use crate::{ChannelName, ClientId, Close, Position, Refusal, RequestId, SessionId, Ticket};

/// Effects in the order they are to happen. The caller gives the vector, so that it can be reused.
pub type Effects = Vec<Effect>;

/// One deed of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Put into the outbox, behind what is there.
    Reply(Reply),
    /// Find out, then come back with `Input::Done`. Never waits.
    Ask(Ticket, Ask),
    /// Under the hub's lock: put the reply into the outbox, then let the seat hear.
    Attach(Seat, Option<Reply>),
    /// End the connection, with what was put into the outbox before it.
    Close(Close, String),
}

/// What a session needs from the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Who shows these credentials?
    Authorise(Credentials),
    /// A seat in this channel, once the broker has confirmed the channel.
    Join(ChannelName),
    /// The seat is given back.
    Leave(Seat),
    /// Publish as this session.
    Publish {
        /// Where.
        channel: ChannelName,
        /// What.
        payload: Bytes,
        /// Who.
        from: SessionId,
    },
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `connect`.
    Connected {
        /// The request.
        id: RequestId,
        /// The new session.
        session: SessionId,
        /// The device, as given or made up.
        client: ClientId,
        /// The token's subject.
        user: Option<Arc<str>>,
    },
    /// A bare session hears all its channels.
    Opened,
    /// To `subscribe`.
    Subscribed {
        /// The request.
        id: RequestId,
        /// The channel.
        channel: ChannelName,
    },
    /// To `unsubscribe`.
    Unsubscribed {
        /// The request.
        id: RequestId,
    },
    /// To `publish`.
    Published {
        /// The request.
        id: RequestId,
        /// Where it stands, in a channel with history.
        position: Option<Position>,
    },
    /// To `ping`.
    Pong {
        /// The request, if it had an id.
        id: Option<RequestId>,
    },
    /// A request was refused.
    Refused {
        /// The request, if known.
        id: Option<RequestId>,
        /// Why.
        refusal: Refusal,
    },
    /// The node is about to stop: come back, to any node.
    Reconnect {
        /// After so many milliseconds.
        after_ms: u64,
    },
}
