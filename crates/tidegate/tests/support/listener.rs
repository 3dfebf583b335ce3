//! A client of any door that writes down what it hears, for the checker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tidegate_client::{Client, Codec, Incoming, News, State};
use tidegate_protocol::{ServerFrame, json};
use tidegate_testkit::checker::{Entry, Log};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::PATIENCE;
use super::backend::Book;
use super::sse::Sse;

/// How a client comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Json,
    MessagePack,
    Plain,
    Sse,
}

impl Door {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::MessagePack, Self::Plain, Self::Sse];
}

/// What a client does when its connection ends. Staying away is the naive behaviour that controls plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    ComesBack,
    StaysAway,
}

/// A running client; it ends with this value.
pub(crate) struct Listener {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task of a listener works with.
struct Pen {
    book: Book,
    log: Arc<Mutex<Log>>,
    channels: Vec<String>,
    address: SocketAddr,
    habit: Habit,
}

impl Listener {
    /// Subscribes to `channels` at `address` and returns once that is confirmed.
    pub(crate) async fn open(
        name: &str,
        door: Door,
        habit: Habit,
        address: SocketAddr,
        channels: &[String],
        book: &Book,
    ) -> Self {
        let log = Log {
            client: format!("{name} ({door:?}, {habit:?})"),
            channels: channels.to_vec(),
            from: 0,
            entries: Vec::new(),
        };
        let log = Arc::new(Mutex::new(log));
        let (book, channels) = (Arc::clone(book), channels.to_vec());
        let pen = Pen { book, log: Arc::clone(&log), channels, address, habit };
        let task = match door {
            Door::Json => native(pen, Codec::Json).await,
            Door::MessagePack => native(pen, Codec::MessagePack).await,
            Door::Plain => plain(pen).await,
            Door::Sse => sse(pen).await,
        };
        Self { log, task }
    }

    /// What it has heard so far.
    pub(crate) fn log(&self) -> Log {
        self.log.lock().expect("whole").clone()
    }

    /// How many entries of this kind it has.
    pub(crate) fn count(&self, kind: impl Fn(&Entry) -> bool) -> usize {
        self.log.lock().expect("whole").entries.iter().filter(|entry| kind(entry)).count()
    }

    /// Whether it has heard the last event of each of its channels.
    pub(crate) fn is_done(&self, book: &Book) -> bool {
        let (log, book) = (self.log.lock().expect("whole"), book.lock().expect("whole"));
        log.channels.iter().all(|channel| {
            let last = log.entries.iter().rev().find_map(|entry| match entry {
                Entry::Event { channel: heard, payload } if heard == channel => Some(payload.as_str()),
                _ => None,
            });
            last == book.last(channel)
        })
    }
}

impl Pen {
    fn event(&self, channel: &str, payload: &str) {
        self.write(Entry::Event { channel: channel.to_owned(), payload: payload.to_owned() });
    }

    /// An event of a door that does not name the channel: the payload does.
    fn bare(&self, payload: &str) {
        let channel = payload.strip_prefix(r#"{"channel":""#).and_then(|rest| rest.split('"').next());
        self.event(channel.unwrap_or("?"), payload);
    }

    fn write(&self, entry: Entry) {
        self.log.lock().expect("whole").entries.push(entry);
    }

    fn back(&self) {
        let place = self.book.lock().expect("whole").count();
        self.write(Entry::Back { place });
    }

    fn subscribed(&self) {
        let place = self.book.lock().expect("whole").count();
        self.log.lock().expect("whole").from = place;
    }

    fn query(&self) -> String {
        self.channels.iter().map(|channel| format!("channel={channel}")).collect::<Vec<_>>().join("&")
    }
}

async fn native(pen: Pen, codec: Codec) -> JoinHandle<()> {
    let url = format!("ws://{}/ws", pen.address);
    let (client, incoming) = Client::builder(url).codec(codec).connect().expect("a URL");
    for channel in &pen.channels {
        let subscribed = tokio::time::timeout(PATIENCE, client.subscribe(channel));
        subscribed.await.expect("in time").expect("subscribed");
    }
    pen.subscribed();
    tokio::spawn(hear(pen, client, incoming))
}

async fn hear(pen: Pen, client: Client, mut incoming: Incoming) {
    let (mut met, mut left) = (false, 0);
    while let Some(news) = incoming.next().await {
        match news {
            News::Event(event) => pen.event(&event.channel, event.payload.text().unwrap_or_default()),
            News::State(State::Connected { .. }) => (met, left) = (true, pen.channels.len()),
            // A planned move goes from connected to connecting.
            News::State(State::Waiting { .. } | State::Connecting) if met => {
                met = false;
                pen.write(Entry::Away);
                if pen.habit == Habit::StaysAway {
                    return client.close().await;
                }
            }
            News::Resubscribed(_) => {
                left -= 1;
                if left == 0 {
                    pen.back();
                }
            }
            News::Ended { channel, error } => panic!("{channel}: {error}"),
            _ => {}
        }
    }
}

type Plain = WebSocketStream<tokio::net::TcpStream>;

async fn dial_plain(pen: &Pen) -> Option<Plain> {
    let stream = tokio::net::TcpStream::connect(pen.address).await.ok()?;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let url = format!("ws://{}/plain?{}", pen.address, pen.query());
    client_async_with_config(url, stream, Some(config)).await.ok().map(|(stream, _)| stream)
}

async fn plain(pen: Pen) -> JoinHandle<()> {
    let mut stream = again(&pen, dial_plain).await;
    pen.subscribed();
    tokio::spawn(async move {
        loop {
            while let Some(Ok(message)) = stream.next().await {
                if let Ok(text) = message.to_text()
                    && message.is_text()
                {
                    pen.bare(text);
                }
            }
            pen.write(Entry::Away);
            if pen.habit == Habit::StaysAway {
                return;
            }
            stream = again(&pen, dial_plain).await;
            pen.back();
        }
    })
}

async fn sse(pen: Pen) -> JoinHandle<()> {
    let dial = async |pen: &Pen| Sse::open(pen.address, &pen.query()).await;
    let mut stream = again(&pen, dial).await;
    pen.subscribed();
    tokio::spawn(async move {
        loop {
            while let Some(data) = stream.next().await {
                if pen.channels.len() == 1 {
                    pen.bare(&data);
                    continue;
                }
                match json::decode_server(data.as_bytes()).as_deref() {
                    Ok([ServerFrame::Event(event)]) => {
                        pen.event(&event.channel, event.payload.text().unwrap_or_default());
                    }
                    other => panic!("{data:?} is no event: {other:?}"),
                }
            }
            pen.write(Entry::Away);
            if pen.habit == Habit::StaysAway {
                return;
            }
            stream = again(&pen, async |pen: &Pen| Sse::open(pen.address, &pen.query()).await).await;
            pen.back();
        }
    })
}

/// Dials until it works.
async fn again<S>(pen: &Pen, dial: impl AsyncFn(&Pen) -> Option<S>) -> S {
    let patience = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(stream) = dial(pen).await {
                return stream;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    patience.await.unwrap_or_else(|_| panic!("{} is not let in by {}", pen.query(), pen.address))
}
