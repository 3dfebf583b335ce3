//! The limits of one connection, and the settings that carry them.

/// What one session may hold and send. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of an event; above: `too_large`.
    pub event_bytes: usize,
    /// Largest message of a client; above: close 1009.
    pub message_bytes: usize,
    /// Most subscriptions of one session; above: `too_many_channels`.
    pub channels: usize,
    /// Most requests of one session that wait for an answer; above: `rate_limited`.
    pub asks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes: 256 << 10, message_bytes: 64 << 10, channels: 128, asks: 1024 }
    }
}

/// What one outbox may hold. Above either: the connection is closed as slow (4100).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Most entries that wait.
    pub entries: usize,
    /// Most bytes that wait.
    pub bytes: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { entries: 1024, bytes: 1 << 20 }
    }
}
