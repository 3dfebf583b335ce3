//! Controls: subscribers as they are written at first, with what redis-rs offers, beside the node and through the same outage.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, PushInfo, PushKind, Value};
use tidegate_testkit::checker::{Entry, Log};
use tokio::task::JoinHandle;

use crate::support::backend::Book;

/// One subscriber; it ends with this value.
pub(crate) struct Naive {
    log: Arc<Mutex<Log>>,
    /// When it learned that something is wrong, if it ever did.
    noticed: Arc<OnceLock<Instant>>,
    task: Option<JoinHandle<()>>,
    /// Dropping it would end the subscription.
    _manager: Option<ConnectionManager>,
}

impl Drop for Naive {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Naive {
    /// A `PubSub` and its stream: nobody connects again when it ends.
    pub(crate) async fn stream(url: &str, channels: &[String], book: &Book) -> Self {
        let mut pubsub = Client::open(url).expect("an address").get_async_pubsub().await.expect("redis");
        for channel in channels {
            pubsub.subscribe(name(channel)).await.expect("subscribed");
        }
        let log = Arc::new(Mutex::new(log("a PubSub stream", channels, book)));
        let noticed = Arc::new(OnceLock::new());
        let (pen, end) = (Arc::clone(&log), Arc::clone(&noticed));
        let task = tokio::spawn(async move {
            let mut messages = pubsub.on_message();
            while let Some(message) = messages.next().await {
                write(&pen, message.get_channel_name().as_bytes(), message.get_payload_bytes());
            }
            let _ = end.set(Instant::now());
        });
        Self { log, noticed, task: Some(task), _manager: None }
    }

    /// A `ConnectionManager` with automatic resubscription; the rest as it comes.
    pub(crate) async fn manager(url: &str, channels: &[String], book: &Book) -> Self {
        let log = Arc::new(Mutex::new(log("a ConnectionManager", channels, book)));
        let noticed = Arc::new(OnceLock::new());
        let (pen, end) = (Arc::clone(&log), Arc::clone(&noticed));
        let config = ConnectionManagerConfig::new().set_automatic_resubscription().set_push_sender(
            move |push: PushInfo| {
                match (push.kind, &push.data[..]) {
                    (PushKind::Message, [Value::BulkString(name), Value::BulkString(payload)]) => {
                        write(&pen, name, payload);
                    }
                    (PushKind::Disconnection, _) => {
                        let _ = end.set(Instant::now());
                    }
                    _ => {}
                }
                Ok::<(), redis::aio::SendError>(())
            },
        );
        let client = Client::open(format!("{url}/?protocol=resp3")).expect("an address");
        let mut manager = ConnectionManager::new_with_config(client, config).await.expect("redis");
        for channel in channels {
            manager.subscribe(name(channel)).await.expect("subscribed");
        }
        Self { log, noticed, task: None, _manager: Some(manager) }
    }

    /// What it has heard.
    pub(crate) fn log(&self) -> Log {
        self.log.lock().expect("whole").clone()
    }

    /// When it learned that Redis is away, if it did.
    pub(crate) fn noticed(&self) -> Option<Instant> {
        self.noticed.get().copied()
    }
}

fn log(client: &str, channels: &[String], book: &Book) -> Log {
    let from = book.lock().expect("whole").count();
    Log { client: client.to_owned(), channels: channels.to_vec(), from, entries: Vec::new() }
}

fn name(channel: &str) -> String {
    format!("tg:{{{channel}}}")
}

fn write(log: &Mutex<Log>, name: &[u8], payload: &[u8]) {
    let name = String::from_utf8_lossy(name);
    let channel = name.trim_start_matches("tg:{").trim_end_matches('}').to_owned();
    let payload = String::from_utf8_lossy(payload).into_owned();
    log.lock().expect("whole").entries.push(Entry::Event { channel, payload });
}
