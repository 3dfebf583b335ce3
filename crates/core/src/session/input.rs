//! What reaches a session.

use bytes::Bytes;

use crate::access::{Credentials, Identity};
use crate::hub::Seat;
use crate::{ChannelName, ClientId, Position, Refusal, RequestId, Ticket};

/// What a door read, what the outside answered, or that time has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A framed client says who it is.
    Connect {
        /// For the reply.
        id: RequestId,
        /// What it shows.
        credentials: Credentials,
        /// The device; the door makes one up where the client gave none.
        client: ClientId,
    },
    /// A bare client says who it is and what it wants to hear.
    Open {
        /// What it shows.
        credentials: Credentials,
        /// The channels, at least one, none twice.
        channels: Vec<ChannelName>,
    },
    /// Wants to hear a channel.
    Subscribe {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
    },
    /// Wants to hear it no longer.
    Unsubscribe {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
    },
    /// Publishes.
    Publish {
        /// For the reply; bare doors get none.
        id: Option<RequestId>,
        /// Where; a bare client publishes into its first channel.
        channel: Option<ChannelName>,
        /// What.
        payload: Bytes,
    },
    /// Asks whether we are there.
    Ping {
        /// For the reply.
        id: Option<RequestId>,
    },
    /// The door could not make sense of what it read.
    Malformed {
        /// The request's id, if that much was readable.
        id: Option<RequestId>,
        /// What is wrong.
        refusal: Refusal,
    },
    /// The outside answers an [`Ask`](super::Ask).
    Done(Ticket, Answer),
    /// A deadline may have passed.
    Tick,
}

/// The outside's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To `Ask::Authorise`.
    Authorised(Result<Identity, Refusal>),
    /// To `Ask::Join`: the broker confirmed the channel, the seat may be attached.
    Joined(Result<Seat, Refusal>),
    /// To `Ask::Leave`: nothing of the channel comes any more.
    Left,
    /// To `Ask::Publish`: it is in the broker's hands.
    Published(Result<Option<Position>, Refusal>),
}
