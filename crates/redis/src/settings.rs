//! Where Redis is and how patiently it is spoken to.

use std::time::Duration;

use crate::{Prefix, RedisError, Topology};

/// Which Redis, and how to speak to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which servers there are.
    pub topology: Topology,
    /// Starts the name of every key, channel and function: `tg` makes `tg:{chat:42}`.
    pub prefix: Prefix,
    /// How long things may take.
    pub patience: Patience,
    /// Whether canaries fly, which tell that a feed is deaf. Off only in tests, to show what they are for: a feed
    /// that is deaf while PINGs are answered stays so for ever.
    pub canary: bool,
}

/// How long things may take. Chosen so that a server that falls silent is known to be down in less
/// than a second, and a request fails in less than two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands, handshake included.
    pub connect: Duration,
    /// Until a command is answered.
    pub response: Duration,
    /// Between two PINGs.
    pub ping_interval: Duration,
    /// Silence after a PING that makes the server count as down. Its link stays: a busy server is
    /// heard again without having lost what it pushed meanwhile.
    pub ping_timeout: Duration,
    /// Silence after a PING that makes the link be replaced.
    pub give_up: Duration,
    /// The longest pause between two attempts to connect; each is chosen at random below a ceiling
    /// that doubles up to this.
    pub backoff: Duration,
    /// Connections of the pool; one more waits, at most for `response`.
    pub pool: usize,
    /// Between two reads of a busy feed; none: it is read whenever something comes. Not over TLS.
    pub pace: Option<Duration>,
}

impl Settings {
    /// The defaults for a standalone server.
    pub fn new(url: impl Into<String>) -> Self {
        Topology::Standalone(url.into()).into()
    }

    /// Whether the addresses can be some. Opens no connection.
    ///
    /// # Errors
    /// [`RedisError::Address`], which names the setting.
    pub fn check(&self) -> Result<(), RedisError> {
        self.topology.check()
    }
}

impl From<Topology> for Settings {
    /// The defaults for these servers.
    fn from(topology: Topology) -> Self {
        Self { topology, prefix: Prefix::default(), patience: Patience::default(), canary: true }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_millis(1500),
            ping_interval: Duration::from_millis(250),
            ping_timeout: Duration::from_millis(500),
            give_up: Duration::from_secs(3),
            backoff: Duration::from_secs(1),
            pool: 4,
            pace: None,
        }
    }
}
