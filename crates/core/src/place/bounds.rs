//! What one place may hold, and how long it waits.

/// The bounds of every place of a node. Counts, bytes and milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages that wait behind a read. Above: unnumbered ones go first; if that is not enough all
    /// go, and the read is done again, since the log has them.
    pub held_messages: usize,
    /// Bytes of such messages; above, as above.
    pub held_bytes: usize,
    /// Events the tail keeps. The oldest go; who resumes before them costs a read.
    pub tail_events: usize,
    /// Bytes of such events; above, the oldest go.
    pub tail_bytes: usize,
    /// Events asked for in one read, and told in one page.
    pub page_events: usize,
    /// Bytes told in one page, but always at least one event. The rest is the next page.
    pub page_bytes: usize,
    /// The shortest wait before a failed read is done again; it doubles up to 16 times this, and
    /// each is jittered by half.
    pub retry_ms: u64,
    /// How long a subscriber waits for its answer. Later: refused, to come again.
    pub patience_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            held_messages: 1024,
            held_bytes: 1 << 20,
            tail_events: 256,
            tail_bytes: 128 << 10,
            page_events: 256,
            page_bytes: 64 << 10,
            retry_ms: 50,
            patience_ms: 1500,
        }
    }
}
