//! How a client is set up before its first connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_core::ClientId;
use tidegate_core::follower::Memory;
use tidegate_protocol::Codec;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::followers::Followers;
use crate::link::{Identity, Link, Room};
use crate::news::Shared;
use crate::task::Outlets;
use crate::{Client, Error, Incoming, State, socket, task};

/// Pieces of news that wait for the application; see [`Incoming`].
const INCOMING: usize = 1024;
/// Commands that wait for the task; above, callers wait.
const COMMANDS: usize = 64;
/// Publishes with keys that wait for an answer; above, [`Error::Full`].
const OFFLINE: usize = 1024;
/// Their bytes.
const OFFLINE_BYTES: usize = 8 << 20;

/// A client to be; [`Client::builder`] makes one.
#[derive(Clone)]
pub struct Builder {
    url: String,
    codec: Codec,
    token: Option<String>,
    client: Option<String>,
    incoming: usize,
    room: Room,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        let window = Duration::from_millis(Memory::default().window_ms);
        let room = Room { count: OFFLINE, bytes: OFFLINE_BYTES, window };
        Self { url, codec: Codec::Json, token: None, client: None, incoming: INCOMING, room }
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

    /// How many publishes with keys may wait for an answer, and how many bytes they may have in all; 1,024 and
    /// 8 MiB by default. Above, [`Client::publish_once`] fails at once with [`Error::Full`].
    #[must_use]
    pub fn offline(mut self, publishes: usize, bytes: usize) -> Self {
        self.room = Room { count: publishes, bytes, ..self.room };
        self
    }

    /// How long the server remembers keys: `dedupe_ttl` of the namespaces, 5 minutes by default. For so long a
    /// publish without an answer is tried again, and keys of events that died with a server are remembered.
    #[must_use]
    pub fn dedupe_window(mut self, window: Duration) -> Self {
        self.room.window = window;
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
        let window_ms = u64::try_from(self.room.window.as_millis()).unwrap_or(u64::MAX);
        let memory = Memory { window_ms, ..Memory::default() };
        let now = Instant::now();
        let followers = Arc::new(Mutex::new(Followers::new(memory, now)));
        let link = Link::new(identity, self.room, Arc::clone(&followers), now);
        let shared = Arc::new(Shared { followers, look: Notify::new() });
        let outlets = Outlets { news: Some(news), states, shared: Arc::clone(&shared) };
        let task = tokio::spawn(task::run(url, self.codec, link, asked, ended, outlets));
        let client = Client::new(commands, state, Arc::clone(&shared), ending, task);
        Ok((client, Incoming::new(incoming, shared)))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither token nor client id: both are secrets.
        f.debug_struct("Builder").field("url", &self.url).field("codec", &self.codec).finish_non_exhaustive()
    }
}
