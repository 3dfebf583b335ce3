//! A hot channel's fan-out in segments, by several workers at once.
//!
//! A lane that meets a thousand subscribers or more cuts the batch into segments and calls the crew. Whoever is free
//! takes the next one, the lane too, and the lane goes on when the last is written. So no segment hears a batch before
//! the one before it, nothing of the lane overtakes any, and no queue is needed: above the bound there is just the
//! lane, working alone. The bytes are encoded once for all. It must not know places.

use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_core::hub::{Batch, Seat};
use tokio::sync::Notify;

use super::Subscribers;
use super::delivery::{LaneMetrics, Tally, stage, walk};
use crate::connection::{Flight, Peer};
use crate::wire::{Encoded, Format, Slice, Slices};

/// Seats of a segment, taken or free. Below some hundred, waking a helper costs more than it writes.
pub(super) const SEGMENT: u32 = 512;
/// Subscribers from which on a batch is cut: two segments.
const HOT: u32 = 2 * SEGMENT;

/// Events on their way to the subscribers of a hot channel.
pub(super) struct Fanout {
    hub: Arc<Subscribers>,
    metrics: LaneMetrics,
    load: Load<'static>,
    left: Mutex<Left>,
    /// Nobody is at work.
    idle: Notify,
}

/// What is delivered: events of one batch, or of several that follow each other.
pub(super) struct Load<'a> {
    pub(super) encoded: Encoded<'a>,
    batches: Vec<Part>,
}

/// A batch of several.
struct Part {
    number: u64,
    /// Its first event.
    first: usize,
    /// All from there on, for who came after the one before: most often nobody, in a crowd of newcomers hundreds.
    rest: Slices,
}

struct Left {
    /// What nobody has taken yet.
    batch: Batch,
    /// Segments that are being written.
    at_work: usize,
}

/// A segment in somebody's hands; counted until it is dropped, however that comes.
struct Taken<'a> {
    batch: Batch,
    of: &'a Fanout,
}

/// The helpers of all lanes of a node.
#[derive(Default)]
pub(super) struct Crew {
    helpers: usize,
    /// At most one of each lane.
    hot: Mutex<Vec<Arc<Fanout>>>,
    wanted: Notify,
}

impl Fanout {
    pub(super) fn new(
        hub: Arc<Subscribers>,
        metrics: LaneMetrics,
        load: Load<'static>,
        batch: Batch,
    ) -> Self {
        let left = Mutex::new(Left { batch, at_work: 0 });
        Self { hub, metrics, load, left, idle: Notify::new() }
    }

    /// Whether a batch has enough subscribers to be cut.
    pub(super) fn pays(batch: &Batch) -> bool {
        batch.seats() >= HOT
    }

    fn take(&self) -> Option<Taken<'_>> {
        let mut left = self.left.lock();
        let batch = left.batch.cut(SEGMENT)?;
        left.at_work += 1;
        Some(Taken { batch, of: self })
    }

    /// Takes segments and writes them until none is left to take.
    async fn work(&self, flight: &mut Flight) {
        let mut dirty = Vec::new();
        while let Some(mut taken) = self.take() {
            let mut tally = Tally::default();
            walk(&self.hub, &mut taken.batch, &mut dirty, flight, |connection, seat, since, dirty| {
                self.load.stage(connection, seat, since, &mut tally, dirty);
            })
            .await;
            flight.flush(&mut dirty);
            tally.report(&self.metrics);
            drop(taken);
            // The next segment is as long again: others of this thread come first.
            tokio::task::yield_now().await;
        }
    }

    /// Waits for those who still write.
    async fn ended(&self) {
        while self.left.lock().at_work > 0 {
            self.idle.notified().await;
        }
    }
}

impl<'a> Load<'a> {
    /// `batches`: the number of each, and its first event.
    pub(super) fn new(encoded: Encoded<'a>, batches: impl IntoIterator<Item = (u64, usize)>) -> Self {
        let part = |(number, first)| Part { number, first, rest: Slices::default() };
        Self { encoded, batches: batches.into_iter().map(part).collect() }
    }

    pub(super) fn into_owned(self) -> Load<'static> {
        Load { encoded: self.encoded.into_owned(), batches: self.batches }
    }

    /// The first batch that is for a subscriber, unless all are.
    fn first_part(&self, since: u64) -> Option<&Part> {
        self.batches.iter().find(|part| since < part.number).filter(|part| part.first > 0)
    }

    /// Those of its batches.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.batches.iter().map(|part| part.number)
    }

    /// The first event that is for a subscriber.
    #[cfg(test)]
    pub(super) fn first(&self, since: u64) -> usize {
        self.first_part(since).map_or(0, |part| part.first)
    }

    /// What came after a subscriber was attached.
    pub(super) fn slices(&self, since: u64, format: Format) -> &[Slice] {
        match self.first_part(since) {
            None => self.encoded.get(format),
            Some(part) => self.encoded.get_from(part.first, format, &part.rest),
        }
    }

    /// Stages for one subscriber what came after it was attached: nearly always everything.
    pub(super) fn stage(
        &self,
        connection: &Arc<Peer>,
        seat: Seat,
        since: u64,
        tally: &mut Tally,
        dirty: &mut Vec<Arc<Peer>>,
    ) {
        stage(connection, seat, self.slices(since, connection.format()), tally, dirty);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut left = self.of.left.lock();
        left.at_work -= 1;
        if left.at_work == 0 {
            self.of.idle.notify_one(); // one waits at most: the lane
        }
    }
}

impl Crew {
    /// A crew for so many workers; none for one, which has nobody to share with.
    pub(super) fn of(workers: usize) -> Option<Arc<Self>> {
        // As many as workers, although the lane is at work itself: tokio keeps the task that was woken last for the
        // thread that woke it, where no other finds it.
        (workers > 1).then(|| Arc::new(Self { helpers: workers, ..Self::default() }))
    }

    /// Slots that keep all of them busy for some milliseconds.
    pub(super) fn stretch(&self) -> u32 {
        SEGMENT * 4 * self.helpers as u32
    }

    /// Itself, for each task that is to run [`Crew::help`].
    pub(super) fn helpers(self: &Arc<Self>) -> impl Iterator<Item = Arc<Self>> {
        std::iter::repeat_n(Arc::clone(self), self.helpers)
    }

    /// Helps whichever lane calls; for ever.
    pub(super) async fn help(&self, mut flight: Flight) {
        loop {
            let hot = self.hot.lock().last().cloned();
            match hot {
                Some(fanout) => {
                    fanout.work(&mut flight).await;
                    self.forget(&fanout);
                }
                None => self.wanted.notified().await,
            }
        }
    }

    /// Delivers to all subscribers of a fan-out, with whoever has time.
    pub(super) async fn fan_out(&self, fanout: Fanout, flight: &mut Flight) {
        let segments = fanout.left.lock().batch.seats() / SEGMENT;
        let fanout = Arc::new(fanout);
        self.hot.lock().push(Arc::clone(&fanout));
        for _ in 0..self.helpers.min(segments as usize) {
            self.wanted.notify_one();
        }
        fanout.work(flight).await;
        self.forget(&fanout);
        fanout.ended().await;
    }

    /// All segments of a fan-out are taken: nobody else needs to look at it.
    fn forget(&self, fanout: &Arc<Fanout>) {
        self.hot.lock().retain(|other| !Arc::ptr_eq(other, fanout));
    }
}

#[cfg(test)]
mod tests;
