//! What a step of a session leads to.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::Credentials;
use crate::hub::Seat;
use crate::place::Since;
use crate::session::Past;
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
    /// A seat in a channel, once the broker has confirmed the channel.
    Join {
        /// Which.
        channel: ChannelName,
        /// From where it is heard, if the channel has history.
        since: Since,
        /// The request, for a reply with what was missed; none: a bare session.
        id: Option<RequestId>,
    },
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
        /// What makes a second publish of the same event known as such.
        key: Option<Arc<str>>,
    },
    /// Read what a channel remembers.
    History {
        /// Which.
        channel: ChannelName,
        /// Behind which position; none: the last events.
        since: Option<Position>,
        /// Events at most.
        limit: u32,
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
        /// False if the client named a position: there is no history to go on in. With history the reply
        /// is the relay's.
        recovered: Option<bool>,
    },
    /// To `history`.
    History {
        /// The request.
        id: RequestId,
        /// The channel.
        channel: ChannelName,
        /// What it remembers.
        past: Past,
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
