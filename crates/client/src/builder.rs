//! How a client is set up before its first connection.

use tidegate_core::ClientId;
use tidegate_protocol::Codec;
use tokio::sync::{mpsc, oneshot, watch};

use crate::link::Identity;
use crate::{Client, Error, Incoming, State, socket, task};

/// Pieces of news that wait for the application; see [`Incoming`].
const INCOMING: usize = 1024;
/// Commands that wait for the task; above, callers wait.
const COMMANDS: usize = 64;

/// A client to be; [`Client::builder`] makes one.
#[derive(Clone)]
pub struct Builder {
    url: String,
    codec: Codec,
    token: Option<String>,
    client: Option<String>,
    incoming: usize,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self { url, codec: Codec::Json, token: None, client: None, incoming: INCOMING }
    }

    /// How frames are written; default JSON.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// A JSON Web Token; without one the client is anonymous.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// What makes two connections the same device, 1–64 bytes, a secret; default: made by the
    /// server at the first connection and kept.
    #[must_use]
    pub fn client_id(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// How many pieces of news [`Incoming`] holds; at least 1.
    #[must_use]
    pub fn incoming(mut self, pieces: usize) -> Self {
        self.incoming = pieces.max(1);
        self
    }

    /// Starts to connect, and goes on for ever: await [`Client::connected`], or simply
    /// [`Client::subscribe`].
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::ClientId`]: what can be seen without dialing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(self) -> Result<(Client, Incoming), Error> {
        let url = socket::check_url(&self.url).map_err(|why| Error::Url { url: self.url.clone(), why })?;
        let client = self.client.as_deref().map(ClientId::parse).transpose()?;
        let identity = Identity { codec: self.codec, token: self.token, client };
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (news, incoming) = mpsc::channel(self.incoming);
        let (states, state) = watch::channel(State::Connecting);
        let (ending, ended) = oneshot::channel();
        let task = tokio::spawn(task::run(url, identity, asked, ended, news, states));
        Ok((Client::new(commands, state, ending, task), Incoming::new(incoming)))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither token nor client id: both are secrets.
        f.debug_struct("Builder").field("url", &self.url).field("codec", &self.codec).finish_non_exhaustive()
    }
}
