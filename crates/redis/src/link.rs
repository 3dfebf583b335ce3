//! One connection to Redis, and whether Redis is at its other end.
//!
//! redis-rs reads the socket in a task of its own and calls us from there with what Redis pushes.
//! Once a [`Link`] is dropped, nothing is heard from it any more, though that task may still run.

mod line;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, RedisResult, Value, cmd};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::address::Address;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};
pub(crate) use line::Line;

/// A connection that stands, or stood.
pub(crate) struct Link {
    pub(crate) connection: MultiplexedConnection,
    address: Address,
    signs: Arc<Signs>,
    /// Ends the connection's task, where that is ours.
    _task: Option<AbortOnDropHandle<()>>,
}

/// What the connection's own task tells.
struct Signs {
    /// False once the link is dropped. Locked while a message is handed on, so that nothing of an
    /// old link can come after the first of a new one.
    open: Mutex<bool>,
    /// Grows with everything Redis says.
    heard: AtomicU64,
    closed: CancellationToken,
    /// Requests of ours that have no answer yet, or none that we saw.
    in_flight: AtomicUsize,
    /// Whether answers may be those of other requests.
    is_confused: AtomicBool,
    /// Names that we asked to unsubscribe, until Redis says so.
    leaving: Mutex<HashSet<String>>,
}

/// What Redis says by itself.
pub(crate) enum Heard<'a> {
    /// A message on a pub/sub channel.
    Message(&'a [u8], Vec<u8>),
    /// Redis has ended this subscription: the channel's slot is another node's now.
    Ended(String),
}

