//! The application's handle: asks the client's task and waits for its answers.

use bytes::Bytes;
use tidegate_core::{ChannelName, Position};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::link::Command;
use crate::{Builder, Error, State};

pub(crate) type Reply = oneshot::Sender<Result<Option<Position>, Error>>;

/// A client. Share it with `Arc`; dropping it ends it too, but only [`Client::close`] waits for that.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command<Reply>>,
    state: watch::Receiver<State>,
    /// Ends the task when it is dropped.
    ending: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Client {
    /// A client of the native door at `url`, such as `ws://127.0.0.1:8080/ws`.
    ///
    /// ```
    /// # use tidegate_client::{Client, Codec};
    /// let builder = Client::builder("ws://127.0.0.1:8080/ws").codec(Codec::MessagePack).token("eyJ…");
    /// ```
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(
        commands: mpsc::Sender<Command<Reply>>,
        state: watch::Receiver<State>,
        ending: oneshot::Sender<()>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { commands, state, ending, task }
    }

    /// Subscribes to a channel and waits for the confirmation: what is published after it arrives.
    /// Waits for a connection as long as there is none. The subscription outlives connections.
    ///
    /// # Errors
    /// [`Error::Channel`], [`Error::Refused`]; [`Error::Cut`] or [`Error::NoAnswer`] when it was
    /// asked and not answered: it is not subscribed then. [`Error::Closed`].
    pub async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        let channel = ChannelName::parse(channel)?;
        self.ask(|reply| Command::Subscribe(channel, reply)).await.map(drop)
    }

    /// Ends a subscription. Events that were on their way may still be in the stream.
    ///
    /// # Errors
    /// [`Error::Channel`], [`Error::Refused`] (`not_subscribed`), [`Error::NoAnswer`], [`Error::Closed`].
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), Error> {
        let channel = ChannelName::parse(channel)?;
        self.ask(|reply| Command::Unsubscribe(channel, reply)).await.map(drop)
    }

    /// Publishes: JSON, other text or any bytes. The answer is the event's position, where the
    /// channel has history. At most once: nothing is queued for a later connection or sent again.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::TooLarge`], [`Error::Channel`], [`Error::Refused`]: it did
    /// not happen. [`Error::Cut`], [`Error::NoAnswer`]: it may have.
    pub async fn publish(&self, channel: &str, data: impl Into<Bytes>) -> Result<Option<Position>, Error> {
        let channel = ChannelName::parse(channel)?;
        let data = data.into();
        self.ask(|reply| Command::Publish(channel, data, reply)).await
    }

    /// The state right now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits for a connection; returns the session's public id.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn connected(&self) -> Result<String, Error> {
        let mut state = self.state.clone();
        let found = state.wait_for(|s| matches!(s, State::Connected { .. } | State::Closed { .. })).await;
        match found.as_deref() {
            Ok(State::Connected { session, .. }) => Ok(session.clone()),
            _ => Err(self.closed()),
        }
    }

    /// Says goodbye to the server, waits for its answer (at most 1 s) and for the client's task.
    pub async fn close(self) {
        drop(self.ending);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a client's task ended with a panic");
        }
    }

    async fn ask(&self, command: impl FnOnce(Reply) -> Command<Reply>) -> Result<Option<Position>, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| self.closed())?;
        answer.await.unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> Error {
        match &*self.state.borrow() {
            State::Closed { code, reason } => Error::Closed { code: *code, reason: reason.clone() },
            _ => Error::Closed { code: 1006, reason: "its task ended".into() },
        }
    }
}
