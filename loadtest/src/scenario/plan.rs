//! A scenario that is complete and sound: what `run` does, in which order, and what must come out.
//!
//! Settings come in; here are the defaults, and a sentence for each value that cannot be: field, value, limit.

use std::fmt::{self, Display};
use std::time::Duration;

use super::settings::Settings;
use super::thresholds::Thresholds;
use super::via::Via;
use super::{Scenario, Slow};
use crate::clock;
use crate::door::{Door, Doors};
use crate::http::host_of;
use crate::outlet::Target;
use crate::publisher;
use crate::rate::Rate;
use crate::stamp;

/// Connections of one run, all processes together.
const CONNECTIONS: u32 = 2_000_000;
/// Fixed-width names number them.
const CHANNELS: u32 = 999_999;
/// What a node lets a connection have by default, doubled a few times.
const PER_CONNECTION: u32 = 1_024;
/// Each is a thread of the main process too.
const PROCESSES: u32 = 64;
/// The largest event that a node takes by default.
const PAYLOAD: usize = 256 * 1024;
/// Ports of one source address towards one server (`ip_local_port_range`).
const PORTS: u32 = 28_000;
/// In a held run the last events are spread over this.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What feeds the channels.
#[derive(Clone, Debug)]
pub enum Source {
    /// We publish.
    Publish(publisher::Settings),
    /// We hold the connections so long, then publish.
    Hold(Duration, publisher::Settings),
    /// The server sends by itself; we listen so long.
    Server(Duration),
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For the report, if it has one.
    pub name: Option<String>,
    /// What is opened.
    pub scenario: Scenario,
    /// What is published.
    pub source: Source,
    /// Processes that share the connections.
    pub processes: u32,
    /// Not part of the latencies.
    pub warm_up: Duration,
    /// What must come out.
    pub thresholds: Thresholds,
}

/// A value that cannot be: which, and what could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound(String);

impl Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsound {}

impl Plan {
    /// Fills in the defaults and checks all of it.
    ///
    /// # Errors
    /// Names the first field that cannot be, its value and its limit.
    pub fn new(settings: Settings) -> Result<Self, Unsound> {
        let connections = within("connections", settings.connections.unwrap_or(100), 1, CONNECTIONS)?;
        let channels = within("channels", settings.channels.unwrap_or(1), 1, CHANNELS)?;
        let rate = settings.rate.unwrap_or(Rate::PerSecond(20.0));
        let doors = settings.doors.unwrap_or(Doors::One(Door::Plain));
        let payload = within("payload", settings.payload.unwrap_or(128), stamp::SMALLEST, PAYLOAD)?;
        let processes = within("processes", settings.processes.unwrap_or(1), 1, PROCESSES)?;
        demand(processes <= connections, || {
            format!("processes = {processes}: at most one for each of {connections} connections")
        })?;
        let storms = within("storms", settings.storms.unwrap_or(0), 0, 100)?;
        let churn = within("churn", settings.churn.unwrap_or(0.0), 0.0, 100_000.0)?;
        let share = within("slow", settings.slow.unwrap_or(0.0), 0.0, 0.9)?;
        let sources = settings.sources.unwrap_or_default();
        let room = u32::try_from(sources.len().max(1)).unwrap_or(1).saturating_mul(PORTS);
        demand(connections <= room, || {
            format!(
                "connections = {connections}: at most {room} from {} source addresses, which have about {PORTS} \
                 ports each; name more `sources`",
                sources.len().max(1)
            )
        })?;
        if let Some(each) = settings.channels_per_connection {
            within("channels_per_connection", each, 1, PER_CONNECTION.min(channels))?;
        }
        demand(storms == 0 || doors.resumable(), || {
            format!(
                "storms = {storms}: door = \"{doors}\" has no positions; native, native-msgpack, sse, resumable have"
            )
        })?;
        demand(rate != Rate::Max || (storms == 0 && churn == 0.0 && share == 0.0), || {
            "rate = \"max\": goes by deliveries, so all must stay and read; not with slow, churn or storms"
                .to_owned()
        })?;
        let namespace = settings.namespace.unwrap_or_else(|| "load".to_owned());
        demand(
            (1..=64).contains(&namespace.len())
                && namespace.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            || format!("namespace = {namespace:?}: 1 to 64 letters, digits, `-`, `_` and `.`"),
        )?;
        let thresholds = settings.thresholds;
        for (name, limit) in
            [("lost", thresholds.lost), ("twice", thresholds.twice), ("reordered", thresholds.reordered)]
        {
            demand(limit.unwrap_or(0) == 0, || {
                format!("thresholds.{name} = {}: only 0; any fails a run", limit.unwrap_or(0))
            })?;
        }

        let length = settings.seconds.map_or(Duration::from_secs(10), |length| length.0);
        let warm_up = settings.warm_up.unwrap_or_default().0;
        let url = settings.url.unwrap_or_else(|| "ws://127.0.0.1:8080".to_owned());
        url.split(',').try_for_each(|url| spoken("url", url, &["ws", "http"]))?;
        let redis = settings.redis.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
        let target = match settings.publisher.unwrap_or_default() {
            Via::Publish => Target::Redis(redis),
            Via::Fcall => Target::Function(redis),
            Via::Http => {
                let admin = settings.admin.unwrap_or_else(|| "http://127.0.0.1:8081".to_owned());
                spoken("admin", &admin, &["http"])?;
                Target::Admin(admin)
            }
            Via::Client => Target::Client {
                url: url.split(',').next().unwrap_or(&url).to_owned(),
                token: settings.token.clone(),
            },
        };
        let window = within("window", settings.window.unwrap_or(32), 1, 1_000_000)?;
        let publish = publisher::Settings { rate, window, length: warm_up + length, target };
        let scenario = Scenario {
            namespace,
            token: settings.token,
            receivers: within("receivers", settings.receivers.unwrap_or(1), 1, 64)?,
            per_connection: settings.channels_per_connection,
            sources,
            ramp_up: settings.ramp_up.map(|rate| within("ramp_up", rate, 1.0, 1e6)).transpose()?,
            opening: within("opening", settings.opening.unwrap_or(128), 1, 4_096)?,
            slow: (share > 0.0).then_some(Slow { share, bytes: settings.slow_bytes.unwrap_or(0) }),
            churn,
            storms,
            away: settings.away.map_or(1_000_000_000, |away| clock::nanos(away.0)),
            length: clock::nanos(warm_up + length),
            plant: settings.plant,
            ..Scenario::new(&url, connections, channels, doors, payload)
        };
        let hold = settings.hold.unwrap_or(false);
        let source = if settings.listen_only {
            Source::Server(length)
        } else if hold {
            let rate = Rate::PerSecond(f64::from(channels) / LAST_WORDS.as_secs_f64());
            Source::Hold(length, publisher::Settings { rate, length: LAST_WORDS, ..publish })
        } else {
            Source::Publish(publish)
        };
        Ok(Self {
            name: settings.name,
            scenario: if settings.listen_only { scenario.listening() } else { scenario },
            source,
            processes,
            warm_up,
            thresholds,
        })
    }

