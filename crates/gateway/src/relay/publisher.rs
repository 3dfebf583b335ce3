//! Publishing in the order of calls: one task takes what is ready and sends it in one round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_broker::{Broker, BrokerError};
use tidegate_core::{ChannelName, Event, Position, Refusal};
use tokio::sync::mpsc;

use super::BROKER_DEADLINE;

/// Events that may wait for the broker. One more is refused as `unavailable` at once.
const WAITING: usize = 16 << 10;
/// Bytes of these events. One more is refused likewise; a single event always fits.
const WAITING_BYTES: usize = 64 << 20;
/// Events in one round trip.
const BATCH: usize = 512;
/// Refused events are logged at most so often, with how many there were.
const LOG_PACE: Duration = Duration::from_secs(60);
/// Bytes in one round trip, save that one event always goes.
const BATCH_BYTES: usize = 4 << 20;

/// Hears what became of one event.
type Done = Box<dyn FnOnce(Result<Option<Position>, Refusal>) + Send>;

/// One event on its way to the broker.
pub(super) struct Publishing {
    channel: ChannelName,
    event: Event,
    since: Instant,
    done: Done,
}

/// Takes events.
pub(super) struct Publisher {
    queue: mpsc::Sender<Publishing>,
    bytes: Arc<AtomicUsize>,
}

/// Sends them.
pub(super) struct Outgoing {
    queue: mpsc::Receiver<Publishing>,
    /// Of all events that wait or are on their way.
    bytes: Arc<AtomicUsize>,
    refusals: Refusals,
}

/// Events that the broker refused since the last line about it.
#[derive(Default)]
struct Refusals {
    times: u64,
    logged: Option<Instant>,
}

impl Publishing {
    pub(super) fn new(channel: ChannelName, event: Event, done: Done) -> Self {
        Self { channel, event, since: Instant::now(), done }
    }
}

impl Publisher {
    pub(super) fn new() -> (Self, Outgoing) {
        let (to, from) = mpsc::channel(WAITING);
        let bytes = Arc::new(AtomicUsize::new(0));
        (
            Self { queue: to, bytes: Arc::clone(&bytes) },
            Outgoing { queue: from, bytes, refusals: Refusals::default() },
        )
    }

    /// Takes an event; never waits.
    pub(super) fn publish(&self, publishing: Publishing) {
        let weight = publishing.event.weight();
        let waiting = self.bytes.fetch_add(weight, Ordering::Relaxed);
        if waiting > 0 && waiting + weight > WAITING_BYTES {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return (publishing.done)(Err(Refusal::unavailable()));
        }
        if let Err(error) = self.queue.try_send(publishing) {
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
    pub(super) async fn run(mut self, broker: Arc<impl Broker>) {
        let mut ready = Vec::with_capacity(BATCH);
        while self.queue.recv_many(&mut ready, BATCH).await > 0 {
            let mut rest = std::mem::take(&mut ready);
            while !rest.is_empty() {
                let later = rest.split_off(batch_len(&rest));
                let batch = std::mem::replace(&mut rest, later);
                let weight = batch.iter().map(|one| one.event.weight()).sum();
                send(&*broker, batch, &mut self.refusals).await;
                self.bytes.fetch_sub(weight, Ordering::Relaxed);
            }
        }
    }
}

/// How many of these go in one round trip.
fn batch_len(events: &[Publishing]) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take_while(|one| {
        bytes += one.event.weight();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

async fn send(broker: &impl Broker, batch: Vec<Publishing>, refusals: &mut Refusals) {
    let Some(oldest) = batch.iter().map(|one| one.since).min() else { return };
    let left = BROKER_DEADLINE.saturating_sub(oldest.elapsed());
    let (events, done): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|one| ((one.channel, one.event), one.done)).unzip();
    let results = tokio::time::timeout(left, broker.publish(events)).await;
    let mut results = results.unwrap_or_default().into_iter();
    for done in done {
        let result =
            results.next().unwrap_or_else(|| Err(BrokerError::Unavailable("no answer in time".into())));
        if let Err(error) = &result {
            tracing::trace!(%error, "an event was not published");
            refusals.note(error);
        }
        done(result.map_err(|error| super::refusal(&error)));
    }
}

impl Refusals {
    /// Whoever published was told to look into the log.
    fn note(&mut self, error: &BrokerError) {
        let BrokerError::Refused(_) = error else { return };
        self.times += 1;
        if self.logged.is_none_or(|last| last.elapsed() >= LOG_PACE) {
            tracing::warn!(times = self.times, %error, "the broker refuses events; the newest reason is named");
            *self = Self { times: 0, logged: Some(Instant::now()) };
        }
    }
}
