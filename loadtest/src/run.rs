//! One scenario from opening the connections to the verdict.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::load::Load;
use crate::progress::Progress;
use crate::publisher::{Publisher, Settings};
use crate::report::Report;
use crate::scenario::Scenario;
use crate::series::Recorder;
use crate::vitals::Vitals;

/// Between the last subscription and the first event.
const PAUSE: Duration = Duration::from_millis(200);

/// What feeds the channels.
#[derive(Clone, Debug)]
pub enum Source {
    /// We publish.
    Publish(Settings),
    /// The server sends by itself; we listen so long.
    Server(Duration),
}

/// Runs a scenario. On a terminal a bar shows how far it is. `server` is watched meanwhile.
///
/// # Errors
/// When connections or publishing fail; lost events are no error but part of the report.
pub fn run(scenario: Scenario, source: &Source, server: Vitals) -> Result<Report> {
    let scenario = Arc::new(scenario);
    let bar = bar(u64::from(scenario.connections), "connecting  {bar:40} {pos}/{len}");
    let progress = Arc::<Progress>::default();
    let mut recorder = Recorder::new(&progress, server)?;
    let opening = clock::now();
    let load = Load::open_watched(&scenario, progress, |open| bar.set_position(open))?;
    let ramp = clock::now() - opening;
    bar.finish_and_clear();

    let start = clock::now() + clock::nanos(PAUSE);
    recorder.start(start);
    let length = match source {
        Source::Publish(settings) => settings.length,
        Source::Server(length) => *length,
    };
    let publisher = match source {
        Source::Publish(settings) => Some(Publisher::start(&scenario, settings, &load.progress, start)?),
        Source::Server(_) => {
            // Events from before all were there would count as late.
            load.progress.measure_from(start);
            None
        }
    };
    let bar = self::bar(clock::nanos(length) / 1_000_000, "{msg}  {bar:40} {elapsed_precise}");
    let end = start + clock::nanos(length);
    while clock::now() < end && !publisher.as_ref().is_some_and(Publisher::is_finished) {
        bar.set_position(clock::now().saturating_sub(start) / 1_000_000);
        bar.set_message(format!("{} delivered", load.progress.delivered()));
        thread::sleep(Duration::from_millis(50).min(Duration::from_nanos(end.saturating_sub(clock::now()))));
    }
    bar.finish_and_clear();
    let published = publisher.map(Publisher::join).transpose()?.unwrap_or_default();
    if !published.is_empty() {
        load.settle();
    }
    let recording = recorder.stop()?;
    let outcome = load.finish(&published)?;
    let (rate, start) = match source {
        Source::Publish(settings) => (settings.rate.to_string(), start),
        Source::Server(_) => ("the server's".to_owned(), outcome.tally.first),
    };
    let series = recording.finish();
    Ok(Report::new(&scenario, rate, (ramp, start), published.iter().sum(), &outcome, series))
}

fn bar(length: u64, template: &str) -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
