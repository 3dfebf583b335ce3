//! A backend that publishes durable events with `FCALL`, and writes down what it was told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tidegate_core::Position;
use tidegate_testkit::history::{Ledger, key_of, payload_of};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::support::PATIENCE;

/// What was published so far, shared.
pub(crate) type Book = Arc<Mutex<Ledger>>;

/// Pause between two attempts under one key.
const RETRY: Duration = Duration::from_millis(50);

/// What a backend does when it is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// It lets it be: the event may have happened.
    None,
    /// It tries again with the event's key, for as long as it takes.
    Key,
    /// It tries again, and there is no key: the naive behaviour that a control plants.
    NoKey,
}

/// One backend; a connection is made anew when it breaks.
#[derive(Clone)]
pub(crate) struct Publisher {
    book: Book,
    /// The port of the master now.
    port: Arc<dyn Fn() -> Option<u16> + Send + Sync>,
    connections: Arc<tokio::sync::Mutex<HashMap<u16, MultiplexedConnection>>>,
    /// In a Cluster: where a channel was found to be.
    homes: Arc<Mutex<HashMap<String, u16>>>,
    care: Care,
    /// Bytes that make payloads longer.
    padding: Arc<str>,
}

impl Publisher {
    pub(crate) fn new(book: &Book, port: impl Fn() -> Option<u16> + Send + Sync + 'static) -> Self {
        Self {
            book: Arc::clone(book),
            port: Arc::new(port),
            connections: Arc::default(),
            homes: Arc::default(),
            care: Care::None,
            padding: "".into(),
        }
    }

    /// The same backend, which does this when it is not answered.
    pub(crate) fn with(self, care: Care) -> Self {
        Self { care, ..self }
    }

    /// The same backend with longer payloads.
    pub(crate) fn padded(self, bytes: usize) -> Self {
        Self { padding: "x".repeat(bytes).into(), ..self }
    }

    /// Publishes one event into each of these channels, in one pipeline. How many were acknowledged.
    pub(crate) async fn publish<'a>(&self, channels: impl IntoIterator<Item = &'a String>) -> usize {
        let each = channels.into_iter().map(|channel| {
            let number = self.book.lock().expect("whole").publish(channel, self.care == Care::Key);
            self.one(channel.clone(), number)
        });
        join_all(each).await.into_iter().filter(|told| *told).count()
    }

    async fn one(&self, channel: String, number: u64) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.attempt(&channel, number).await {
                Ok(at) => {
                    self.book.lock().expect("whole").acknowledge(number, at);
                    return true;
                }
                Err(NotTold::Again) if Instant::now() < deadline => sleep(RETRY).await,
                Err(_) => return false,
            }
        }
    }

    async fn attempt(&self, channel: &str, number: u64) -> Result<Position, NotTold> {
        let home = self.homes.lock().expect("whole").get(channel).copied();
        let port = home.or_else(|| (self.port)()).ok_or(NotTold::Again)?; // nobody was asked
        let mut connection = self.connect(port).await.map_err(|_| NotTold::Again)?;
        let mut payload = payload_of(number);
        if !self.padding.is_empty() {
            payload = format!(r#"{},"p":"{}"}}"#, payload.trim_end_matches('}'), self.padding);
        }
        let mut command = redis::cmd("FCALL");
        command.arg("tg_publish").arg(1).arg(format!("tg:{{{channel}}}")).arg(payload);
        if self.care == Care::Key {
            command.arg("key").arg(key_of(number));
        }
        let answer: Result<(String, u64, u64), _> = command.query_async(&mut connection).await;
        let error = match answer {
            Ok((epoch, offset, _)) => {
                return Ok(Position { epoch: epoch.parse().expect("an epoch"), offset });
            }
            Err(error) => error,
        };
        // What a server refuses has not happened.
        if let Some(code) = error.code() {
            if code == "MOVED" {
                let port =
                    error.redirect_node().and_then(|(address, _)| address.rsplit(':').next()?.parse().ok());
                let port: u16 = port.expect("an address");
                self.homes.lock().expect("whole").insert(channel.to_owned(), port);
            }
            return Err(NotTold::Again);
        }
        // A reply that did not come says as much as a broken line: the next attempt is to have another.
        self.connections.lock().await.remove(&port);
        self.homes.lock().expect("whole").remove(channel);
        Err(if self.care == Care::None { NotTold::Never } else { NotTold::Again })
    }

    async fn connect(&self, port: u16) -> Result<MultiplexedConnection, RedisError> {
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(&port) {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(1)));
        let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
        let new = client.get_multiplexed_async_connection_with_config(&config).await?;
        connections.insert(port, new.clone());
        Ok(new)
    }

    /// Publishes round robin at `rate` a second, until the value is dropped or stopped.
    pub(crate) fn flow(&self, channels: &[String], rate: usize) -> Flow {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, own, channels) = (Arc::clone(&stop), self.clone(), channels.to_vec());
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(20));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut names = channels.iter().cycle();
            let mut batches = tokio::task::JoinSet::new();
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let batch: Vec<String> = names.by_ref().take((rate / 50).max(1)).cloned().collect();
                let own = own.clone();
                // Not one after the other: while Redis is away, backends go on asking.
                batches.spawn(async move { own.publish(&batch).await });
            }
            while batches.join_next().await.is_some() {}
        });
        Flow { stop, task }
    }
}

/// Why a publisher does not know where its event stands.
enum NotTold {
    /// It will ask again.
    Again,
    /// It will not.
    Never,
}

/// Events that go on.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flow {
    /// Ends it, and waits for what is on its way.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.task).await.expect("it publishes to its end");
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.task.abort();
    }
}
