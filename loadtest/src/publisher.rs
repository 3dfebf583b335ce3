//! Publishes the events of a run on threads of its own, when they are due or as fast as they arrive.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::clock;
use crate::outlet::{Outlet, Target};
use crate::plant::Planting;
use crate::progress::Progress;
use crate::rate::Rate;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// Events that may leave in one pipeline when many are due.
const BATCH: usize = 256;
/// How often a full window is looked at.
const LOOK: Duration = Duration::from_micros(100);

/// What to publish.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How fast.
    pub rate: Rate,
    /// With [`Rate::Max`]: events under way at any time.
    pub window: u32,
    /// For how long.
    pub length: Duration,
    /// Where.
    pub target: Target,
}

/// The publishing half of a run.
#[derive(Debug)]
pub struct Publisher {
    threads: Vec<JoinHandle<Result<Vec<u64>>>>,
    channels: usize,
}

impl Publisher {
    /// Starts to publish at `start` (nanoseconds of [`clock::now`]).
    ///
    /// # Errors
    /// When the way into the gateway cannot be opened.
    pub fn start(
        scenario: &Arc<Scenario>,
        settings: &Settings,
        progress: &Arc<Progress>,
        start: u64,
    ) -> Result<Self> {
        let shards = settings.target.threads().min(scenario.channels);
        let mut threads = Vec::new();
        for shard in 0..shards {
            let names: Vec<String> =
                (0..scenario.channels).map(|channel| scenario.channel_name(channel)).collect();
            let work = Work {
                published: vec![0; names.len()],
                names,
                scenario: Arc::clone(scenario),
                progress: Arc::clone(progress),
                outlet: settings.target.open()?,
                planting: scenario.plant.map(Planting::new),
                batch: Vec::new(),
                end: start + clock::nanos(settings.length),
                next: u64::from(shard),
                shards: u64::from(shards),
            };
            let settings = settings.clone();
            threads.push(thread::Builder::new().name("publisher".to_owned()).spawn(move || {
                match settings.rate {
                    Rate::PerSecond(rate) => work.on_time(rate, start, settings.length),
                    Rate::Max => work.in_window(start, settings.window),
                }
            })?);
        }
        Ok(Self { threads, channels: scenario.channels as usize })
    }

    /// Whether all has been published.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the end; returns how many events each channel had.
    ///
    /// # Errors
    /// When an event was refused.
    pub fn join(self) -> Result<Vec<u64>> {
        let mut published = vec![0; self.channels];
        for thread in self.threads {
            let counts = thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
            for (sum, count) in published.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        Ok(published)
    }
}

/// One thread. A channel belongs to one thread, so its events keep their order: thread `t` of `n`
/// publishes every `n`th event, on the channels `t`, `t + n` …
struct Work {
    scenario: Arc<Scenario>,
    progress: Arc<Progress>,
    outlet: Outlet,
    names: Vec<String>,
    published: Vec<u64>,
    /// Spoils one event, in tests.
    planting: Option<Planting>,
    /// Made, not yet sent: channel and payload.
    batch: Vec<(u32, Vec<u8>)>,
    end: u64,
    /// The number of the thread's next event among all threads'.
    next: u64,
    shards: u64,
}

impl Work {
    fn on_time(mut self, rate: f64, start: u64, length: Duration) -> Result<Vec<u64>> {
        let schedule = Schedule::new(rate, clock::nanos(length));
        while let Some(due) = schedule.due(self.next) {
            let due = start + due;
            if due > clock::now() || self.batch.len() >= BATCH {
                self.send()?;
                clock::sleep_until(due);
                continue;
            }
            self.stamp(due);
        }
        self.send()?;
        Ok(self.published)
    }

    fn in_window(mut self, start: u64, window: u32) -> Result<Vec<u64>> {
        clock::sleep_until(start);
        let channels = u64::from(self.scenario.channels);
        let each = u64::from(self.scenario.per_connection.unwrap_or(1));
        let subscribers = (u64::from(self.scenario.connections) * each).max(channels) / channels;
        while clock::now() < self.end {
            let limit = u64::from(window.max(1)) * subscribers;
            while self.batch.len() < BATCH && self.progress.under_way() < limit {
                self.stamp(clock::now());
            }
            if self.batch.is_empty() {
                thread::sleep(LOOK);
            }
            self.send()?;
        }
        Ok(self.published)
    }

    /// Makes the next event.
    fn stamp(&mut self, due: u64) {
        let channel = self.channel();
        self.next += self.shards;
        let published = &mut self.published[channel as usize];
        *published += 1;
        let mut payload = Vec::with_capacity(self.scenario.payload);
        Stamp { run: self.scenario.run, channel, sequence: *published, due }
            .write(self.scenario.payload, &mut payload);
        self.progress.publish(channel, self.scenario.subscribers(channel));
        match &mut self.planting {
            Some(planting) => planting.push((channel, payload), &mut self.batch),
            None => self.batch.push((channel, payload)),
        }
    }

    /// The channel of the next event. Each thread goes round its own channels only.
    fn channel(&self) -> u32 {
        let (shard, turn) = (self.next % self.shards, self.next / self.shards);
        let own = (u64::from(self.scenario.channels) - shard).div_ceil(self.shards);
        u32::try_from(shard + turn % own * self.shards).unwrap_or(0)
    }

    fn send(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let names = &self.names;
        self.outlet.publish(
            self.batch
                .iter()
                .map(|(channel, payload)| (names[*channel as usize].as_str(), payload.as_slice())),
        )?;
        self.batch.clear();
        Ok(())
    }
}
