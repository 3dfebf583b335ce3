//! Why something was refused or closed, in words that the core, doors and API share.
//!
//! `protocol::codes` gives each its spelling on the wire, in one table; nothing else maps them.

use std::fmt;

/// Why a request was refused. All that clients ever see of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is malformed; the message says where.
    BadRequest,
    /// A frame of a type that does not exist.
    UnknownType,
    /// The channel's name is not valid.
    BadChannel,
    /// The channel's namespace is not declared, and undeclared ones are refused.
    UnknownChannel,
    /// A request before `connect`.
    NotConnected,
    /// A second `subscribe` to the same channel.
    AlreadySubscribed,
    /// `unsubscribe` without a subscription.
    NotSubscribed,
    /// Nobody said who this is, or the token is not valid.
    Unauthorized,
    /// Known, but not allowed.
    Forbidden,
    /// One subscription more than `limits.channels`.
    TooManyChannels,
    /// A payload above `limits.event`, or a message above `limits.message`.
    TooLarge,
    /// Too many requests; wait.
    RateLimited,
    /// The idempotency key was used for another payload.
    KeyReused,
    /// The event is published, but too few replicas have it: the same key may be tried again.
    NotReplicated,
    /// The node's server is older than the position that was given: come back soon, to any node, with the same
    /// position.
    Behind,
    /// The broker does not answer: try again.
    Unavailable,
    /// A fault of the node; its log says more.
    Internal,
}

impl Reason {
    /// Whether the same request may succeed later.
    pub fn retry(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::NotReplicated | Self::Behind | Self::Unavailable | Self::Internal
        )
    }
}

/// A refusal: the reason, and a sentence that names field, limit and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What programs decide by.
    pub reason: Reason,
    /// What people read.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The refusal while the broker is away; the same sentence everywhere.
    pub fn unavailable() -> Self {
        Self::new(Reason::Unavailable, "the broker does not answer; try again")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why the server closes a connection. The ranges of the codes tell clients whether to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// The peer closed, and we answered.
    Normal,
    /// The peer broke RFC 6455.
    Protocol,
    /// A text frame that is not UTF-8 (RFC 6455 section 8.1).
    InvalidUtf8,
    /// A message above `limits.message`.
    TooBig,
    /// The first frame was not a `connect`, or an unforgivable request.
    BadRequest,
    /// The token is not valid.
    Unauthorized,
    /// No `connect` within 5 s.
    ConnectTimeout,
    /// A bare door's client sent what it may not.
    Forbidden,
    /// The outbox overflowed: the client reads too slowly.
    Slow,
    /// The node has no room.
    Overloaded,
    /// The client asks too fast.
    RateLimited,
    /// A fault of the node.
    Internal,
    /// The node is about to stop.
    Draining,
    /// The peer did not answer a ping.
    NoPong,
    /// The token expired.
    Expired,
}
