//! Where one server is and how it is entered: host, port, TLS, credentials.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo,
};

use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::RedisError;
use crate::paced::Paced;

/// The way to one server. Prints as `host:port`, without its password.
#[derive(Clone)]
pub(crate) struct Address(ConnectionInfo);

impl Address {
    /// Reads `redis://[user:password@]host[:6379][/database]`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// [`RedisError::Address`], which names `field`.
    pub(crate) fn parse(field: &str, url: &str) -> Result<Self, RedisError> {
        let refused = |why: &str| RedisError::Address(format!("{field}: {why}"));
        if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
            return Err(refused("redis://host:6379 or rediss://host:6379 is expected"));
        }
        if url.starts_with("rediss://") {
            // rustls panics without a provider; if there is one already, it stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let info = url.into_connection_info().map_err(|error| refused(&error.to_string()))?;
        // redis-rs leaves Nagle's algorithm on: small commands would wait 40 ms for an ACK.
        let tcp = TcpSettings::default().set_nodelay(true);
        // RESP3 mixes pushes and replies, so PING works on a subscribed connection.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
        Client::open(info.clone()).map_err(|error| refused(&error.to_string()))?;
        Ok(Self(info))
    }

    /// Another server that is entered in the same way.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        let address = match self.0.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Self(self.0.clone().set_addr(address))
    }

    /// The same host, at another port.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        self.at(self.host(), port)
    }

    /// The same server, entered in another way.
    pub(crate) fn with_credentials(
        &self,
        username: Option<&str>,
        password: Option<&str>,
        database: i64,
    ) -> Self {
        let mut redis = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(database);
        if let Some(username) = username {
            redis = redis.set_username(username);
        }
        if let Some(password) = password {
            redis = redis.set_password(password);
        }
        Self(self.0.clone().set_redis_settings(redis))
    }

    /// What opens connections to it. Opens none by itself.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub(crate) fn client(&self) -> Result<Client, RedisError> {
        Client::open(self.0.clone()).map_err(|error| RedisError::Address(error.to_string()))
    }

    /// Opens a connection whose socket is read at a pace once it is busy. Not over TLS.
    ///
    /// # Errors
    /// When nobody listens there, or the server does not let us in.
    pub(crate) async fn open_paced(
        &self,
        pace: Duration,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, Option<AbortOnDropHandle<()>>), RedisError> {
        let ConnectionAddr::Tcp(host, port) = self.0.addr() else {
            return Err(RedisError::Address(format!("{self}: only redis:// can be read at a pace")));
        };
        let unreachable = |error| RedisError::Unavailable(format!("{self}: {error}"));
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream = Paced::new(stream, pace);
        let opening = MultiplexedConnection::new_with_config(self.0.redis_settings(), stream, config);
        let (connection, task) = opening.await?;
        Ok((connection, Some(AbortOnDropHandle::new(tokio::spawn(task)))))
    }

    /// The host's name or address.
    pub(crate) fn host(&self) -> &str {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// The database.
    pub(crate) fn database(&self) -> i64 {
        self.0.redis_settings().db()
    }

    #[cfg(test)]
    pub(crate) fn credentials(&self) -> (Option<&str>, Option<&str>) {
        (self.0.redis_settings().username(), self.0.redis_settings().password())
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.0.addr() == other.0.addr()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                write!(f, "{host}:{port}")
            }
            other => other.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for url in ["redis://localhost", "redis://u:p@10.0.0.1:7000/3", "rediss://redis.example.com:6380"] {
            let client = Address::parse("x", url).unwrap().client().unwrap();
            assert!(client.get_connection_info().tcp_settings().nodelay(), "{url}");
        }
        for url in
            ["", "localhost:6379", "http://localhost", "redis://", "redis://host:port", "unix:///tmp/x"]
        {
            assert!(matches!(Address::parse("x", url), Err(RedisError::Address(_))), "{url}");
        }
    }

    #[test]
    fn another_server_is_entered_in_the_same_way() {
        let first = Address::parse("x", "rediss://u:p@a:1").unwrap();
        let other = first.at("b", 2);
        assert_eq!(other.to_string(), "b:2");
        assert_eq!(other.credentials(), (Some("u"), Some("p")));
        let ConnectionAddr::TcpTls { insecure, .. } = other.0.addr() else { panic!("no TLS") };
        assert!(!insecure);
        assert!(other.client().unwrap().get_connection_info().tcp_settings().nodelay());
    }
}
