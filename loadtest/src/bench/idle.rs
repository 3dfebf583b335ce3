//! Rows 6 and 7: connections that only hold one subscription and answer pings.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Subject;
use super::stand::Stand;
use crate::clock;
use crate::door::Doors;
use crate::load::Load;
use crate::scenario::Scenario;

/// After opening, until buffers have settled.
const SETTLE: Duration = Duration::from_secs(5);
/// One interval of pings.
const INTERVAL: Duration = Duration::from_secs(25);

/// What resting connections cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rest {
    /// The door.
    pub subject: Subject,
    /// How many.
    pub connections: u32,
    /// Resident memory of each, in bytes: what the process has more than before.
    pub bytes: f64,
    /// CPU time of each for a second, in microseconds.
    pub cpu_us_per_second: f64,
    /// Microseconds of CPU to connect and subscribe one.
    pub open_cpu_us: f64,
    /// Connections that the server ended.
    pub ended: u64,
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, connections, bytes, cpu_us_per_second, open_cpu_us, ended } = self;
        write!(
            f,
            "{subject:?}: {connections} connections, {bytes:.0} bytes and {cpu_us_per_second:.2} µs/s each, \
             opened for {open_cpu_us:.0} µs, {ended} ended"
        )
    }
}

/// Opens `connections` on one channel of a fresh gateway and lets them rest.
///
/// # Errors
/// When the gateway or a connection fails.
#[expect(clippy::cast_precision_loss, reason = "bytes and times")]
pub fn measure(stand: &Stand, subject: Subject, connections: u32) -> Result<Rest> {
    let (server, url) = stand.gateway()?;
    let (memory, opening) = (server.memory()?, server.cpu()?);
    let scenario = Arc::new(Scenario::new(&url, connections, 1, Doors::One(subject.door()), 128));
    let load = Load::open(&scenario, |_| {})?;
    let each = |sum: u64| sum as f64 / f64::from(connections);
    let opened = each(server.cpu()?.saturating_sub(opening)) / 1e3;
    thread::sleep(SETTLE);
    let (start, resting) = (clock::now(), server.cpu()?);
    thread::sleep(INTERVAL);
    let cpu = each(server.cpu()?.saturating_sub(resting)) / 1e3;
    let seconds = (clock::now() - start) as f64 / 1e9;
    let bytes = each(server.memory()?.saturating_sub(memory));
    let ended = load.finish(&[0])?.tally.ended.values().sum();
    Ok(Rest { subject, connections, bytes, cpu_us_per_second: cpu / seconds, open_cpu_us: opened, ended })
}
