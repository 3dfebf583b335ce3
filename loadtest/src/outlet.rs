//! Where events go into the gateway: Redis `PUBLISH` or `FCALL`, the admin port's HTTP, a client at a door. And into a peer.

use anyhow::{Context, Result, ensure};

use crate::http::Client;
use crate::socket_io;
use crate::speaker::Speaker;

/// The ways to publish.
#[derive(Clone, Debug)]
pub enum Target {
    /// `redis://…`: `PUBLISH tg:{channel}`.
    Redis(String),
    /// `redis://…`: `FCALL tg_publish`, which numbers and keeps it.
    Function(String),
    /// `redis://…`: as Socket.IO's emitter does.
    SocketIo(String),
    /// `http://…`: `POST /api/v1/publish`.
    Admin(String),
    /// `ws://…`: a native client publishes.
    Client {
        /// The gateway.
        url: String,
        /// Who it is.
        token: Option<String>,
    },
}

/// One open way.
pub enum Outlet {
    /// All that is due at once leaves in one pipeline.
    Redis(Box<redis::Connection>),
    /// Likewise.
    Function(Box<redis::Connection>),
    /// Likewise.
    SocketIo(Box<redis::Connection>),
    /// One request after the other.
    Admin(Client),
    /// All that is due at once leaves in one write.
    Client(Box<Speaker>),
}

impl Target {
    /// How many threads publish: HTTP waits for each answer, so it needs several; of clients there are many anyway.
    #[must_use]
    pub fn threads(&self) -> u32 {
        match self {
            Self::Redis(_) | Self::Function(_) | Self::SocketIo(_) => 1,
            Self::Admin(_) | Self::Client { .. } => 4,
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(&self) -> Result<Outlet> {
        Ok(match self {
            Self::Redis(url) => Outlet::Redis(Box::new(redis(url)?)),
            Self::Function(url) => Outlet::Function(Box::new(redis(url)?)),
            Self::SocketIo(url) => Outlet::SocketIo(Box::new(redis(url)?)),
            Self::Admin(url) => Outlet::Admin(Client::connect(url)?),
            Self::Client { url, token } => Outlet::Client(Box::new(Speaker::connect(url, token.as_deref())?)),
        })
    }
}

fn redis(url: &str) -> Result<redis::Connection> {
    let connection = redis::Client::open(url).and_then(|client| client.get_connection());
    // The URL may hold a password.
    connection.context("connecting to Redis")
}

impl Outlet {
    /// Publishes these (channel name, payload) in this order; returns when the last is accepted.
    ///
    /// # Errors
    /// When one is refused or the connection is lost: from then on nobody knows what was published.
    pub fn publish<'a>(&mut self, events: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<()> {
        match self {
            Self::Redis(connection) => {
                let mut pipeline = redis::pipe();
                for (channel, payload) in events {
                    pipeline.cmd("PUBLISH").arg(format!("tg:{{{channel}}}")).arg(payload).ignore();
                }
                pipeline.exec(connection)?;
            }
            Self::Function(connection) => {
                let mut pipeline = redis::pipe();
                for (channel, payload) in events {
                    let call = pipeline.cmd("FCALL").arg("tg_publish").arg(1);
                    call.arg(format!("tg:{{{channel}}}")).arg(payload).ignore();
                }
                pipeline.exec(connection).context("FCALL tg_publish, which a node installs")?;
            }
            Self::SocketIo(connection) => {
                let mut pipeline = redis::pipe();
                for (channel, payload) in events {
                    let packet = socket_io::packet(channel, payload)?;
                    pipeline.cmd("PUBLISH").arg(socket_io::channel(channel)).arg(packet).ignore();
                }
                pipeline.exec(connection)?;
            }
            Self::Client(speaker) => speaker.publish(events)?,
            Self::Admin(client) => {
                for (channel, payload) in events {
                    // A payload is a JSON string as it is.
                    let body =
                        [br#"{"channel":""#, channel.as_bytes(), br#"","data":"#, payload, b"}"].concat();
                    let (status, answer) = client.ask("POST", "/api/v1/publish", &body)?;
                    ensure!(status == 200, "publish: {status} {}", String::from_utf8_lossy(&answer));
                }
            }
        }
        Ok(())
    }
}