impl Link {
    /// Opens a connection to where the master is now. `hear` gets what Redis says by itself, in the
    /// connection's own task: it must not block. With a pace, a busy one is read once a pace.
    pub(crate) async fn open(
        whereabouts: &mut Whereabouts,
        patience: &Patience,
        pace: Option<Duration>,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, RedisError> {
        let address = whereabouts.known().await;
        let opening = Self::open_at(&address, whereabouts.must_be_master, patience, pace, hear);
        let opened = opening.await;
        if opened.is_err() {
            whereabouts.doubt();
        }
        opened
    }

    async fn open_at(
        address: &Address,
        must_be_master: bool,
        patience: &Patience,
        pace: Option<Duration>,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, RedisError> {
        let signs = Arc::new(Signs::new());
        let pushed = Arc::clone(&signs);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(None) // whoever asks has a deadline of his own
            .set_push_sender(move |push: PushInfo| {
                pushed.take(push, &hear);
                Ok::<(), RedisError>(())
            });
        let (connection, task) = match pace {
            None => (address.client()?.get_multiplexed_async_connection_with_config(&config).await?, None),
            Some(pace) => {
                let late = |_| RedisError::Unavailable(format!("{address} cannot be connected to in time"));
                let opening = address.open_paced(pace, config);
                timeout(patience.connect, opening).await.map_err(late)??
            }
        };
        let link = Self { connection, address: address.clone(), signs, _task: task };
        if must_be_master {
            let late = |_| RedisError::Unavailable(format!("{address} does not say its role"));
            timeout(patience.response, link.role(address)).await.map_err(late)??;
        }
        Ok(link)
    }

    /// Sentinels name a former master for a while, and publishing at a replica reaches nobody else.
    async fn role(&self, address: &Address) -> Result<(), RedisError> {
        let answer = self.ask(&cmd("ROLE")).await?;
        match is_master(&answer) {
            true => Ok(()),
            false => Err(RedisError::Unavailable(format!("{address} is no master"))),
        }
    }

    /// Runs one command.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self.answer(command).await? {
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }

    /// Runs one command; what the server answers may be an error.
    pub(crate) async fn answer(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.connection.clone();
        let _in_flight = InFlight::start(&self.signs.in_flight);
        self.unless_closed(connection.send_packed_command(command)).await
    }

    /// The link is of no use: its server is not the one it should lead to.
    pub(crate) fn give_up(&self) {
        self.signs.closed.cancel();
    }

    /// Subscribes to one name of a shard.
    pub(crate) async fn join(&self, name: &str) -> Result<(), RedisError> {
        let answer = self.ask(cmd("SSUBSCRIBE").arg(name)).await?;
        self.expect(is_about(&answer, &PushKind::SSubscribe, name))
    }

    /// Ends the subscription to one name of a shard.
    pub(crate) async fn leave(&self, name: &str) -> Result<(), RedisError> {
        self.signs.leaving.lock().insert(name.to_owned());
        let answer = self.ask(cmd("SUNSUBSCRIBE").arg(name)).await;
        if answer.is_err() {
            self.signs.leaving.lock().remove(name); // what Redis ends later, it ends by itself
        }
        self.expect(is_about(&answer?, &PushKind::SUnsubscribe, name))
    }

    /// An answer was that of another request: so are all that follow. Redis may answer `SUNSUBSCRIBE` twice:
    /// with an end of its own, as the slot moves away just then, and with an error.
    fn expect(&self, is_its_answer: bool) -> Result<(), RedisError> {
        if is_its_answer {
            return Ok(());
        }
        self.signs.confuse();
        Err(closed())
    }

    /// Runs a command, unless the connection is closed first. redis-rs alone may then never answer: what
    /// enters its queue in the very moment its task ends stays there as long as the connection is held.
    pub(crate) async fn unless_closed<T>(
        &self,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, RedisError> {
        tokio::select! {
            biased; // an answer that came counts
            answer = command => match self.signs.is_confused.load(Ordering::SeqCst) {
                false => Ok(answer?),
                true => Err(closed()), // it may be another request's
            },
            () = self.signs.closed.cancelled() => Err(closed()),
        }
    }

    /// A sign of life that only the caller saw: an answer.
    pub(crate) fn was_heard(&self) {
        self.signs.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks again and again whether Redis is there, and tells `heard` when that changes; it starts
    /// as heard. Returns when the link is of no more use.
    ///
    /// Everything Redis says counts, not only the answer: in a flood it comes late.
    pub(crate) async fn watch(&self, patience: &Patience, mut heard: impl FnMut(bool)) -> RedisError {
        let look = (patience.ping_timeout / 8).max(Duration::from_millis(1));
        let mut is_heard = true;
        loop {
            tokio::select! {
                () = sleep(patience.ping_interval) => {}
                () = self.signs.closed.cancelled() => return closed(),
            }
            let mut ping = std::pin::pin!(self.ping());
            let mut count = self.signs.count();
            let mut since = Instant::now();
            loop {
                tokio::select! {
                    answer = &mut ping => match answer {
                        Ok(()) => break,
                        Err(error) => return error,
                    },
                    () = self.signs.closed.cancelled() => return closed(),
                    () = sleep(look) => {}
                }
                let now = self.signs.count();
                if now != count {
                    (count, since) = (now, Instant::now());
                }
                let silent = since.elapsed();
                if silent >= patience.give_up {
                    return RedisError::Unavailable(format!("it has said nothing for {silent:.1?}"));
                }
                if is_heard != (silent < patience.ping_timeout) {
                    is_heard = !is_heard;
                    heard(is_heard);
                }
            }
            if !is_heard {
                is_heard = true;
                heard(true);
            }
        }
    }

    /// Returns when Redis has pushed nothing for so long, whatever it answers.
    pub(crate) async fn stalled(&self, most: Duration) -> RedisError {
        let mut count = self.signs.count();
        loop {
            sleep(most).await;
            let now = self.signs.count();
            if now == count {
                return RedisError::Unavailable(format!("it answers, but confirms nothing for {most:.0?}"));
            }
            count = now;
        }
    }

    async fn ping(&self) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        let _in_flight = InFlight::start(&self.signs.in_flight);
        match connection.send_packed_command(&cmd("PING")).await {
            Ok(Value::ServerError(_)) => Ok(()), // such as LOADING
            Ok(answer) => self.expect(is_text(&answer, b"PONG")),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        *self.signs.open.lock() = false;
    }
}

impl Signs {
    fn new() -> Self {
        Self {
            open: Mutex::new(true),
            heard: AtomicU64::new(0),
            closed: CancellationToken::new(),
            in_flight: AtomicUsize::new(0),
            is_confused: AtomicBool::new(false),
            leaving: Mutex::default(),
        }
    }

    fn count(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn take(&self, push: PushInfo, hear: &impl Fn(Heard<'_>)) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                    (data.next(), data.next())
                {
                    self.tell(hear, Heard::Message(&channel, payload));
                }
            }
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(name)) = push.data.into_iter().next()
                    && let Ok(name) = String::from_utf8(name)
                    && !self.leaving.lock().remove(&name)
                {
                    self.ended(name, hear);
                }
            }
            PushKind::Disconnection => self.closed.cancel(),
            _ => {}
        }
    }

    /// Redis has ended a subscription by itself. redis-rs takes such a message for the answer to its
    /// oldest request: if there is one, each later request would get its predecessor's answer, and a
    /// name count as subscribed that is not. Such a link is of no more use.
    fn ended(&self, name: String, hear: &impl Fn(Heard<'_>)) {
        if self.in_flight.load(Ordering::SeqCst) > 0 {
            self.confuse();
        }
        self.tell(hear, Heard::Ended(name));
    }

    fn confuse(&self) {
        self.is_confused.store(true, Ordering::SeqCst);
        self.closed.cancel();
    }

    fn tell(&self, hear: &impl Fn(Heard<'_>), heard: Heard<'_>) {
        let open = self.open.lock();
        if *open {
            hear(heard);
        }
    }
}

/// Counts a request until its answer, or until nobody waits for it.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn start(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether this confirms that a subscription to this name has begun or ended.
fn is_about(answer: &Value, what: &PushKind, name: &str) -> bool {
    matches!(answer, Value::Push { kind, data } if kind == what
        && data.first().is_some_and(|of| is_text(of, name.as_bytes())))
}

/// Whether an answer to `ROLE` is that of a master.
pub(crate) fn is_master(answer: &Value) -> bool {
    matches!(answer, Value::Array(parts) if parts.first().is_some_and(|role| is_text(role, b"master")))
}

fn is_text(value: &Value, text: &[u8]) -> bool {
    match value {
        Value::BulkString(bytes) => bytes == text,
        Value::SimpleString(string) => string.as_bytes() == text,
        _ => false,
    }
}

fn closed() -> RedisError {
    RedisError::unavailable("the connection was closed")
}

#[cfg(test)]
mod tests;
