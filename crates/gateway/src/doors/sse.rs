//! The SSE door: server-sent events over a plain HTTP response (WHATWG HTML, section 9.2).
//!
//! Streamed on the raw socket until either side closes; nothing of the client is read.

use bytes::Bytes;
use tidegate_core::session::Reply;

use super::Said;
use super::plain::opening;

/// One event stream.
pub(crate) struct Sse {
    /// The 200 and the `retry:` line, until every channel is confirmed.
    head: Option<Bytes>,
}

impl Sse {
    pub(crate) fn new(head: Bytes) -> Self {
        Self { head: Some(head) }
    }

    pub(crate) fn reply(&mut self, reply: &Reply) -> Option<Said> {
        opening(&mut self.head, reply)
    }
}
