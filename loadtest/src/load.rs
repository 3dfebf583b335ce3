//! All connections of a run, open and listening on their threads.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::clock;
use crate::crew::Crew;
use crate::http::host_of;
use crate::progress::Progress;
use crate::receiver::{Gateway, Heard, receive};
use crate::scenario::Scenario;

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

impl Load {
    /// Opens every connection and returns once all subscriptions are confirmed. `watch` is told
    /// from time to time how many are.
    ///
    /// # Errors
    /// When one is refused, or they are not open in time (10 s and 1 s for each 200).
    pub fn open(scenario: &Arc<Scenario>, watch: impl Fn(u64)) -> Result<Self> {
        let progress = Arc::new(Progress::new(scenario.channels));
        Self::open_watched(scenario, progress, None, |open, _| watch(open))
    }

    /// The same with a `progress` that others watch already, for who wants to see more than how many; and by other
    /// processes, if there is a crew.
    ///
    /// # Errors
    /// As [`Load::open`].
    pub fn open_watched(
        scenario: &Arc<Scenario>,
        progress: Arc<Progress>,
        crew: Option<Crew>,
        watch: impl Fn(u64, &Progress),
    ) -> Result<Self> {
        if let Some(crew) = crew {
            let mut load = Self::new(&progress);
            load.threads = crew.open(scenario, &progress)?;
            load.await_open(scenario, scenario.own(), watch)?;
            return Ok(load);
        }
        crate::files::check_room(scenario.own() as usize).context("share them over more `--processes`")?;
        let gateways = scenario.url.split(',').map(gateway).collect::<Result<Vec<Gateway>>>()?;
        let mut load = Self::new(&progress);
        for receiver in 0..scenario.receivers.max(1) {
            let (scenario, progress, gateways) =
                (Arc::clone(scenario), Arc::clone(&progress), gateways.clone());
            load.threads.push(
                thread::Builder::new()
                    .name("receiver".to_owned())
                    .spawn(move || receive(&scenario, receiver, &gateways, &progress))?,
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
            if Instant::now() >= deadline {
                let opened = progress.open();
                // A worker that does not answer knows why.
                self.collect()?;
                bail!("only {opened} of {all} connections opened in time");
            }
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
    pub fn finish(mut self, published: &[u64]) -> Result<Heard> {
        self.progress.finish(published);
        self.collect()
    }

    /// Waits until somebody else ends the run, or a receiver fails.
    ///
    /// # Errors
    /// When a receiver failed.
    pub fn wait(mut self) -> Result<Heard> {
        while !self.broken() {
            thread::sleep(Duration::from_millis(10));
        }
        self.collect()
    }

    /// Why a run is broken: what a receiver says that ended by itself.
    #[must_use]
    pub fn failure(mut self) -> anyhow::Error {
        self.collect().err().unwrap_or_else(|| anyhow!("a receiver ended early"))
    }

    /// Ends all, and adds up what they heard.
    fn collect(&mut self) -> Result<Heard> {
        // Who ended by itself knows what is wrong; the others may say no more than that they were stopped.
        let (ended, others): (Vec<_>, Vec<_>) = self.threads.drain(..).partition(JoinHandle::is_finished);
        self.progress.stop();
        let mut all = Heard::default();
        let join = |thread: JoinHandle<_>| thread.join().map_err(|_| anyhow!("a receiver panicked"))?;
        let each: Vec<Result<Heard>> = ended.into_iter().chain(others).map(join).collect();
        for heard in each {
            let heard = heard?;
            all.tally.merge(&heard.tally);
            all.faults.add(heard.faults);
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.progress.stop();
    }
}

fn gateway(url: &str) -> Result<Gateway> {
    let host = host_of(url, &["ws", "http"])?;
    let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
    Ok(Gateway { address, host })
}
