//! Where events go into the gateway: Redis `PUBLISH`, or the admin port's HTTP.

use anyhow::{Context, Result, ensure};

use crate::http::Client;

/// The ways to publish.
#[derive(Clone, Debug)]
pub enum Target {
    /// `redis://…`: `PUBLISH tg:{channel}`.
    Redis(String),
    /// `http://…`: `POST /api/v1/publish`.
    Admin(String),
}

/// One open way.
pub enum Outlet {
    /// All that is due at once leaves in one pipeline.
    Redis(Box<redis::Connection>),
    /// One request after the other.
    Admin(Client),
}

impl Target {
    /// How many threads publish: HTTP waits for each answer, so it needs several.
    #[must_use]
    pub fn threads(&self) -> u32 {
        match self {
            Self::Redis(_) => 1,
            Self::Admin(_) => 4,
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(&self) -> Result<Outlet> {
        Ok(match self {
            Self::Redis(url) => {
                let connection = redis::Client::open(url.as_str()).and_then(|client| client.get_connection());
                Outlet::Redis(Box::new(connection.with_context(|| format!("connecting to {url}"))?))
            }
            Self::Admin(url) => Outlet::Admin(Client::connect(url)?),
        })
    }
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
