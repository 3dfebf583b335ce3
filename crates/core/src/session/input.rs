//! What reaches a session.

use std::sync::Arc;

use bytes::Bytes;

use crate::access::{Credentials, Identity};
use crate::hub::Seat;
use crate::place::Since;
use crate::{ChannelName, ClientId, Event, Position, Refusal, RequestId, Ticket};

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
        /// The channels, at least one, none twice, and from where each is heard.
        channels: Vec<(ChannelName, Since)>,
    },
    /// Wants to hear a channel.
    Subscribe {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
        /// From where.
        since: Since,
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
        /// What makes a second publish of the same event known as such.
        key: Option<Arc<str>>,
    },
    /// Wants to read what a channel remembers.
    History {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
        /// Behind which position; none: the last events.
        since: Option<Position>,
        /// Events at most; none: [`HISTORY_DEFAULT`](super::HISTORY_DEFAULT).
        limit: Option<u32>,
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
    /// To `Ask::Join`, where the channel has history: the subscriber was told where it stands, and the
    /// seat hears what follows.
    Attached(Seat),
    /// To `Ask::Leave`: nothing of the channel comes any more.
    Left,
    /// To `Ask::Publish`: it is in the broker's hands.
    Published(Result<Option<Position>, Refusal>),
    /// To `Ask::History`.
    History(Result<Past, Refusal>),
}

/// What a channel remembers, as far as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The position of the channel's last event.
    pub top: Position,
    /// Whether nothing lies between the position asked for and the events; there if one was.
    pub recovered: Option<bool>,
    /// The events, without a hole, each with its position.
    pub events: Vec<Event>,
}
