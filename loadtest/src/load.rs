//! All connections of a run, open and listening on their threads.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::checker::Faults;
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
        Self::open_watched(scenario, Arc::default(), watch)
    }

    /// The same with a `progress` that others watch already.
    ///
    /// # Errors
    /// As [`Load::open`].
    pub fn open_watched(
        scenario: &Arc<Scenario>,
        progress: Arc<Progress>,
        watch: impl Fn(u64),
    ) -> Result<Self> {
        crate::files::check_room(scenario.connections as usize)?;
        let host = host_of(&scenario.url, &["ws", "http"])?;
        let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
        let receivers = scenario.receivers.max(1);
        let mut load = Self { progress: Arc::clone(&progress), threads: Vec::new() };
        for receiver in 0..receivers {
            let (scenario, progress, host) = (Arc::clone(scenario), Arc::clone(&progress), host.clone());
            load.threads.push(thread::Builder::new().name("receiver".to_owned()).spawn(move || {
                let numbers = (receiver..scenario.connections).step_by(receivers as usize);
                receive(&scenario, numbers, address, &host, &progress)
            })?);
        }
        let deadline = Instant::now() + Duration::from_secs(10 + u64::from(scenario.connections) / 200);
        let all = u64::from(scenario.connections);
        while progress.open() < all {
            watch(progress.open());
            if load.threads.iter().any(JoinHandle::is_finished) {
                load.collect()?;
                bail!("a receiver ended early");
            }
            ensure!(
                Instant::now() < deadline,
                "only {} of {all} connections opened in time",
                progress.open()
            );
            thread::sleep(Duration::from_millis(10));
        }
        watch(all);
        Ok(load)
    }

    /// Waits until all that was published has arrived, or plainly will not.
    pub fn settle(&self) {
        let start = Instant::now();
        let mut last = (self.progress.delivered(), Instant::now());
        while self.progress.under_way() > 0 && last.1.elapsed() < QUIET && start.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(10));
            if self.progress.delivered() != last.0 {
                last = (self.progress.delivered(), Instant::now());
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
        for heard in self.collect()? {
            outcome.tally.merge(&heard.tally);
            for checker in heard.checkers {
                let count = |channel: u32| published.get(channel as usize).copied().unwrap_or(0);
                outcome.faults.add(checker.finish(count));
            }
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
