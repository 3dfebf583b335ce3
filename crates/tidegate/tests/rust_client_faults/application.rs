//! Applications made with the Rust client: one kind that hears and writes down what it was handed, one that publishes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_client::{Client, Codec, News, Position, Start, State};
use tidegate_testkit::history::{key_of, number_in, payload_of};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

pub(crate) const CHANNELS: [&str; 3] = ["room:1", "room:2", "room:3"];

/// How often an application looks where it stands while nothing comes.
const LOOK: Duration = Duration::from_millis(20);
/// Pause before what was refused is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// Pause between two events of a flow.
const TICK: Duration = Duration::from_millis(5);

/// What an application does when its connection ends. Forgetting is what the control plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It leaves it to the client, which goes on from where the application stands.
    Resumes,
    /// It makes a new client and subscribes anew, without its position.
    Forgets,
}

/// An event that an application has handled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handled {
    pub(crate) channel: usize,
    pub(crate) number: u64,
    pub(crate) at: Position,
}

/// What one application was handed and told.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) handled: Vec<Handled>,
    pub(crate) stands: [Option<Position>; CHANNELS.len()],
    /// Positions that were not those of handled events: how many were handled before, the channel, the position.
    pub(crate) told: Vec<(usize, usize, Position)>,
    pub(crate) gaps: usize,
    /// Connections after the first.
    pub(crate) comebacks: usize,
    /// Whether it has subscribed to all its channels.
    pub(crate) is_there: bool,
}

impl Notes {
    fn stand(&mut self, channel: usize, at: Option<Position>) {
        if let (Some(at), Some(before)) = (at, self.stands[channel])
            && (at.epoch != before.epoch || at.offset < before.offset)
        {
            self.told.push((self.handled.len(), channel, at));
        }
        self.stands[channel] = at.or(self.stands[channel]);
    }
}

/// An application that hears; it ends with this value.
pub(crate) struct Ear {
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    pub(crate) fn start(url: &str, codec: Codec, habit: Habit) -> Self {
        let notes = Arc::default();
        let task = tokio::spawn(listen(url.to_owned(), codec, habit, Arc::clone(&notes)));
        Self { notes, task }
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Notes) -> T) -> T {
        assert!(!self.task.is_finished(), "an application ended");
        at(&self.notes.lock().expect("whole"))
    }
}

async fn listen(url: String, codec: Codec, habit: Habit, notes: Arc<Mutex<Notes>>) {
    let lock = || notes.lock().expect("whole");
    loop {
        let (client, mut incoming) = Client::builder(&url).codec(codec).connect().expect("a URL");
        for channel in CHANNELS {
            while let Err(error) = client.subscribe_from(channel, Start::Now).await {
                assert!(error.retry(), "{channel}: {error}");
                sleep(AGAIN).await;
            }
        }
        lock().is_there = true;
        let mut was_connected = false;
        let end = loop {
            let news = timeout(LOOK, incoming.next()).await;
            let mut notes = lock();
            match news {
                Ok(Some(News::Event(event))) => {
                    let channel = CHANNELS.iter().position(|name| *name == event.channel).expect("ours");
                    notes.stand(channel, incoming.position(&event.channel));
                    incoming.handled();
                    let at = incoming.position(&event.channel).expect("a place");
                    assert_eq!(Some(at.offset), event.offset, "the place of what was handled");
                    let number = number_in(event.payload.text().expect("JSON")).expect("ours");
                    notes.handled.push(Handled { channel, number, at });
                    notes.stands[channel] = Some(at);
                }
                Ok(Some(News::Gap { .. })) => notes.gaps += 1,
                Ok(Some(News::Ended { channel, error })) => panic!("{channel}: {error}"),
                Ok(Some(News::State(State::Connected { .. }))) => {
                    notes.comebacks += usize::from(was_connected || habit == Habit::Forgets);
                    was_connected = true;
                }
                Ok(Some(News::State(state))) if was_connected && habit == Habit::Forgets => {
                    // A new life: it knows nothing any more.
                    (notes.is_there, notes.stands) = (false, Default::default());
                    break state;
                }
                Ok(None) => panic!("a client ended: {:?}", client.state()),
                Ok(Some(_)) | Err(_) => {}
            }
            for (channel, name) in CHANNELS.iter().enumerate() {
                notes.stand(channel, incoming.position(name));
            }
        };
        client.close().await;
        if let State::Waiting { until, .. } = end {
            sleep_until(until.into()).await; // it backs off as ours does
        }
    }
}

/// What was published: each number's positions, as its publisher was told; several where it was published again.
pub(crate) type Book = Arc<Mutex<Vec<Vec<Position>>>>;

/// Applications that publish with keys, in turn.
#[derive(Clone)]
pub(crate) struct Press {
    clients: Arc<[Client]>,
    pub(crate) book: Book,
}

impl Press {
    pub(crate) fn start(urls: &[String]) -> Self {
        let client = |url: &String| {
            // It publishes whoever hears it, also while it waits up to 20 s to come back. Nobody takes its news.
            Client::builder(url).offline(20_000, 32 << 20).connect().expect("a URL").0
        };
        Self { clients: urls.iter().map(client).collect(), book: Book::default() }
    }

    /// The channel of a number.
    pub(crate) fn channel(number: u64) -> usize {
        number as usize % CHANNELS.len()
    }

    /// So many new numbers.
    pub(crate) fn numbers(&self, count: usize) -> std::ops::Range<u64> {
        let mut book = self.book.lock().expect("whole");
        let first = book.len();
        book.resize(first + count, Vec::new());
        first as u64..(first + count) as u64
    }

    /// Publishes each of these numbers with its key, and returns once all are acknowledged.
    pub(crate) async fn publish(&self, numbers: impl IntoIterator<Item = u64>) {
        join_all(numbers.into_iter().map(|number| self.one(number))).await;
    }

    async fn one(&self, number: u64) {
        let client = &self.clients[number as usize / CHANNELS.len() % self.clients.len()];
        let (channel, key) = (CHANNELS[Self::channel(number)], key_of(number));
        let at = client.publish_once(channel, payload_of(number), Some(&key)).await;
        let at = at.expect("published").expect("a place");
        self.book.lock().expect("whole")[number as usize].push(at);
    }

    /// Publishes on, until it is told to stop; then all of it is acknowledged.
    pub(crate) fn flow(&self) -> Flow {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let own = self.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        let (own, number) = (own.clone(), own.numbers(1));
                        open.spawn(async move { own.publish(number).await });
                    }
                    Some(done) = open.join_next() => done.expect("published"),
                    _ = &mut stopped => break,
                }
            }
            while let Some(done) = open.join_next().await {
                done.expect("published");
            }
        });
        Flow { stop, task }
    }
}

/// Events that go on.
pub(crate) struct Flow {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Flow {
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.expect("it publishes to its end");
    }
}
