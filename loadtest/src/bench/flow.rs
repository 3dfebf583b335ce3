//! Events at a rate into channels, through fresh servers: rows 1 to 5, 11 and 13.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::finding::{Figure, Outcome};
use super::process::Server;
use super::stand::{Setup, Stand};
use super::subject::Subject;
use crate::checker::Faults;
use crate::clock;
use crate::door::Doors;
use crate::load::Load;
use crate::outlet::Target;
use crate::publisher::{self, Publisher};
use crate::rate::Rate;
use crate::scenario::Scenario;
use crate::tally::Tally;

/// Bytes of each payload.
pub const PAYLOAD: usize = 128;
/// Before anything is counted.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// The longest wait for what is under way at other nodes than the first.
const PATIENCE: Duration = Duration::from_secs(10);
/// Behind what is measured, so that it ends under load.
const TAIL: Duration = Duration::from_millis(200);

/// The work.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Subscribers, all nodes together.
    pub connections: u32,
    /// Channels; more than connections: several for each.
    pub channels: u32,
    /// Events a second in total.
    pub rate: Rate,
    /// With [`Rate::Max`]: events under way.
    pub window: u32,
    /// What is measured.
    pub length: Duration,
    /// Gateways, all on the server's core.
    pub nodes: u32,
    /// Whether channels have histories, and events go in by the function.
    pub history: bool,
}

impl Flow {
    /// One gateway, no history.
    #[must_use]
    pub fn new(connections: u32, channels: u32, rate: Rate, length: Duration) -> Self {
        Self { connections, channels, rate, window: 32, length, nodes: 1, history: false }
    }

    /// Measures one subject: fresh servers, all subscribers in, warm-up, then the measured part.
    ///
    /// # Errors
    /// When a server or a connection fails.
    #[expect(clippy::cast_precision_loss, reason = "counts and times of seconds")]
    pub fn measure(&self, stand: &Stand, subject: Subject) -> Result<Outcome> {
        let nodes = if matches!(subject, Subject::Plain | Subject::Native) { self.nodes.max(1) } else { 1 };
        let servers: Vec<_> = (0..nodes).map(|_| self.server(stand, subject)).collect::<Result<_>>()?;
        let crowd = self.crowd(&servers, subject)?;
        let (scenario, load) = crowd.first().context("no server")?;
        let hearers = hearers(&crowd);
        let publisher = match self.target(stand, subject) {
            None => None,
            Some(target) => {
                let length = WARM_UP + self.length + TAIL;
                let settings = publisher::Settings { rate: self.rate, window: self.window, length, target };
                Some(Publisher::start(scenario, &settings, &load.progress, clock::now())?)
            }
        };
        thread::sleep(WARM_UP);
        let start = clock::now();
        crowd.iter().for_each(|(_, load)| load.progress.measure_from(start));
        let cpu = || servers.iter().map(|(server, _)| server.cpu()).sum::<Result<u64>>();
        let delivered = || crowd.iter().map(|(_, load)| load.progress.delivered()).sum::<u64>();
        let (cpu_before, before) = (cpu()?, delivered());
        clock::sleep_until(start + clock::nanos(self.length));
        let used = cpu()?.saturating_sub(cpu_before) as f64;
        let deliveries = delivered().saturating_sub(before) as f64;
        let length = (clock::now() - start) as f64;
        ensure!(deliveries > 0.0, "{subject} delivered nothing");

        let published = publisher.map(Publisher::join).transpose()?.unwrap_or_default();
        let (tally, faults) = settle(crowd, &published)?;
        let mut outcome = Outcome { faults, ended: tally.ended.values().sum(), ..Outcome::default() };
        if let Rate::PerSecond(rate) = self.rate {
            let due = rate * hearers * length / 1e9;
            outcome = outcome.with(Figure::Held, (deliveries / due).min(1.0));
        }
        let total: u64 = published.iter().sum();
        Ok(outcome
            .with(Figure::CpuUs, used / 1e3 / deliveries)
            .with(Figure::PerSecond, deliveries / length * 1e9)
            .with(Figure::Cores, used / length)
            .with(Figure::Published, total as f64 / (WARM_UP + self.length + TAIL).as_secs_f64())
            .with_latency(&tally.latency.percentiles()))
    }

    fn server(&self, stand: &Stand, subject: Subject) -> Result<(Server, String)> {
        match subject {
            Subject::Floor => stand.floor(self.connections, PAYLOAD, self.rate),
            Subject::RoomFloor => stand.room_floor(self.connections),
            Subject::Paced => stand.gateway(Setup::Paced),
            Subject::Bun | Subject::SocketIo => stand.peers.start(subject, &stand.redis),
            _ if self.history => stand.gateway(Setup::History),
            _ => stand.gateway(Setup::Usual),
        }
    }

    fn target(&self, stand: &Stand, subject: Subject) -> Option<Target> {
        match subject {
            Subject::Floor => None,
            Subject::SocketIo => Some(Target::SocketIo(stand.redis.clone())),
            _ if self.history => Some(Target::Function(stand.kept.clone())),
            _ => Some(Target::Redis(stand.redis.clone())),
        }
    }

    /// Opens the same number of connections at each server, on the same channels.
    fn crowd(&self, servers: &[(Server, String)], subject: Subject) -> Result<Vec<(Arc<Scenario>, Load)>> {
        let each = self.connections / u32::try_from(servers.len())?;
        let doors = Doors::One(subject.door());
        let mut crowd: Vec<(Arc<Scenario>, Load)> = Vec::new();
        for (_, url) in servers {
            let scenario = Scenario::new(url, each, self.channels, doors, PAYLOAD);
            let run = crowd.first().map_or(scenario.run, |(first, _)| first.run);
            let scenario = Scenario { run, ..scenario };
            let scenario = Arc::new(if subject == Subject::Floor { scenario.listening() } else { scenario });
            let load = Load::open(&scenario, |_| {})?;
            crowd.push((scenario, load));
        }
        Ok(crowd)
    }
}

/// How many hear an event, on average.
fn hearers(crowd: &[(Arc<Scenario>, Load)]) -> f64 {
    let channels = crowd.first().map_or(1, |(scenario, _)| scenario.channels);
    let hear = |scenario: &Scenario| (0..channels).map(|channel| scenario.subscribers(channel)).sum::<u32>();
    f64::from(crowd.iter().map(|(scenario, _)| hear(scenario)).sum::<u32>()) / f64::from(channels)
}

/// Waits for what is under way and judges all connections.
fn settle(crowd: Vec<(Arc<Scenario>, Load)>, published: &[u64]) -> Result<(Tally, Faults)> {
    let (mut tally, mut faults) = (Tally::default(), Faults::default());
    // The publisher counts what is under way at the first node only.
    for (scenario, load) in crowd.iter().skip(1) {
        let events = (0..).zip(published);
        let expected: u64 =
            events.map(|(channel, count)| count * u64::from(scenario.subscribers(channel))).sum();
        let deadline = clock::now() + clock::nanos(PATIENCE);
        while load.progress.delivered() < expected && clock::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
    crowd.iter().for_each(|(_, load)| load.settle());
    for (_, load) in crowd {
        let outcome = load.finish(published)?;
        tally.merge(&outcome.tally);
        faults.add(outcome.faults);
    }
    Ok((tally, faults))
}
