//! The application's handle: asks the client's task and waits for its answers.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Position, Reason};
use tidegate_protocol::MAX_KEY;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::link::{Answer, Command};
use crate::news::Shared;
use crate::{Builder, Error, History, Start, State};

pub(crate) type Reply = oneshot::Sender<Result<Answer, Error>>;

/// A client. Share it with `Arc`; dropping it ends it too, but only [`Client::close`] waits for that.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command<Reply>>,
    state: watch::Receiver<State>,
    shared: Arc<Shared>,
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
        shared: Arc<Shared>,
        ending: oneshot::Sender<()>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { commands, state, shared, ending, task }
    }

    /// Subscribes to a channel and waits for the confirmation: what is published after it arrives.
    /// Waits for a connection as long as there is none. The subscription outlives connections.
    ///
    /// # Errors
    /// [`Error::Channel`], [`Error::Refused`]; [`Error::Cut`] or [`Error::NoAnswer`] when it was
    /// asked and not answered: it is not subscribed then. [`Error::Closed`].
    pub async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        self.subscribe_from(channel, Start::Now).await
    }

    /// Subscribes to a channel from a place in its history, such as the stored [`Client::position`]. While the
    /// server is older than that position, this waits and asks again.
    ///
    /// ```no_run
    /// # async fn example(client: tidegate_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tidegate_client::Start;
    ///
    /// let stored = "1795245504123000001-7".parse()?;
    /// client.subscribe_from("chat:1", Start::Since(stored)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub async fn subscribe_from(&self, channel: &str, start: Start) -> Result<(), Error> {
        let channel = ChannelName::parse(channel)?;
        self.ask(|reply| Command::Subscribe(channel, start, reply)).await.map(drop)
    }

    /// The position of the last event that the application has handled, in a channel with history that is
    /// subscribed to. Its spelling is `<epoch>-<offset>`; store it to go on there with [`Start::Since`].
    pub fn position(&self, channel: &str) -> Option<Position> {
        self.shared.followers.lock().position(&ChannelName::parse_any(channel).ok()?)
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
    /// channel has history. At most once: nothing is queued for a later connection or sent again. To be
    /// sure of it use [`Client::publish_once`].
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::TooLarge`], [`Error::Channel`], [`Error::Refused`]: it did
    /// not happen. [`Error::Cut`], [`Error::NoAnswer`]: it may have.
    pub async fn publish(&self, channel: &str, data: impl Into<Bytes>) -> Result<Option<Position>, Error> {
        let channel = ChannelName::parse(channel)?;
        let data = data.into();
        position(self.ask(|reply| Command::Publish(channel, data, reply)).await)
    }

    /// Publishes under a key, so that it happens once however often it is sent: it waits for a connection, is
    /// sent again when one ended before the answer, and when a refusal may be over. The key works in
    /// channels without history, too. Without one (1 to 128 bytes) a random one is made; give your own if you
    /// repeat it after a crash. Dropping the future does not take the publish back.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TooLarge`], [`Error::Channel`], [`Error::Refused`] (also `key_reused`): it did
    /// not happen. [`Error::Cut`], [`Error::NoAnswer`]: it may have, but nothing was heard for as long as the
    /// server remembers keys. [`Error::Closed`]: it may have, if the client had been connected.
    pub async fn publish_once(
        &self,
        channel: &str,
        data: impl Into<Bytes>,
        key: Option<&str>,
    ) -> Result<Option<Position>, Error> {
        let channel = ChannelName::parse(channel)?;
        let data = data.into();
        let key: Arc<str> = match key {
            Some(key) if (1..=MAX_KEY).contains(&key.len()) => key.into(),
            Some(key) => {
                let message = format!("`key` has 1 to {MAX_KEY} bytes, this one has {}", key.len());
                return Err(Error::refused(Reason::BadRequest, message));
            }
            None => format!("{:032x}", rand::random::<u128>()).into(),
        };
        position(self.ask(|reply| Command::Post(channel, data, key, reply)).await)
    }

    /// Events of a channel's history: those behind `since`, or the latest; at most `limit`, and at most a page
    /// of the server. With a limit of 0 it only says where the channel is.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Channel`], [`Error::Refused`], [`Error::Cut`],
    /// [`Error::NoAnswer`], [`Error::Closed`].
    pub async fn history(
        &self,
        channel: &str,
        since: Option<Position>,
        limit: Option<u32>,
    ) -> Result<History, Error> {
        let channel = ChannelName::parse(channel)?;
        match self.ask(|reply| Command::History(channel, since, limit, reply)).await? {
            Answer::History(history) => Ok(history),
            Answer::Done | Answer::At(_) => Err(Error::NoAnswer), // the server answered something else
        }
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

    async fn ask(&self, command: impl FnOnce(Reply) -> Command<Reply>) -> Result<Answer, Error> {
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

fn position(answer: Result<Answer, Error>) -> Result<Option<Position>, Error> {
    answer.map(|answer| match answer {
        Answer::At(position) => Some(position),
        Answer::Done | Answer::History(_) => None,
    })
}
