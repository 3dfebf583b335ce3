//! One connection to Redis, and whether Redis is at its other end.
//!
//! redis-rs reads the socket in a task of its own and calls us from there with what Redis pushes.
//! Once a [`Link`] is dropped, nothing is heard from it any more, though that task may still run.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, RedisResult, Value, cmd};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// A connection that stands, or stood.
pub(crate) struct Link {
    pub(crate) connection: MultiplexedConnection,
    signs: Arc<Signs>,
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
    /// connection's own task: it must not block.
    pub(crate) async fn open(
        whereabouts: &mut Whereabouts,
        patience: &Patience,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, RedisError> {
        let address = whereabouts.known().await;
        let opening = Self::open_at(&address, whereabouts.must_be_master, patience, hear);
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
        let connection = address.client()?.get_multiplexed_async_connection_with_config(&config).await?;
        let link = Self { connection, signs };
        if must_be_master {
            let late = |_| RedisError::Unavailable(format!("{address} does not say its role"));
            timeout(patience.response, link.role(address)).await.map_err(late)??;
        }
        Ok(link)
    }

    /// Sentinels name a former master for a while, and publishing at a replica reaches nobody else.
    async fn role(&self, address: &Address) -> Result<(), RedisError> {
        let answer = self.ask(&cmd("ROLE")).await?;
        match &answer {
            Value::Array(parts) if parts.first().is_some_and(|role| is_text(role, b"master")) => Ok(()),
            _ => Err(RedisError::Unavailable(format!("{address} is no master"))),
        }
    }

    /// Runs one command.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.connection.clone();
        let _in_flight = InFlight::start(&self.signs.in_flight);
        match self.unless_closed(connection.send_packed_command(command)).await? {
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }

    /// Runs a command that ends subscriptions to these names.
    pub(crate) async fn leave(&self, command: &Cmd, names: &[String]) -> Result<(), RedisError> {
        self.signs.leaving.lock().extend(names.iter().cloned());
        self.ask(command).await.map(drop)
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

    async fn ping(&self) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        let _in_flight = InFlight::start(&self.signs.in_flight);
        match connection.send_packed_command(&cmd("PING")).await {
            Ok(_) => Ok(()), // also an error such as LOADING is an answer
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
            self.is_confused.store(true, Ordering::SeqCst);
            self.closed.cancel();
        }
        self.tell(hear, Heard::Ended(name));
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
mod tests {
    use super::*;

    /// redis-rs names no provider of cryptography, and rustls panics without one.
    #[tokio::test]
    async fn tls_has_its_cryptography() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("rediss://{}", listener.local_addr().unwrap());
        let mut whereabouts = Whereabouts::fixed(Address::parse("x", &address).unwrap());
        let patience = Patience::default();
        let (opened, hello) = tokio::join!(Link::open(&mut whereabouts, &patience, |_| {}), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap()
        });
        assert_eq!(hello, 0x16, "a TLS handshake record");
        assert!(matches!(opened, Err(RedisError::Unavailable(_))), "the server hung up");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_makes_a_link_with_open_requests_useless() {
        for (asked, in_flight, is_useless, ended) in [
            (false, false, false, 1),
            (false, true, true, 1),
            (true, true, false, 0),
            (true, false, false, 0),
        ] {
            let signs = Signs::new();
            if asked {
                signs.leaving.lock().insert("a".to_owned());
            }
            let _in_flight = in_flight.then(|| InFlight::start(&signs.in_flight));
            let heard = AtomicUsize::new(0);
            let data = vec![Value::BulkString(b"a".to_vec()), Value::Int(0)];
            signs.take(PushInfo { kind: PushKind::SUnsubscribe, data }, &|_| {
                heard.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(signs.closed.is_cancelled(), is_useless, "asked {asked}, in flight {in_flight}");
            assert_eq!(heard.into_inner(), ended, "asked {asked}, in flight {in_flight}");
        }
    }

    /// The same with a real Cluster. Moving the slot on the very connection makes the order certain: the
    /// message that nobody asked for comes while two requests are open, of which the second is refused.
    #[tokio::test]
    async fn a_refused_subscription_is_never_taken_for_a_confirmed_one() {
        let cluster = tidegate_testkit::RedisCluster::start().expect("a Redis Cluster");
        let slot_of = |name: &str| cluster.slot(name).expect("a slot");
        let (ours, theirs) = ("tg:{b}", "tg:{a}"); // slots 3300 and 15495
        assert_eq!(
            (cluster.master_of(slot_of(ours)).unwrap(), cluster.master_of(slot_of(theirs)).unwrap()),
            (0, 2)
        );
        let address = Address::parse("x", &cluster.nodes[0].url()).unwrap();
        let (told, mut ended) = tokio::sync::mpsc::channel(1);
        let patience = Patience::default();
        let link = Link::open_at(&address, false, &patience, move |heard| {
            if let Heard::Ended(name) = heard {
                told.try_send(name).unwrap();
            }
        });
        let link = link.await.expect("connected");
        link.ask(cmd("SSUBSCRIBE").arg(ours)).await.expect("confirmed");
        let other = cluster.nodes[1].cli(&["CLUSTER", "MYID"]).unwrap();
        let mut moving = cmd("CLUSTER");
        moving.arg("SETSLOT").arg(slot_of(ours)).arg("NODE").arg(other.trim());
        let mut foreign = cmd("SSUBSCRIBE");
        foreign.arg(theirs);
        let (_, refused) = tokio::join!(link.ask(&moving), link.ask(&foreign));
        assert!(refused.is_err(), "its slot is another node's, but it was answered with {refused:?}");
        assert_eq!(ended.recv().await.as_deref(), Some(ours));
    }
}
