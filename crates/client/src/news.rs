//! What a client hears: events, states, ended subscriptions, on one bounded stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::Stream;
use parking_lot::Mutex;
use tidegate_core::{ChannelName, Position};
use tokio::sync::{Notify, mpsc};

use crate::Error;
use crate::followers::{Followers, Note};

/// An event as it arrived.
pub use tidegate_protocol::EventFrame as Event;
/// An event of a [`History`].
pub use tidegate_protocol::Logged;

/// Where a subscription begins, in a channel with history; in others it begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what is published from now on.
    #[default]
    Now,
    /// With so many of the latest events.
    Last(u32),
    /// With what follows this position. If not all of it can be had, [`News::Gap`] comes first.
    Since(Position),
}

/// Events of a channel that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The position of the channel's last event.
    pub position: Position,
    /// Whether nothing is missing behind the position that was asked for; there if one was.
    pub recovered: Option<bool>,
    /// The events, in order. The server gives a page at most: the offsets say what came.
    pub events: Vec<Logged>,
}

/// Where the client is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Dialing, or waiting for the server to say who we are.
    Connecting,
    /// Connected; every channel is being subscribed to again.
    Connected {
        /// The session's public id: what others see in `from`.
        session: String,
        /// The token's subject.
        user: Option<String>,
    },
    /// The connection ended; the client comes back. What is published meanwhile comes then, in channels with
    /// history; in others it is not heard.
    Waiting {
        /// When it dials again.
        until: Instant,
        /// The close code, or the HTTP status of a refused upgrade.
        code: Option<u16>,
        /// Why, for people.
        reason: String,
    },
    /// Ended for good.
    Closed {
        /// The close code, or the HTTP status of a refused upgrade.
        code: u16,
        /// Why, for people.
        reason: String,
    },
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// An event of a subscribed channel.
    Event(Event),
    /// The state changed. States that nobody took in time are replaced by later ones.
    State(State),
    /// A subscription is heard again after a new connection.
    Resubscribed(ChannelName),
    /// Events of a channel are missing: the history did not hold them any more. Load anew what you know of it;
    /// what comes next follows [`Client::position`](crate::Client::position).
    Gap {
        /// Which.
        channel: ChannelName,
        /// Why, for people.
        reason: String,
    },
    /// A subscription ended without [`unsubscribe`](crate::Client::unsubscribe): the server ended
    /// it, or refused it after a new connection.
    Ended {
        /// Which.
        channel: ChannelName,
        /// Why.
        error: Error,
    },
}

/// What goes to [`Incoming`].
#[derive(Debug)]
pub(crate) enum Piece {
    News(News),
    Note(Note),
}

/// What the client's task and the application's side share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) followers: Arc<Mutex<Followers>>,
    /// Told when a channel is to be subscribed again.
    pub(crate) look: Notify,
}

/// The stream of news; ends when the client is closed. It holds 1,024 (or as many as
/// [`Builder::incoming`](crate::Builder::incoming) said). While it is full nothing is read from the
/// server, replies included: back pressure, until the server ends the connection as slow (4100).
/// Who only publishes drops it.
///
/// An event is *handled* when the next piece of news is asked for, or [`Incoming::handled`] says so. In
/// a channel with history each event comes once, in order, over all connections; what was not handed over when
/// one ended is fetched again. [`Client::position`](crate::Client::position) is the place of the last
/// handled event: store it with what you made of the event, and start with [`Start::Since`] after a crash.
#[derive(Debug)]
pub struct Incoming {
    receiver: mpsc::Receiver<Piece>,
    shared: Arc<Shared>,
}

impl Incoming {
    pub(crate) fn new(receiver: mpsc::Receiver<Piece>, shared: Arc<Shared>) -> Self {
        Self { receiver, shared }
    }

    /// The next piece of news; none when the client is closed. The event before it counts as handled. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Option<News> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event; other news is skipped, [`News::Gap`] too. Safe to cancel.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let News::Event(event) = self.next().await? {
                return Some(event);
            }
        }
    }

    /// The last event is handled: from now on [`Client::position`](crate::Client::position) is its place.
    pub fn handled(&mut self) {
        self.shared.followers.lock().handled();
    }

    /// The position of the last event that the application has handled; see
    /// [`Client::position`](crate::Client::position), which ends with the client.
    pub fn position(&self, channel: &str) -> Option<Position> {
        self.shared.followers.lock().position(&ChannelName::parse_any(channel).ok()?)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        self.handled();
        loop {
            let note = match ready!(self.receiver.poll_recv(cx)) {
                Some(Piece::Note(note)) => note,
                Some(Piece::News(news)) => {
                    if let News::Ended { channel, .. } = &news {
                        self.shared.followers.lock().ended(channel);
                    }
                    return Poll::Ready(Some(news));
                }
                None => return Poll::Ready(None),
            };
            let mut followers = self.shared.followers.lock();
            let news = followers.take(note, Instant::now());
            if followers.is_lost() {
                self.shared.look.notify_one();
            }
            if news.is_some() {
                return Poll::Ready(news);
            }
        }
    }
}

impl Stream for Incoming {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<News>> {
        self.poll(cx)
    }
}
