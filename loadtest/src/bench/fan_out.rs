//! Rows 1 and 2: one channel, many subscribers; at a low rate, and as fast as deliveries keep up.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::stand::Stand;
use super::{Settings, Subject};
use crate::checker::Faults;
use crate::clock;
use crate::door::Doors;
use crate::latency::Percentiles;
use crate::load::Load;
use crate::outlet::Target;
use crate::publisher::{self, Publisher};
use crate::rate::Rate;
use crate::scenario::Scenario;

/// Bytes of each payload.
pub const PAYLOAD: usize = 128;
/// Before anything is counted.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// One measurement of one subject.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Who.
    pub subject: Subject,
    /// Confirmed deliveries within the measured part.
    pub deliveries: u64,
    /// The same, a second.
    pub deliveries_per_second: f64,
    /// CPU time of the server for each, in microseconds.
    pub cpu_us: f64,
    /// How much of its core the server used.
    pub cores: f64,
    /// From the due time.
    pub latency: Percentiles,
    /// Over the whole run.
    pub faults: Faults,
    /// Connections that the server ended.
    pub ended: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, deliveries_per_second, cpu_us, cores, latency, .. } = self;
        let p99 = latency.p99_us / 1e3;
        write!(
            f,
            "{subject:?}: {cpu_us:.2} µs a delivery, {deliveries_per_second:.0}/s, {cores:.2} cores, p99 {p99:.1} ms"
        )?;
        if !self.faults.none() || self.ended > 0 {
            write!(f, ", {:?}, {} ended", self.faults, self.ended)?;
        }
        Ok(())
    }
}

/// Measures one subject: fresh server, all subscribers in, warm-up, then the measured part.
///
/// # Errors
/// When a server or a connection fails.
#[expect(clippy::cast_precision_loss, reason = "counts and times of seconds")]
pub fn measure(stand: &Stand, subject: Subject, rate: Rate, settings: &Settings) -> Result<Sample> {
    let (server, url) = match subject {
        Subject::Floor => stand.floor(settings.subscribers, PAYLOAD, rate)?,
        Subject::Plain | Subject::Native => stand.gateway()?,
    };
    let scenario = Scenario::new(&url, settings.subscribers, 1, Doors::One(subject.door()), PAYLOAD);
    let scenario = Arc::new(if subject == Subject::Floor { scenario.listening() } else { scenario });
    let load = Load::open(&scenario, |_| {})?;
    let publisher = if subject == Subject::Floor {
        None
    } else {
        let target = Target::Redis(stand.redis.clone());
        // A little longer than what is measured, so that it ends under load.
        let length = WARM_UP + settings.length + Duration::from_millis(200);
        let settings = publisher::Settings { rate, window: settings.window, length, target };
        Some(Publisher::start(&scenario, &settings, &load.progress, clock::now())?)
    };
    thread::sleep(WARM_UP);
    let start = clock::now();
    load.progress.measure_from(start);
    let (cpu, delivered) = (server.cpu()?, load.progress.delivered());
    clock::sleep_until(start + clock::nanos(settings.length));
    let (cpu, deliveries) =
        (server.cpu()?.saturating_sub(cpu) as f64, load.progress.delivered().saturating_sub(delivered));
    let length = (clock::now() - start) as f64;
    ensure!(deliveries > 0, "{subject:?} delivered nothing");

    let published = publisher.map(Publisher::join).transpose()?.unwrap_or_default();
    load.settle();
    let outcome = load.finish(&published)?;
    Ok(Sample {
        subject,
        deliveries,
        deliveries_per_second: deliveries as f64 / length * 1e9,
        cpu_us: cpu / 1e3 / deliveries as f64,
        cores: cpu / length,
        latency: outcome.tally.latency.percentiles(),
        faults: outcome.faults,
        ended: outcome.tally.ended.values().sum(),
    })
}
