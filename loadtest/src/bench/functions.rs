//! Row 12: how many durable events one core of Redis takes. The callers have the other core.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::finding::{Figure, Outcome};
use super::process::{OTHER_CORE, SERVER_CORE, pin};
use super::stand::{Setup, Stand};
use crate::clock;

const CONNECTIONS: u32 = 8;
const PIPELINE: u64 = 64;
const CHANNELS: u64 = 1_000;
const PAYLOAD: usize = 128;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `PUBLISH`, to compare with.
    Publish,
    /// `FCALL tg_publish`.
    Function,
    /// The same with an idempotency key, each its own.
    Keyed,
}

/// Calls for so long.
///
/// # Errors
/// When Redis fails, or refuses a call.
#[expect(clippy::cast_precision_loss, reason = "counts and times of seconds")]
pub fn measure(stand: &Stand, call: Call, length: Duration) -> Result<Outcome> {
    if call != Call::Publish {
        // A node brings the library, with the rules of its namespaces.
        drop(stand.gateway(Setup::History)?);
    }
    // Its memory should not grow from round to round.
    stand.ask(&stand.kept, &["FLUSHALL"])?;
    pin(SERVER_CORE)?;
    let (start, cpu) = (clock::now(), stand.kept_cpu()?);
    let end = start + clock::nanos(length);
    let callers = (0..CONNECTIONS).map(|caller| {
        let url = stand.kept.clone();
        thread::spawn(move || calls(&url, call, caller, end))
    });
    let callers: Vec<_> = callers.collect();
    let counts = callers.into_iter().map(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?);
    let calls = counts.sum::<Result<u64>>();
    let seconds = (clock::now() - start) as f64 / 1e9;
    let cpu = stand.kept_cpu()?.saturating_sub(cpu) as f64 / 1e9;
    pin(OTHER_CORE)?;
    stand.ask(&stand.kept, &["FLUSHALL"])?;
    // A core that is not full says that something else was the limit.
    Ok(Outcome::default().with(Figure::PerSecond, calls? as f64 / seconds).with(Figure::Cores, cpu / seconds))
}

fn calls(url: &str, call: Call, caller: u32, end: u64) -> Result<u64> {
    let mut connection = redis::Client::open(url)?.get_connection().context("connecting to Redis")?;
    let payload = vec![b'x'; PAYLOAD];
    let mut count = 0;
    while clock::now() < end {
        let mut pipeline = redis::pipe();
        for _ in 0..PIPELINE {
            let channel = format!("load:{:04}", (count + u64::from(caller) * 125) % CHANNELS);
            let name = format!("tg:{{{channel}}}");
            if call == Call::Publish {
                pipeline.cmd("PUBLISH").arg(name).arg(&payload).ignore();
            } else {
                let function = pipeline.cmd("FCALL").arg("tg_publish").arg(1).arg(name).arg(&payload);
                if call == Call::Keyed {
                    function.arg("key").arg(format!("{caller}-{count}"));
                }
                function.ignore();
            }
            count += 1;
        }
        pipeline.exec(&mut connection)?;
    }
    Ok(count)
}
