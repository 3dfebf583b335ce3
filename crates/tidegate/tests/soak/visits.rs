//! Visitors: each comes by one of the doors, hears a channel of its own and one that all share, and leaves. Its log is
//! judged when it goes; only the sum is kept, so that a long run costs the test itself nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tidegate_client::{Client, Codec, Incoming, News, State};
use tidegate_protocol::{ServerFrame, json};
use tidegate_testkit::checker::{Entry, Faults, Log};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::support::PATIENCE;
use crate::support::backend::{Backend, Book};
use crate::support::listener::Door;
use crate::support::peer::{self, Plain};
use crate::support::sse::Sse;

/// So many visitors at once, each as often as this.
pub(crate) const AT_ONCE: usize = 16;
pub(crate) const EVERY: Duration = Duration::from_millis(400);
/// Events that each publishes into its own channel.
pub(crate) const OWN: usize = 3;
/// Every so many-th visitor has a channel with history, under keys.
pub(crate) const BRIEF: usize = 4;

/// What all visitors share.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) nodes: Vec<SocketAddr>,
    pub(crate) news: Vec<String>,
    pub(crate) book: Book,
    pub(crate) backend: Arc<tokio::sync::Mutex<Backend>>,
}

/// The sum of all visits.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) visits: usize,
    pub(crate) events: usize,
    pub(crate) faults: Faults,
    /// The last one, for the control: its log, and until when events were due.
    pub(crate) last: Option<(Log, usize)>,
}

/// Visitors that come and go.
pub(crate) struct Visits {
    on: Arc<AtomicBool>,
    sum: Arc<Mutex<Sum>>,
    visitors: Vec<JoinHandle<()>>,
}

impl Visits {
    pub(crate) fn begin(place: &Place) -> Self {
        let (on, sum) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(Sum::default())));
        let visitor = |first: usize| {
            let (on, sum, place) = (Arc::clone(&on), Arc::clone(&sum), place.clone());
            tokio::spawn(async move {
                let mut ticks = interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for n in (first..).step_by(AT_ONCE) {
                    ticks.tick().await;
                    if !on.load(Ordering::Relaxed) {
                        return;
                    }
                    let visit = timeout(PATIENCE, visit(&place, n));
                    let (log, until) = visit.await.unwrap_or_else(|_| panic!("visit {n} does not end"));
                    let faults = place.book.lock().expect("whole").check_stay(&log, until);
                    let mut sum = sum.lock().expect("whole");
                    sum.visits += 1;
                    sum.events += log.entries.len();
                    sum.faults.add(faults);
                    sum.last = Some((log, until));
                }
            })
        };
        let visitors = (0..AT_ONCE).map(visitor).collect();
        Self { on, sum, visitors }
    }

    /// No more come, and the last ones leave.
    pub(crate) async fn end(self) -> Sum {
        self.on.store(false, Ordering::Relaxed);
        for visitor in self.visitors {
            visitor.await.expect("every visit ends well");
        }
        std::mem::take(&mut *self.sum.lock().expect("whole"))
    }
}

