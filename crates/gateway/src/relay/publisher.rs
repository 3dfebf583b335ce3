//! Publishing in the order of calls: one task takes what is ready and sends it in one round trip.
//!
//! Events of channels with history are appended, others published. Channels whose events wait for a replica
//! have a task of their own: nobody else waits with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_broker::{Broker, BrokerError, History, HistoryError};
use tidegate_core::Refusal;
use tokio::sync::mpsc;

use super::BROKER_DEADLINE;
use super::parcel::{Parcel, Publishing, Way};

/// Events that may wait for the broker, in each of the two queues. One more is refused as `unavailable` at once.
const WAITING: usize = 16 << 10;
/// Bytes of these events, both queues together. One more is refused likewise; a single event always fits.
const WAITING_BYTES: usize = 64 << 20;
/// Events in one round trip.
const BATCH: usize = 512;
/// Refused events are logged at most so often, with how many there were.
const LOG_PACE: Duration = Duration::from_secs(60);
/// Bytes in one round trip, save that one event always goes. More would bring nothing (at 1 ms to Redis it is
/// 250 MB a second), and redis-rs never gives back the buffer that a batch once filled.
const BATCH_BYTES: usize = 256 << 10;
/// The same where a round trip is one to a replica, too: with less, the last of what may wait would be late.
const REPLICATED_BATCH_BYTES: usize = 4 << 20;

/// Takes events.
pub(super) struct Publisher {
    queue: mpsc::Sender<Publishing>,
    /// Those that wait for a replica.
    replicated: mpsc::Sender<Publishing>,
    bytes: Arc<AtomicUsize>,
}

/// Sends them.
pub(super) struct Outgoing {
    queue: Queue,
    replicated: Queue,
}

struct Queue {
    events: mpsc::Receiver<Publishing>,
    /// Of all events that wait or are on their way.
    bytes: Arc<AtomicUsize>,
    refusals: Refusals,
    batch_bytes: usize,
}

/// Events that the broker refused since the last line about it.
#[derive(Default)]
struct Refusals {
    times: u64,
    logged: Option<Instant>,
}

impl Publisher {
    pub(super) fn new() -> (Self, Outgoing) {
        let bytes = Arc::new(AtomicUsize::new(0));
        let queue = |batch_bytes| {
            let (to, events) = mpsc::channel(WAITING);
            (to, Queue { events, bytes: Arc::clone(&bytes), refusals: Refusals::default(), batch_bytes })
        };
        let ((to, queue), (to_replicated, replicated)) = (queue(BATCH_BYTES), queue(REPLICATED_BATCH_BYTES));
        (Self { queue: to, replicated: to_replicated, bytes }, Outgoing { queue, replicated })
    }

    /// Takes an event; never waits.
    pub(super) fn publish(&self, publishing: Publishing) {
        let weight = publishing.weight();
        let waiting = self.bytes.fetch_add(weight, Ordering::Relaxed);
        if waiting > 0 && waiting + weight > WAITING_BYTES {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return (publishing.done)(Err(Refusal::unavailable()));
        }
        // A channel's events all go one way here, so its order holds.
        let queue = match publishing.way {
            Way::Durable { replicated: true } => &self.replicated,
            _ => &self.queue,
        };
        if let Err(error) = queue.try_send(publishing) {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            let refused = match error {
                mpsc::error::TrySendError::Full(refused) | mpsc::error::TrySendError::Closed(refused) => {
                    refused
                }
            };
            (refused.done)(Err(Refusal::unavailable()));
        }
    }
}

impl Outgoing {
    /// Sends until nobody publishes any more.
    pub(super) async fn run(self, broker: Arc<impl Broker + History>) {
        tokio::join!(self.queue.run(&*broker), self.replicated.run(&*broker));
    }
}

