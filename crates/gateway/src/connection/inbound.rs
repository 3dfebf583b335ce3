//! What a door made of the bytes it read.

use tidegate_core::Close;
use tidegate_core::session::Input;

/// Filled by a door, emptied by the connection's task; reused, so it seldom allocates.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// What the session shall hear, in order.
    pub(crate) inputs: Vec<Input>,
    /// What the protocol itself answers: whole frames.
    pub(crate) replies: Vec<u8>,
    /// That the connection must end after that, and why.
    pub(crate) end: Option<End>,
}

/// Why reading ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer said goodbye; the answer is among the replies.
    Goodbye,
    /// The peer broke the rules.
    Broken(Close, String),
}