/// One visit: what was heard, and the event from which on nothing was due any more.
async fn visit(place: &Place, n: usize) -> (Log, usize) {
    // Doors, nodes, politeness and history are mixed each with each.
    let (door, round) = (Door::ALL[n % 4], n / 4);
    let native = matches!(door, Door::Json | Door::MessagePack);
    let brief = native && round % (BRIEF / 2) == 0;
    let node = place.nodes[round / 2 % place.nodes.len()];
    let own = format!("{}:{n}", if brief { "brief" } else { "visit" });
    let news = &place.news[n % place.news.len()];
    let channels = vec![own.clone(), news.clone()];
    let mut seat = Seat::open(door, node, &channels).await.unwrap_or_else(|| panic!("visit {n}: not let in"));
    let (from, known) = {
        let book = place.book.lock().expect("whole");
        (book.count(), book.last(news).map(str::to_owned))
    };
    let mut log = Log { client: format!("visit {n} ({door:?})"), channels, from, entries: Vec::new() };
    for _ in 0..OWN {
        match &seat {
            Seat::Native(client, _) => {
                let payload = {
                    let mut book = place.book.lock().expect("whole");
                    let payload = format!(r#"{{"channel":"{own}","number":{}}}"#, book.count());
                    book.push(&own, &payload);
                    payload
                };
                match brief {
                    true => client.publish_once(&own, payload, None).await,
                    false => client.publish(&own, payload).await,
                }
                .expect("it is published");
            }
            _ => place.backend.lock().await.publish([&own]).await,
        }
    }
    let (mut heard, mut shared) = (0, 0);
    while heard < OWN || shared == 0 {
        match seat.hear(&mut log).await == own {
            true => heard += 1,
            false => shared += 1,
        }
    }
    let (until, last) = {
        let book = place.book.lock().expect("whole");
        (book.count(), book.last(news).map(str::to_owned))
    };
    // What was published in the shared channel meanwhile is due, too.
    let due = last.filter(|last| known.as_ref() != Some(last));
    let is_heard = |log: &Log, due: &str| {
        log.entries.iter().any(|entry| matches!(entry, Entry::Event { payload, .. } if payload == due))
    };
    while due.as_ref().is_some_and(|due| !is_heard(&log, due)) {
        seat.hear(&mut log).await;
    }
    if let Seat::Native(client, _) = &seat {
        client.unsubscribe(news).await.expect("it was subscribed");
    }
    if round % 3 > 0 {
        seat.close().await; // the others just go
    }
    (log, until)
}

/// A connection through some door.
enum Seat {
    Native(Client, Incoming),
    Plain(Box<Plain>),
    Sse(Sse),
}

impl Seat {
    async fn open(door: Door, node: SocketAddr, channels: &[String]) -> Option<Self> {
        let codec = match door {
            Door::Plain => {
                let stream = TcpStream::connect(node).await.ok()?;
                return peer::plain(stream, channels).await.map(|socket| Self::Plain(Box::new(socket)));
            }
            Door::Sse => {
                let query: Vec<String> = channels.iter().map(|name| format!("channel={name}")).collect();
                return Sse::open(node, &query.join("&")).await.map(Self::Sse);
            }
            Door::Json => Codec::Json,
            Door::MessagePack => Codec::MessagePack,
        };
        let (client, incoming) = Client::builder(format!("ws://{node}/ws")).codec(codec).connect().ok()?;
        for channel in channels {
            client.subscribe(channel).await.ok()?;
        }
        Some(Self::Native(client, incoming))
    }

    /// Writes down the next event, and says of which channel it is. Nobody disturbs this run, so a connection that ends is a fault.
    async fn hear(&mut self, log: &mut Log) -> String {
        let (channel, payload) = loop {
            match self {
                Self::Native(_, incoming) => match incoming.next().await {
                    Some(News::Event(event)) => {
                        let text = event.payload.text().expect("text");
                        break (event.channel.to_string(), text.to_owned());
                    }
                    // News of the beginning may be read late; of an end it would be followed by these.
                    Some(News::State(State::Waiting { .. })) | None => {
                        panic!("{}: it was cut off", log.client)
                    }
                    Some(News::State(_)) => {}
                    Some(other) => panic!("{}: {other:?}", log.client),
                },
                Self::Plain(stream) => match stream.next().await {
                    Some(Ok(message)) if message.is_text() => {
                        let payload = message.to_text().expect("text").to_owned();
                        break (channel_in(&payload), payload);
                    }
                    Some(Ok(message)) if !message.is_close() => {}
                    other => panic!("{}: it was cut off: {other:?}", log.client),
                },
                Self::Sse(stream) => {
                    let data = stream.next().await.unwrap_or_else(|| panic!("{}: cut off", log.client));
                    let frames = json::decode_server(data.as_bytes());
                    let Ok([ServerFrame::Event(event)]) = frames.as_deref() else { panic!("{data:?}") };
                    break (event.channel.to_string(), event.payload.text().expect("text").to_owned());
                }
            }
        };
        log.entries.push(Entry::Event { channel: channel.clone(), payload });
        channel
    }

    async fn close(self) {
        match self {
            Self::Native(client, _) => client.close().await,
            Self::Plain(mut stream) => {
                stream.close(None).await.expect("open");
                while let Some(Ok(_)) = stream.next().await {}
            }
            Self::Sse(_) => {} // there is no word for it
        }
    }
}

/// The channel that a payload names: the plain door does not.
fn channel_in(payload: &str) -> String {
    let name = payload.strip_prefix(r#"{"channel":""#).and_then(|rest| rest.split('"').next());
    name.unwrap_or("?").to_owned()
}
