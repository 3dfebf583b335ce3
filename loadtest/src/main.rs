//! The command line: reads what is asked, starts it, and says by its exit code how it went.
//!
//! 0: all well. 1: events were lost, doubled or out of order, or the run failed. 2: usage.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use tidegate_loadtest::door::Doors;
use tidegate_loadtest::outlet::Target;
use tidegate_loadtest::rate::Rate;
use tidegate_loadtest::report::Report;
use tidegate_loadtest::report::compare::Comparison;
use tidegate_loadtest::run::Source;
use tidegate_loadtest::scenario::Scenario;
use tidegate_loadtest::vitals::Vitals;
use tidegate_loadtest::{bench, floor, publisher, room_floor, run};

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
    Run(Run),
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
    /// The gateway.
    #[arg(long, default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// Publish through this Redis.
    #[arg(long, default_value = "redis://127.0.0.1:6379")]
    redis: String,
    /// Publish through this admin port instead (http://…).
    #[arg(long)]
    admin: Option<String>,
    /// Publish nothing: the server sends by itself, as `floor` does.
    #[arg(long, conflicts_with = "admin")]
    listen_only: bool,
    /// Sockets to open.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Channels to spread them over; more than connections: several for each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=999_999))]
    channels: u32,
    /// Events a second in total, or `max`: as fast as deliveries keep up.
    #[arg(long, default_value = "20")]
    rate: Rate,
    /// With `--rate max`: events under way at any time.
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// How long to publish.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// plain, native, native-msgpack, sse or mixed.
    #[arg(long, default_value = "plain")]
    door: Doors,
    /// Bytes of each payload (at least 50).
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// A token for all connections.
    #[arg(long)]
    token: Option<String>,
    /// Receiving threads.
    #[arg(long, default_value_t = 1)]
    receivers: u32,
    /// Watch CPU and memory of this process; several with commas.
    #[arg(long, value_delimiter = ',')]
    server_pid: Vec<u32>,
    /// Write the report here too, for machines.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the report here too, as a page for a browser.
    #[arg(long)]
    html: Option<PathBuf>,
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
            ExitCode::FAILURE
        }
    }
}

impl What {
    fn start(self) -> Result<bool> {
        match self {
            Self::Run(run) => run.start(),
            Self::Floor(Floor { listen, payload, rate, connections, seconds }) => {
                let settings = floor::Settings { payload, rate, connections, length: seconds };
                floor::serve(&floor::listen(listen)?, settings)?;
                Ok(true)
            }
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
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    fn start(self) -> Result<bool> {
        let scenario = Scenario::new(&self.url, self.connections, self.channels, self.door, self.payload);
        let scenario = Scenario { token: self.token, receivers: self.receivers, ..scenario };
        let (scenario, source) = if self.listen_only {
            (scenario.listening(), Source::Server(self.seconds))
        } else {
            let target = self.admin.map_or(Target::Redis(self.redis), Target::Admin);
            let (rate, window, length) = (self.rate, self.window, self.seconds);
            (scenario, Source::Publish(publisher::Settings { rate, window, length, target }))
        };
        let report = run::run(scenario, &source, Vitals::new(&self.server_pid)?)?;
        print!("{report}");
        if let Some(path) = self.json {
            report.write(&path)?;
        }
        if let Some(path) = self.html {
            report.write_html(&path)?;
        }
        Ok(report.passed())
    }
}

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
