//! All connections of a run, open and listening on their threads.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::checker::Faults;
use crate::clock;
use crate::http::host_of;
use crate::progress::Progress;
use crate::receiver::{Heard, receive};
use crate::scenario::Scenario;
use crate::tally::Tally;

/// When nothing has come for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(2);
/// The longest wait for what is still under way.
const LONGEST: Duration = Duration::from_secs(15);

/// The receiving half of a run. Dropping it closes all connections.
#[derive(Debug)]
pub struct Load {
    /// What can be watched from outside.
    pub progress: Arc<Progress>,
    threads: Vec<JoinHandle<Result<Heard>>>,
    /// When the first socket was asked for, and when the last was in.
    opened: (u64, u64),
}

/// What all connections have heard.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counts and latencies.
    pub tally: Tally,
    /// What was wrong.
    pub faults: Faults,
}

impl Load {
    /// Opens every connection and returns once all subscriptions are confirmed. `watch` is told
    /// from time to time how many are.
    ///
    /// # Errors
    /// When one is refused, or they are not open in time (10 s and 1 s for each 200).
    pub fn open(scenario: &Arc<Scenario>, watch: impl Fn(u64)) -> Result<Self> {
        let progress = Arc::new(Progress::new(scenario.channels));
        Self::open_watched(scenario, progress, |open, _| watch(open))
    }

    /// The same with a `progress` that others watch already, for who wants to see more than how many.
    ///
    /// # Errors
    /// As [`Load::open`].
    pub fn open_watched(
        scenario: &Arc<Scenario>,
        progress: Arc<Progress>,
        watch: impl Fn(u64, &Progress),
    ) -> Result<Self> {
        crate::files::check_room(scenario.own() as usize)?;
        let host = host_of(&scenario.url, &["ws", "http"])?;
        let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
        let mut load = Self::new(&progress);
        for receiver in 0..scenario.receivers.max(1) {
            let (scenario, progress, host) = (Arc::clone(scenario), Arc::clone(&progress), host.clone());
            load.threads.push(
                thread::Builder::new()
                    .name("receiver".to_owned())
                    .spawn(move || receive(&scenario, receiver, address, &host, &progress))?,
            );
        }
        load.await_open(scenario, scenario.own(), watch)?;
        Ok(load)
    }

    fn new(progress: &Arc<Progress>) -> Self {
        Self { progress: Arc::clone(progress), threads: Vec::new(), opened: (clock::now(), 0) }
    }

    fn await_open(&mut self, scenario: &Scenario, all: u32, watch: impl Fn(u64, &Progress)) -> Result<()> {
        let ramp = scenario.ramp_up.map_or(0.0, |rate| f64::from(scenario.connections) / rate);
        let patience = Duration::from_secs(10 + u64::from(scenario.connections) / 200);
        let deadline = Instant::now() + patience + Duration::from_secs_f64(ramp);
        let (all, progress) = (u64::from(all), Arc::clone(&self.progress));
        while progress.open() < all {
            watch(progress.open(), &progress);
            if self.threads.iter().any(JoinHandle::is_finished) {
                self.collect()?;
                bail!("a receiver ended early");
            }
            ensure!(
                Instant::now() < deadline,
                "only {} of {all} connections opened in time",
                progress.open()
            );
            thread::sleep(Duration::from_millis(10));
        }
        watch(all, &progress);
        self.opened.1 = clock::now();
        Ok(())
    }

    /// Whether a receiver has ended before it was told to: there is nothing to wait for.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// How long it took until all were in, in nanoseconds.
    #[must_use]
    pub fn ramp(&self) -> u64 {
        self.opened.1.saturating_sub(self.opened.0)
    }

    /// Waits until all that was published has arrived and all are back, or plainly will not.
    pub fn settle(&self) {
        let start = Instant::now();
        let progress = &self.progress;
        progress.settle();
        let seen = || (progress.delivered(), progress.absent());
        let mut last = (seen(), Instant::now());
        while (progress.under_way() > 0 || progress.absent() > 0)
            && last.1.elapsed() < QUIET
            && start.elapsed() < LONGEST
        {
            thread::sleep(Duration::from_millis(10));
            if seen() != last.0 {
                last = (seen(), Instant::now());
            }
        }
        // What comes twice comes after what was awaited.
        thread::sleep(Duration::from_millis(50));
    }

    /// Closes all connections and judges them. `published` says how many events each channel had.
    ///
    /// # Errors
    /// When a receiver failed on the way.
    pub fn finish(mut self, published: &[u64]) -> Result<Outcome> {
        let mut outcome = Outcome { tally: Tally::default(), faults: Faults::default() };
        self.progress.finish(published);
        for heard in self.collect()? {
            outcome.tally.merge(&heard.tally);
            outcome.faults.add(heard.faults);
        }
        Ok(outcome)
    }

    fn collect(&mut self) -> Result<Vec<Heard>> {
        self.progress.stop();
        let join = |thread: JoinHandle<_>| thread.join().map_err(|_| anyhow!("a receiver panicked"))?;
        self.threads.drain(..).map(join).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.progress.stop();
    }
}
