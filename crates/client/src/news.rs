//! What a client hears: events, states, ended subscriptions, on one bounded stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use tidegate_core::ChannelName;
use tokio::sync::mpsc;

use crate::Error;

/// An event as it arrived.
pub use tidegate_protocol::EventFrame as Event;

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
    /// The connection ended; the client comes back. What is published meanwhile is not heard.
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
    /// A subscription ended without [`unsubscribe`](crate::Client::unsubscribe): the server ended
    /// it, or refused it after a new connection.
    Ended {
        /// Which.
        channel: ChannelName,
        /// Why.
        error: Error,
    },
}

/// The stream of news; ends when the client is closed. It holds 1,024 (or as many as
/// [`Builder::incoming`](crate::Builder::incoming) said). While it is full nothing is read from the
/// server, replies included: back pressure, until the server ends the connection as slow (4100).
/// Who only publishes drops it.
#[derive(Debug)]
pub struct Incoming {
    receiver: mpsc::Receiver<News>,
}

impl Incoming {
    pub(crate) fn new(receiver: mpsc::Receiver<News>) -> Self {
        Self { receiver }
    }

    /// The next piece of news; none when the client is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<News> {
        self.receiver.recv().await
    }

    /// The next event; other news is skipped. Safe to cancel.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let News::Event(event) = self.next().await? {
                return Some(event);
            }
        }
    }
}

impl Stream for Incoming {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<News>> {
        self.receiver.poll_recv(cx)
    }
}
