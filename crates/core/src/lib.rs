//! What Tidegate decides: names, positions, who may do what, sessions, the hub, outboxes, places.
//!
//! Requests reach it as values and leave it as values. It must not know sockets, clocks, wire
//! formats or brokers: time is passed in, bytes are opaque, and what needs the outside is asked
//! for with a ticket. So all of it is tested as transcripts, without a runtime.

pub mod access;
mod event;
pub mod follower;
pub mod hub;
mod id;
mod limits;
mod name;
mod outbox;
mod payload;
pub mod place;
mod position;
mod reason;
pub mod session;

pub use event::Event;
pub use id::{ClientId, IdError, RequestId, SessionId, Ticket};
pub use limits::{Limits, OutboxLimits};
pub use name::{ChannelName, NameError, namespace_is_valid};
pub use outbox::{Entry, Outbox, Overflow};
pub use payload::{Payload, PayloadKind};
pub use position::{Epoch, Position, PositionError};
pub use reason::{Close, Reason, Refusal};
