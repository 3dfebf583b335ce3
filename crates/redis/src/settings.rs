//! Where Redis is and how patiently it is spoken to.

use std::fmt;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo, ProtocolVersion};

use crate::RedisError;

/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 16;

/// What names all our keys and functions in a Redis: `[a-z][a-z0-9_]{0,15}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no prefix: a small letter, then at most 15 small letters, digits or underscores are expected"
)]
pub struct PrefixError(String);

/// Which Redis, and how to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server: `redis://[user:password@]host[:6379][/database]`, or `rediss://` for TLS. Holds
    /// a password: never logged.
    pub url: String,
    /// Starts the name of every key, channel and function: `tg` makes `tg:{chat:42}`.
    pub prefix: Prefix,
    /// How long things may take.
    pub patience: Patience,
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
}

impl Settings {
    /// The defaults with this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), prefix: Prefix::default(), patience: Patience::default() }
    }

    /// Whether the address can be one. Opens no connection.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub fn check(&self) -> Result<(), RedisError> {
        self.client().map(drop)
    }

    /// What opens connections to this server. Opens none by itself.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub(crate) fn client(&self) -> Result<Client, RedisError> {
        let address = |why: &str| RedisError::Address(why.to_owned());
        if !(self.url.starts_with("redis://") || self.url.starts_with("rediss://")) {
            return Err(address("redis://host:6379 or rediss://host:6379 is expected"));
        }
        if self.url.starts_with("rediss://") {
            // rustls panics without a provider; if there is one already, it stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let info = self.url.as_str().into_connection_info().map_err(|error| address(&error.to_string()))?;
        // redis-rs leaves Nagle's algorithm on: small commands would wait 40 ms for an ACK.
        let tcp = TcpSettings::default().set_nodelay(true);
        // RESP3 mixes pushes and replies, so PING works on a subscribed connection.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
        Client::open(info).map_err(|error| address(&error.to_string()))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, prefix, patience } = self;
        f.debug_struct("Settings").field("prefix", prefix).field("patience", patience).finish_non_exhaustive()
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
        }
    }
}

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("tg".to_owned())
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Self, PrefixError> {
        let rest_is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let valid = text.len() <= MAX_PREFIX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(rest_is_valid);
        if valid { Ok(Self(text)) } else { Err(PrefixError(text.chars().take(64).collect())) }
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for text in ["tg", "a", "a_1", "abcdefghijklmnop"] {
            assert_eq!(Prefix::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        for text in ["", "1a", "_a", "Tg", "a-b", "a{", "é", "abcdefghijklmnopq"] {
            assert!(Prefix::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
    #[test]
    fn addresses() {
        for url in ["redis://localhost", "redis://u:p@10.0.0.1:7000/3", "rediss://redis.example.com:6380"] {
            let client = Settings::new(url).client().unwrap();
            assert!(client.get_connection_info().tcp_settings().nodelay(), "{url}");
        }
        for url in
            ["", "localhost:6379", "http://localhost", "redis://", "redis://host:port", "unix:///tmp/x"]
        {
            assert!(matches!(Settings::new(url).client(), Err(RedisError::Address(_))), "{url}");
        }
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", Settings::new("redis://u:secret@host")).contains("secret"));
    }
}
