//! The law of a hot channel, through sockets: whoever sits there hears each event once and in order, from when it came
//! until it left, with and without a crew.

use bytes::Bytes;
use tidegate_core::Payload;
use tidegate_core::hub::Hub;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::*;
use crate::connection::{Connection, Shared};

/// Events, each of which is one byte.
const EVENTS: u8 = 100;
/// Sockets that hold the most seats of the channel, so that few descriptors make it hot; and enough of them that the
/// kernel takes all that comes, since nobody here writes what it would not.
const SHARED: usize = 24;

/// Who sits alone on its socket, and which events are its own.
struct Listener {
    reading: JoinHandle<Vec<u8>>,
    seat: Seat,
    first: u8,
    /// None published after that: it may have left before they were everywhere.
    left: Option<u8>,
}

struct Bench {
    delivery: Delivery,
    channel: ChannelName,
    shared: Arc<Shared>,
    listener: TcpListener,
    listeners: Vec<Listener>,
    helping: JoinSet<()>,
    arrived: Vec<u8>,
    published: u8,
}

impl Bench {
    /// With so many seats on shared sockets, and a crew for so many workers.
    async fn new(seats: usize, workers: usize) -> (Self, Vec<JoinHandle<Vec<u8>>>) {
        let metrics = Metrics::new("test", "memory");
        let shared = Arc::new(Shared::roomy(&metrics));
        let crew = Crew::of(workers);
        let mut helping = JoinSet::new();
        for helper in crew.iter().flat_map(|crew| crew.helpers()) {
            helping.spawn(async move { helper.help(Flight::default()).await });
        }
        let mut bench = Self {
            delivery: Delivery::new(
                Arc::new(Hub::new(4)),
                LaneMetrics::new(&metrics),
                Flight::default(),
                crew,
            ),
            channel: "hot".parse().unwrap(),
            shared,
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            listeners: Vec::new(),
            helping,
            arrived: Vec::new(),
            published: 0,
        };
        let mut reading = Vec::new();
        for _ in 0..SHARED {
            let (connection, heard) = bench.connect().await;
            reading.push(heard);
            for _ in 0..seats / SHARED {
                bench.sit(Arc::clone(&connection));
            }
            bench.come().await; // so that those who are looked at sit in all parts of the channel
        }
        (bench, reading)
    }

    /// A connection, and what its peer reads until the end.
    async fn connect(&self) -> (Arc<Peer>, JoinHandle<Vec<u8>>) {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = self.listener.accept().await.unwrap();
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).await.unwrap();
            bytes.chunks(3).map(|frame| frame[2]).collect()
        });
        (Arc::new(Connection::new(socket, Format::Plain, Arc::clone(&self.shared))), reading)
    }

    fn sit(&self, connection: Arc<Peer>) -> Seat {
        let seat = self.delivery.hub.join(&self.channel, connection).seat;
        self.delivery.hub.attach(seat, || ());
        seat
    }

    async fn come(&mut self) {
        let (connection, reading) = self.connect().await;
        let (seat, first) = (self.sit(connection), self.published);
        self.listeners.push(Listener { reading, seat, first, left: None });
    }

    fn leave(&mut self, which: usize) {
        let which = which % self.listeners.len();
        let listener = &mut self.listeners[which];
        if listener.left.is_none() {
            listener.left = Some(self.published);
            self.delivery.hub.leave(listener.seat);
        }
    }

    /// Publishes so many at once.
    async fn publish(&mut self, count: u8) {
        while self.delivery.rounds.room() == 0 {
            self.step().await;
        }
        let numbers = self.published..self.published + count;
        self.published = numbers.end;
        let event = |number: u8| Event::live(Payload::new(Bytes::copy_from_slice(&[number])));
        let events: Vec<Event> = numbers.map(event).collect();
        assert!(
            self.delivery.carry(&self.channel, &events, Instant::now()).await,
            "a hot channel's go round"
        );
    }

    async fn step(&mut self) {
        for arrived in self.delivery.step().await {
            self.arrived.extend(arrived.events.iter().map(|event| event.payload.bytes()[0]));
        }
    }
}

/// All events, while others come and go and rounds are under way.
async fn all_are_heard(seats: usize, workers: usize) {
    let (mut bench, reading) = Bench::new(seats, workers).await;
    let mut turn = 0;
    while bench.published < EVENTS {
        turn += 1;
        bench.publish(1 + turn % 4).await;
        match turn % 3 {
            0 => bench.step().await,
            1 => bench.come().await,
            _ => bench.leave(usize::from(turn) * 7),
        }
    }
    while !bench.delivery.rounds.is_empty() {
        bench.step().await;
    }
    let all: Vec<u8> = (0..bench.published).collect();
    assert_eq!(bench.arrived, all, "what has been everywhere is said once, in order");

    let Bench { delivery, listeners, mut helping, .. } = bench;
    helping.shutdown().await;
    drop(delivery); // and with the hub its seats and sockets
    let (mut stayed, mut gone) = (0, 0);
    for Listener { reading, first, left, .. } in listeners {
        let heard = reading.await.unwrap();
        let first = usize::from(first);
        match left {
            None => {
                assert_eq!(heard, all[first..], "who came at {first} and stayed");
                stayed += 1;
            }
            Some(left) => {
                let its_own = &all[first..usize::from(left)];
                assert!(its_own.starts_with(&heard), "who came at {first} and left at {left}: {heard:?}");
                gone += 1;
            }
        }
    }
    assert!(stayed > 10 && gone > 5, "{stayed} stayed, {gone} left");
    for reading in reading {
        let mut heard = reading.await.unwrap();
        heard.sort_unstable();
        let each = seats / SHARED;
        assert!(heard.iter().copied().eq(all.iter().flat_map(|number| std::iter::repeat_n(*number, each))));
    }
}

/// 1,104 seats are a round of three steps: what comes in its middle gets on there.
#[tokio::test]
async fn one_worker_brings_everything_to_everybody_in_rounds() {
    all_are_heard(1_104, 1).await;
}

/// A step of a crew is longer, and so must be the channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crew_brings_everything_to_everybody_in_rounds() {
    all_are_heard(4_200, 2).await;
}
