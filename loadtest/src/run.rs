//! One scenario from opening the connections to the verdict.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::clock;
use crate::crew::Crew;
use crate::crew::link::Link;
use crate::findings;
use crate::live::Live;
use crate::load::Load;
use crate::progress::Progress;
use crate::publisher::Publisher;
use crate::report::{Report, Times};
use crate::scenario::plan::{Plan, Source};
use crate::series::{Board, Recorder};
use crate::vitals::Vitals;

/// Between the last subscription and the first event.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the stage is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a scenario, and shows on standard error how far it is. `server` is watched meanwhile.
///
/// # Errors
/// When connections or publishing fail; lost events are no error but part of the report.
pub fn run(plan: &Plan, server: Vitals) -> Result<Report> {
    let scenario = Arc::new(plan.scenario.clone());
    let live = Live::new();
    live.stage("connecting", u64::from(scenario.connections));
    let (crew, link) = match plan.processes {
        0 | 1 => (None, Link::Alone),
        several => Crew::start(several).map(|(crew, link)| (Some(crew), link))?,
    };
    let workers = crew.as_ref().map(Crew::vitals).transpose()?.unwrap_or_default();
    let progress = Arc::new(Progress::new(scenario.channels).linked(link, Board::default()));
    let mut recorder = Recorder::new(&progress, server, workers)?;
    let watch = |open, progress: &Progress| live.show(open, progress);
    let load = Load::open_watched(&scenario, Arc::clone(&progress), crew, watch)?;

    let mut start = clock::now() + clock::nanos(PAUSE);
    let publish = match &plan.source {
        Source::Publish(settings) => {
            progress.measure_from(start + clock::nanos(plan.warm_up));
            Some(settings)
        }
        Source::Hold(length, settings) => {
            wait(&live, "holding", (start, *length), &load, || false);
            start = clock::now() + clock::nanos(PAUSE);
            progress.measure_from(start);
            Some(settings)
        }
        Source::Server(_) => {
            // Events from before all were there would count as late.
            progress.measure_from(start);
            None
        }
    };
    recorder.start(start);
    let publisher =
        publish.map(|settings| Publisher::start(&scenario, settings, &progress, start)).transpose()?;
    progress.begin(start);
    let length = publish.map_or(plan.length(), |settings| settings.length);
    let finished = || publisher.as_ref().is_some_and(Publisher::is_finished);
    let stage = if publisher.is_some() { "publishing" } else { "listening" };
    wait(&live, stage, (start, length), &load, finished);
    if load.broken() {
        // What is published from here on nobody checks.
        return Err(load.failure());
    }
    let published = publisher.map(Publisher::join).transpose()?.unwrap_or_default();
    if !published.is_empty() {
        load.settle();
    }
    live.end();
    let recording = recorder.stop()?;
    let ramp = load.ramp();
    let outcome = load.finish(&published)?;
    let (rate, start) = match publish {
        Some(settings) => (settings.rate.to_string(), start),
        None => ("the server's".to_owned(), outcome.tally.first),
    };
    let series = recording.finish();
    let times = Times { ramp, start, measured_from: progress.measured_from() };
    let mut report = Report::new(&scenario, rate, times, published.iter().sum(), &outcome, series);
    report.scenario.name.clone_from(&plan.name);
    report.scenario.processes = plan.processes;
    let report = report.with_figures(findings::figures(plan, (ramp, progress.failures()), &outcome.tally));
    let demands = findings::demands(plan, &report);
    Ok(report.with_thresholds(demands))
}

/// Shows a stage until it is over, or done earlier.
fn wait(
    live: &Live,
    stage: &'static str,
    (start, length): (u64, Duration),
    load: &Load,
    done: impl Fn() -> bool,
) {
    live.stage(stage, clock::nanos(length) / 1_000_000);
    let end = start + clock::nanos(length);
    while clock::now() < end && !done() && !load.broken() {
        live.show(clock::now().saturating_sub(start) / 1_000_000, &load.progress);
        thread::sleep(LOOK.min(Duration::from_nanos(end.saturating_sub(clock::now()))));
    }
}