impl Queue {
    async fn run(mut self, broker: &(impl Broker + History)) {
        let mut ready = Vec::with_capacity(BATCH);
        while self.events.recv_many(&mut ready, BATCH).await > 0 {
            let mut rest = std::mem::take(&mut ready);
            while !rest.is_empty() {
                let later = rest.split_off(batch_len(&rest, self.batch_bytes));
                let batch = std::mem::replace(&mut rest, later);
                let weight = batch.iter().map(Publishing::weight).sum();
                send(broker, batch, &mut self.refusals).await;
                self.bytes.fetch_sub(weight, Ordering::Relaxed);
            }
        }
    }
}

/// How many of these go in one round trip.
fn batch_len(events: &[Publishing], most: usize) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take_while(|one| {
        bytes += one.weight();
        bytes <= most
    });
    fits.count().max(1)
}

/// Sends both kinds at once, and tells each what became of it.
async fn send(broker: &(impl Broker + History), batch: Vec<Publishing>, refusals: &mut Refusals) {
    let Some(oldest) = batch.iter().map(|one| one.since).min() else { return };
    let left = BROKER_DEADLINE.saturating_sub(oldest.elapsed());
    let Parcel { live, durable, is_durable } = Parcel::of(&batch);
    let publishing = async {
        match live.is_empty() {
            true => Vec::new(),
            false => tokio::time::timeout(left, broker.publish(live)).await.unwrap_or_default(),
        }
    };
    let appending = async {
        match durable.is_empty() {
            true => Vec::new(),
            false => tokio::time::timeout(left, broker.append(durable)).await.unwrap_or_default(),
        }
    };
    let (published, numbered) = tokio::join!(publishing, appending);
    let (mut published, mut numbered) = (published.into_iter(), numbered.into_iter());
    for (one, is_durable) in batch.into_iter().zip(is_durable) {
        let outcome = match is_durable {
            false => published.next().map(|result| result.map_err(|error| refusals.of_broker(&error))),
            true => numbered.next().map(|result| match result {
                Ok(appended) => Ok(appended.position),
                Err(error) => Err(refusals.of_history(&error)),
            }),
        };
        // None: no answer in time.
        (one.done)(outcome.unwrap_or_else(|| Err(Refusal::unavailable())));
    }
}

impl Refusals {
    fn of_broker(&mut self, error: &BrokerError) -> Refusal {
        if let BrokerError::Refused(why) = error {
            self.note(why);
        }
        super::refusal(error)
    }

    fn of_history(&mut self, error: &HistoryError) -> Refusal {
        if let HistoryError::Refused(why) = error {
            self.note(why);
        }
        super::history_refusal(error)
    }

    /// Whoever published was told to look into the log.
    fn note(&mut self, error: &str) {
        self.times += 1;
        if self.logged.is_none_or(|last| last.elapsed() >= LOG_PACE) {
            tracing::warn!(times = self.times, %error, "the broker refuses events; the newest reason is named");
            *self = Self { times: 0, logged: Some(Instant::now()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events with payloads of these sizes, cut into round trips: how many are in each.
    fn trips(sizes: &[usize]) -> Vec<usize> {
        let event = |size: &usize| {
            let channel = "a".parse().expect("a name");
            Publishing::new(channel, vec![b'1'; *size].into(), Way::Live, 7, Box::new(|_| {}))
        };
        let mut rest: Vec<Publishing> = sizes.iter().map(event).collect();
        let mut trips = Vec::new();
        while !rest.is_empty() {
            let trip = batch_len(&rest, BATCH_BYTES);
            rest.drain(..trip);
            trips.push(trip);
        }
        trips
    }

    #[test]
    fn small_events_fill_a_round_trip_and_a_large_one_goes_alone() {
        let room = BATCH_BYTES / 8 - size_of::<Publishing>();
        assert_eq!(trips(&[10; BATCH]), [BATCH], "small ones go together");
        assert_eq!(trips(&[room; 20]), [8, 8, 4], "up to the bound, not a byte more");
        assert_eq!(trips(&[room + 1; 20]), [7, 7, 6]);
        assert_eq!(trips(&[10, 10, 2 * BATCH_BYTES, 10, 10]), [2, 1, 2], "a large one takes nobody along");
        assert_eq!(trips(&[2 * BATCH_BYTES; 3]), [1, 1, 1], "and always goes");
    }
}
