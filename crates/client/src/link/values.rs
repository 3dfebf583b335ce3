//! What goes into a link and what comes out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::{ChannelName, Position};

use crate::followers::Note;
use crate::{Error, History, News, Start};

/// What the application asks. `R` is who waits for the answer.
#[derive(Debug)]
pub(crate) enum Command<R> {
    Subscribe(ChannelName, Start, R),
    Unsubscribe(ChannelName, R),
    /// At most once.
    Publish(ChannelName, Bytes, R),
    /// Until it is answered, under a key.
    Post(ChannelName, Bytes, Arc<str>, R),
    History(ChannelName, Option<Position>, Option<u32>, R),
}

impl<R> Command<R> {
    /// Who waits for the answer.
    pub(crate) fn into_reply(self) -> R {
        match self {
            Self::Subscribe(_, _, reply)
            | Self::Unsubscribe(_, reply)
            | Self::Publish(_, _, reply)
            | Self::Post(_, _, _, reply)
            | Self::History(_, _, _, reply) => reply,
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// Where the published event stands.
    At(Position),
    History(History),
}

impl From<Option<Position>> for Answer {
    fn from(position: Option<Position>) -> Self {
        position.map_or(Self::Done, Self::At)
    }
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
    /// Channels wait to be subscribed again; see [`Followers::lost`](crate::followers::Followers::lost).
    Look,
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
    /// A message of one or more encoded requests.
    Send(Bytes),
    /// End the connection with this code and reason.
    Hang(u16, String),
    Answer(R, Result<Answer, Error>),
    News(News),
    /// For the application's side, which knows what is to be handed over.
    Note(Note),
}

/// Time, and chance uniform in 0 … 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    pub(crate) chance: f64,
}
