//! The laws of a fan-out in segments: everybody hears every batch once, and none before the one before it.

use bytes::Bytes;
use tidegate_core::hub::Hub;
use tidegate_core::{ChannelName, Event, Payload};
use tidegate_metrics::Metrics;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::connection::{Connection, Shared};
use crate::wire::Format;

/// Sockets, each with many seats of one channel, so that all segments write into all of them.
const SOCKETS: usize = 8;
const SEATS: usize = 200;
const BATCHES: u8 = 40;

struct Bench {
    hub: Arc<Subscribers>,
    metrics: LaneMetrics,
    crew: Arc<Crew>,
    channel: ChannelName,
    /// What each socket reads, until the seats are gone.
    reading: JoinSet<Vec<u8>>,
    helping: JoinSet<()>,
}

impl Bench {
    async fn new() -> Self {
        let metrics = Metrics::new("test", "memory");
        let shared = Arc::new(Shared::roomy(&metrics));
        let (hub, channel) = (Arc::new(Hub::new(4)), ChannelName::parse("hot").unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut reading, mut connections) = (JoinSet::new(), Vec::new());
        for _ in 0..SOCKETS {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            reading.spawn(async move {
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).await.unwrap();
                bytes
            });
            connections.push(Arc::new(Connection::new(socket, Format::Plain, Arc::clone(&shared))));
        }
        for _ in 0..SEATS {
            for connection in &connections {
                let seat = hub.join(&channel, Arc::clone(connection)).seat;
                hub.attach(seat, || ());
            }
        }
        let crew = Crew::of(2).unwrap();
        let mut helping = JoinSet::new();
        for helper in crew.helpers() {
            helping.spawn(async move { helper.help(Flight::default()).await });
        }
        Self { hub, metrics: LaneMetrics::new(&metrics), crew, channel, reading, helping }
    }

    /// The fan-out of an event with this payload.
    fn fanout(&self, number: u8) -> Fanout {
        let events = [Event::live(Payload::new(Bytes::copy_from_slice(&[number])))];
        let encoded = Encoded::new(&self.channel, &events).into_owned();
        let batch = self.hub.open_batch(&self.channel).unwrap();
        assert!(Fanout::pays(&batch));
        let load = Load::new(encoded, Vec::new());
        Fanout::new(Arc::clone(&self.hub), self.metrics.clone(), load, batch)
    }

    /// What each socket heard: the payloads, frame by frame.
    async fn heard(mut self) -> Vec<Vec<u8>> {
        self.helping.shutdown().await;
        drop(self.hub); // and with its seats the sockets
        let read = self.reading.join_all().await;
        read.iter().map(|bytes| bytes.chunks(3).map(|frame| frame[2]).collect()).collect()
    }
}

/// Each batch at each seat once, and at none before the one before it is at all.
fn is_in_order(heard: &[u8]) -> bool {
    heard.iter().copied().eq((0..BATCHES).flat_map(|number| [number; SEATS]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_seat_hears_every_batch_once_and_none_before_the_one_before_it() {
    let bench = Bench::new().await;
    for number in 0..BATCHES {
        let fanout = bench.fanout(number);
        bench.crew.fan_out(fanout, &mut Flight::default()).await;
        assert!(bench.crew.hot.lock().is_empty(), "nothing is kept");
    }
    let heard = bench.heard().await;
    assert!(heard.iter().all(|heard| is_in_order(heard)), "{heard:?}");
}

/// The control: a lane that does not wait for its helpers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_goes_on_before_the_last_segment_is_written_mixes_batches_up() {
    let bench = Bench::new().await;
    for number in (0..BATCHES).step_by(2) {
        let (one, next) = (bench.fanout(number), bench.fanout(number + 1));
        let (mut mine, mut theirs) = (Flight::default(), Flight::default());
        tokio::join!(bench.crew.fan_out(one, &mut mine), bench.crew.fan_out(next, &mut theirs));
    }
    let heard = bench.heard().await;
    let complete = |heard: &Vec<u8>| heard.len() == SEATS * usize::from(BATCHES);
    assert!(heard.iter().all(complete), "nothing is lost");
    assert!(!heard.iter().any(|heard| is_in_order(heard)), "and the checker sees it");
}

/// One thread shares with nobody.
#[test]
fn one_worker_has_no_crew() {
    assert!(Crew::of(1).is_none());
}
