//! The command line: reads what is asked, starts it, and says by its exit code how it went.
//!
//! 0: all well. 1: events were lost, doubled or out of order, a limit of the scenario was missed, or the run failed.
//! 2: usage, or a scenario that cannot be.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tidegate_loadtest::crew::worker;
use tidegate_loadtest::rate::Rate;
use tidegate_loadtest::report::Report;
use tidegate_loadtest::report::compare::Comparison;
use tidegate_loadtest::scenario::library;
use tidegate_loadtest::scenario::plan::Plan;
use tidegate_loadtest::scenario::settings::Settings;
use tidegate_loadtest::vitals::Vitals;
use tidegate_loadtest::{bench, floor, room_floor, run};

/// Load generator for Tidegate.
#[derive(Parser)]
#[command(name = "tidegate-loadtest", version)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One scenario: open connections, publish at a rate, check every delivery.
    Run(Box<Run>),
    /// A part of a run: `run --processes` starts these.
    #[command(hide = true)]
    Worker,
    /// Render a report again from its JSON.
    Report(Again),
    /// Two reports side by side, and what got worse.
    Compare(Compare),
    /// The floor: write one frame to each socket, nothing else.
    Floor(Floor),
    /// The room floor: read a Redis subscription, write to each subscriber of the room.
    RoomFloor(RoomFloor),
    /// Measure the gateway against the floors and peers, and write the figures down.
    Bench(bench::command::Command),
}

#[derive(Args)]
struct Run {
    /// A scenario: a TOML file, or one of fanout, rooms, direct, broadcast-hot, idle, connect-storm, resume-storm,
    /// slow-readers, mixed-chat. Options go before what it says; without one they say all.
    scenario: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
struct Again {
    /// What `run --json` wrote.
    report: PathBuf,
    /// Write it as a page for a browser.
    #[arg(long)]
    html: Option<PathBuf>,
}

#[derive(Args)]
struct Compare {
    /// What `run --json` wrote: how it was.
    a: PathBuf,
    /// The same: how it is.
    b: PathBuf,
    /// How much worse a figure may be, in percent.
    #[arg(long, default_value = "10", value_parser = percent)]
    tolerance: f64,
}

#[derive(Args)]
struct Floor {
    /// Where to listen; port 0 takes a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Events a second to each socket, or `max`.
    #[arg(long, default_value = "20")]
    rate: Rate,
    /// Start to send when so many are connected.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// End after sending so long.
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Hand many sends to the kernel at once, over io_uring.
    #[cfg(feature = "uring")]
    #[arg(long)]
    uring: bool,
}

#[derive(Args)]
struct RoomFloor {
    /// Where to listen; port 0 takes a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// The Redis to subscribe at.
    #[arg(long)]
    redis: String,
    /// Start when so many are connected; nobody is let in later.
    #[arg(long)]
    connections: usize,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    let length = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A day is longer than any scenario, and no sum of times can overflow.
    (length <= Duration::from_secs(86_400)).then_some(length).ok_or_else(|| "at most a day".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().map_err(|error| error.to_string())?;
    (0.0..1e6).contains(&percent).then_some(percent / 100.0).ok_or_else(|| "0 or more".to_owned())
}

fn main() -> ExitCode {
    match Command::parse().what.start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        #[expect(clippy::print_stderr, reason = "the command line's last word")]
        Err(error) => {
            eprintln!("tidegate-loadtest: {error:#}");
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

impl What {
    fn start(self) -> Result<bool> {
        match self {
            Self::Run(run) => run.start(),
            Self::Worker => worker::work().map(|()| true),
            Self::Floor(floor) => floor.start(),
            Self::RoomFloor(RoomFloor { listen, redis, connections }) => {
                room_floor::serve(floor::listen(listen)?, &redis, connections)?;
                Ok(true)
            }
            Self::Report(again) => again.start(),
            Self::Compare(compare) => compare.start(),
            Self::Bench(bench) => bench.start(),
        }
    }
}

impl Run {
    /// What is asked for, complete.
    fn plan(self) -> Result<Plan> {
        let Some(name) = self.scenario else {
            return Ok(Plan::new(self.settings.or(Settings::default()))?);
        };
        let text = match library::find(&name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(&name).with_context(|| {
                format!("{name}: no scenario of that name ({}), and no file", library::names())
            })?,
        };
        let file = Settings::read(&text).with_context(|| name.clone())?;
        Plan::new(self.settings.or(file)).with_context(|| name)
    }

    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    fn start(self) -> Result<bool> {
        let Settings { server_pid, json, html, .. } = self.settings.clone();
        let plan = self.plan().map_err(Usage)?;
        let report = run::run(&plan, Vitals::new(&server_pid)?)?;
        print!("{report}");
        if let Some(path) = json {
            report.write(&path)?;
        }
        if let Some(path) = html {
            report.write_html(&path)?;
        }
        Ok(report.passed())
    }
}

impl Floor {
    fn start(self) -> Result<bool> {
        #[cfg(feature = "uring")]
        let way = if self.uring { floor::Way::Ring } else { floor::Way::Sends };
        #[cfg(not(feature = "uring"))]
        let way = floor::Way::Sends;
        let Self { listen, payload, rate, connections, seconds: length, .. } = self;
        let settings = floor::Settings { payload, rate, connections, length, way };
        floor::serve(&floor::listen(listen)?, settings)?;
        Ok(true)
    }
}

/// What was asked for cannot be.
#[derive(Debug)]
struct Usage(anyhow::Error);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Usage {}

impl Again {
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    fn start(self) -> Result<bool> {
        let report = Report::read(&self.report)?;
        match self.html {
            Some(path) => report.write_html(&path)?,
            None => print!("{report}"),
        }
        Ok(true)
    }
}

impl Compare {
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    #[expect(clippy::print_stderr, reason = "a warning beside the table")]
    fn start(self) -> Result<bool> {
        let comparison = Comparison::new(&Report::read(&self.a)?, &Report::read(&self.b)?, self.tolerance);
        for difference in &comparison.differences {
            eprintln!("the scenarios differ: {difference}");
        }
        print!("{comparison}");
        Ok(!comparison.worse())
    }
}
