//! What can go wrong, by what the caller can do about it.

use std::time::Duration;

use tidegate_core::{IdError, NameError, Reason};
use tidegate_protocol::codes;

/// Why a request failed, or a client could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is not one this client can dial: correct it.
    #[error("{url:?} is not the URL of a native door: {why}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The channel's name is not valid.
    #[error(transparent)]
    Channel(#[from] NameError),
    /// The client id is not valid.
    #[error(transparent)]
    ClientId(#[from] IdError),
    /// The message is larger than the server takes (it would close the connection): send less.
    #[error("the message has {bytes} bytes, the server takes at most {limit}")]
    TooLarge {
        /// Of the encoded request.
        bytes: usize,
        /// The server's `limits.message`.
        limit: u64,
    },
    /// The server refused. Nothing was done.
    #[error("{message} ({code})")]
    Refused {
        /// One of the codes in docs/protocol.md, or a newer one.
        code: String,
        /// For people.
        message: String,
        /// Whether the same request may succeed later.
        retry: bool,
        /// When to try again, if the server knows.
        retry_after: Option<Duration>,
    },
    /// There is no connection, so nothing was sent. The client is on its way back.
    #[error("there is no connection")]
    NotConnected,
    /// So many publishes with keys wait already: nothing was sent. Wait for some of them.
    #[error("{count} publishes of at most {bytes} bytes may wait for an answer, no more")]
    Full {
        /// As [`Builder::offline`](crate::Builder::offline) said.
        count: usize,
        /// Likewise.
        bytes: usize,
    },
    /// The connection ended before the answer: a publish may or may not have happened.
    #[error("the connection ended before the answer")]
    Cut,
    /// The server did not answer within 10 s. So it ends, too, when nobody takes from
    /// [`Incoming`](crate::Incoming): while that is full nothing is read.
    #[error("no answer within 10 s")]
    NoAnswer,
    /// The client is closed, by [`Client::close`](crate::Client::close) or for good by the server.
    #[error("the client is closed: {reason} ({code})")]
    Closed {
        /// The close code, or the HTTP status of a refused upgrade.
        code: u16,
        /// For people.
        reason: String,
    },
}

impl Error {
    /// Whether the same request may succeed later. After [`Error::Cut`] and [`Error::NoAnswer`] a
    /// publish may happen twice if it is repeated without its key.
    pub fn retry(&self) -> bool {
        match self {
            Self::Refused { retry, .. } => *retry,
            Self::NotConnected | Self::Full { .. } | Self::Cut | Self::NoAnswer => true,
            _ => false,
        }
    }

    /// A refusal that needs no question to the server.
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        let code = codes::error_code(reason).to_owned();
        Self::Refused { code, message: message.into(), retry: reason.retry(), retry_after: None }
    }
}
