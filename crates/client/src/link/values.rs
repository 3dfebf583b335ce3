//! What goes into a link and what comes out.

use std::time::Instant;

use bytes::Bytes;
use tidegate_core::{ChannelName, Position};

use crate::{Error, News};

/// What the application asks. `R` is who waits for the answer.
#[derive(Debug)]
pub(crate) enum Command<R> {
    Subscribe(ChannelName, R),
    Unsubscribe(ChannelName, R),
    Publish(ChannelName, Bytes, R),
}

/// What happens to a client.
#[derive(Debug)]
pub(crate) enum Input<R> {
    /// The application asks.
    Command(Command<R>),
    /// The WebSocket is open.
    Opened,
    /// A whole message came.
    Message(Bytes),
    /// A sign of life without content: a WebSocket ping or pong.
    Heard,
    /// The connection ended, or could not be made.
    Cut(Cut),
    /// Time has come; see [`Link::due`].
    Tick,
    /// Nobody takes the news, so nothing is read for now; or again somebody does.
    Stalled(bool),
    /// The application wants no more.
    Close,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The close code, or the HTTP status of a refused upgrade.
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
    /// The same attempt would be refused again, whatever the code says.
    pub(crate) never: bool,
}

impl Cut {
    pub(crate) fn new(code: Option<u16>, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), never: false }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<R> {
    Dial,
    /// One encoded request.
    Send(Bytes),
    /// End the connection with this code and reason.
    Hang(u16, String),
    Answer(R, Result<Option<Position>, Error>),
    News(News),
}

/// Time, and chance uniform in 0 … 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) chance: f64,
}