    /// From the first event to the last, as planned.
    #[must_use]
    pub fn length(&self) -> Duration {
        match &self.source {
            Source::Publish(settings) => settings.length,
            Source::Hold(length, settings) => *length + settings.length,
            Source::Server(length) => *length,
        }
    }
}

fn within<T: PartialOrd + Display>(name: &str, value: T, least: T, most: T) -> Result<T, Unsound> {
    // NaN is within nothing.
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(Unsound(format!("{name} = {value}: at least {least}, at most {most}")))
}

/// Whether we can speak to what a URL names.
fn spoken(name: &str, url: &str, schemes: &[&str]) -> Result<(), Unsound> {
    host_of(url, schemes).map(drop).map_err(|error| Unsound(format!("{name} = {error}")))
}

fn demand(holds: bool, else_say: impl FnOnce() -> String) -> Result<(), Unsound> {
    if holds { Ok(()) } else { Err(Unsound(else_say())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Plan::new(Settings::read(text).unwrap()) {
            Ok(_) => panic!("{text} is taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_cannot_be_is_named_with_its_value_and_its_limit() {
        for (text, words) in [
            ("connections = 0", "connections = 0: at least 1, at most 2000000"),
            ("connections = 60000", "connections = 60000: at most 28000"),
            ("channels = 1000000", "channels = 1000000: at least 1, at most 999999"),
            ("processes = 65", "processes = 65: at least 1, at most 64"),
            ("connections = 2\nprocesses = 3", "processes = 3: at most one for each of 2 connections"),
            ("payload = 10", "payload = 10: at least 50"),
            (
                "channels = 3\nchannels_per_connection = 4",
                "channels_per_connection = 4: at least 1, at most 3",
            ),
            ("slow = 1.5", "slow = 1.5: at least 0, at most 0.9"),
            ("ramp_up = nan", "ramp_up = NaN"),
            ("storms = 1\ndoors = 'mixed'", "storms = 1: door = \"mixed\" has no positions"),
            ("rate = 'max'\nchurn = 5", "rate = \"max\""),
            ("namespace = 'a:b'", "namespace = \"a:b\""),
            ("[thresholds]\nlost = 3", "thresholds.lost = 3: only 0"),
            ("url = 'wss://h:1'", "url = wss://h:1: TLS comes with a later version; ws:// and http:// works"),
            ("url = 'ws://h:1,h:2'", "url = h:2 is no URL"),
            (
                "publisher = 'http'\nadmin = 'https://h:1'",
                "admin = https://h:1: TLS comes with a later version",
            ),
            ("publisher = 'http'\nadmin = 'ws://h:1'", "admin = ws://h:1: only http:// works"),
        ] {
            let error = refusal(text);
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_said_is_what_run_always_did() {
        let plan = Plan::new(Settings::default()).unwrap();
        let scenario = &plan.scenario;
        assert_eq!((scenario.connections, scenario.channels, scenario.payload), (100, 1, 128));
        let Source::Publish(publish) = &plan.source else { panic!("{:?}", plan.source) };
        assert_eq!((publish.rate, publish.length), (Rate::PerSecond(20.0), Duration::from_secs(10)));
        assert!(matches!(&publish.target, Target::Redis(url) if url == "redis://127.0.0.1:6379"));
    }

    #[test]
    fn several_sources_have_room_for_more() {
        let plan = Settings::read("connections = 50000\nsources = ['127.0.0.2', '127.0.0.3']").unwrap();
        assert!(Plan::new(plan).is_ok());
    }
}
