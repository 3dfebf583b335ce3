//! What a scenario's file and the flags of `run` may say: one list of fields for both, nothing filled in.
//!
//! Flags go before the file, the file before the defaults, which `check` knows. Unknown fields are errors.
//! Names of what comes later are reserved: `tls` (its own certificate authority), `presence` (who joins is announced).

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Deserializer};

use super::later::Later;
use super::length::Length;
use super::thresholds::Thresholds;
use super::via::Via;
use crate::door::Doors;
use crate::plant::Plant;
use crate::rate::Rate;

/// A scenario as somebody wrote it down.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Stands in the report.
    #[arg(skip)]
    pub name: Option<String>,
    /// What it shows, in a sentence.
    #[arg(skip)]
    pub about: Option<String>,
    /// The gateway; several with commas share the connections [default: ws://127.0.0.1:8080].
    #[arg(long)]
    pub url: Option<String>,
    /// The Redis for `publish` and `fcall` [default: redis://127.0.0.1:6379].
    #[arg(long)]
    pub redis: Option<String>,
    /// The admin port for `http` [default: http://127.0.0.1:8081]; as a flag it also means `--publisher http`.
    #[arg(long)]
    pub admin: Option<String>,
    /// Who publishes: publish, fcall, http, client [default: publish].
    #[arg(long)]
    #[serde(deserialize_with = "said")]
    pub publisher: Option<Via>,
    /// Publish nothing: the server sends by itself, as `floor` does.
    #[arg(long, conflicts_with_all = ["admin", "publisher"])]
    #[serde(skip)]
    pub listen_only: bool,
    /// Sockets to open [default: 100].
    #[arg(long)]
    pub connections: Option<u32>,
    /// Channels to spread them over; more than connections: several for each [default: 1].
    #[arg(long)]
    pub channels: Option<u32>,
    /// So many channels for each connection.
    #[arg(long)]
    pub channels_per_connection: Option<u32>,
    /// The channels' namespace [default: load].
    #[arg(long)]
    pub namespace: Option<String>,
    /// Events a second in total, or `max`: as fast as deliveries keep up [default: 20].
    #[arg(long)]
    #[serde(deserialize_with = "said")]
    pub rate: Option<Rate>,
    /// With `--rate max`: events under way at any time [default: 32].
    #[arg(long)]
    pub window: Option<u32>,
    /// How long to publish, after the warm-up [default: 10].
    #[arg(long)]
    #[serde(deserialize_with = "said")]
    pub seconds: Option<Length>,
    /// Published and checked before that, not part of the latencies [default: 0].
    #[arg(long)]
    #[serde(deserialize_with = "said")]
    pub warm_up: Option<Length>,
    /// Connections to open a second [default: as fast as they come in].
    #[arg(long)]
    pub ramp_up: Option<f64>,
    /// Connections that may be opening at once, in each receiving thread [default: 128].
    #[arg(long)]
    pub opening: Option<u32>,
    /// plain, native, native-msgpack, sse, mixed (all four), resumable (those with positions) [default: plain].
    #[arg(long = "door", alias = "doors")]
    #[serde(deserialize_with = "said")]
    pub doors: Option<Doors>,
    /// Bytes of each payload, at least 50 [default: 128].
    #[arg(long)]
    pub payload: Option<usize>,
    /// A token for all connections.
    #[arg(long)]
    pub token: Option<String>,
    /// Receiving threads of each process [default: 1].
    #[arg(long)]
    pub receivers: Option<u32>,
    /// Processes that share the connections, each with its own open files [default: 1].
    #[arg(long)]
    pub processes: Option<u32>,
    /// Addresses to connect from, in turn: each has about 28,000 ports. Loopback has all of 127.0.0.0/8.
    #[arg(long, value_delimiter = ',')]
    pub sources: Option<Vec<IpAddr>>,
    /// Only hold the connections for `seconds`, then publish one event into each channel.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub hold: Option<bool>,
    /// The share of the connections that reads slowly, 0 to 1 [default: 0].
    #[arg(long)]
    pub slow: Option<f64>,
    /// Bytes a second that a slow connection reads [default: 0, nothing].
    #[arg(long)]
    pub slow_bytes: Option<u32>,
    /// So many connections a second leave and join another channel [default: 0].
    #[arg(long)]
    pub churn: Option<f64>,
    /// So often all connections drop at once and come back with their positions [default: 0].
    #[arg(long)]
    pub storms: Option<u32>,
    /// How long they stay away [default: 1].
    #[arg(long)]
    #[serde(deserialize_with = "said")]
    pub away: Option<Length>,
    /// Comes later.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    pub tls: Option<Later>,
    /// Comes later.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    pub presence: Option<Later>,
    /// What must hold; checked at the end.
    #[arg(skip)]
    pub thresholds: Thresholds,
    /// For tests: the publisher loses, doubles or swaps events, which must fail the run.
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub plant: Option<Plant>,
    /// Watch CPU and memory of this process; several with commas.
    #[arg(long, value_delimiter = ',')]
    #[serde(skip)]
    pub server_pid: Vec<u32>,
    /// Write the report here too, for machines.
    #[arg(long)]
    #[serde(skip)]
    pub json: Option<PathBuf>,
    /// Write the report here too, as a page for a browser.
    #[arg(long)]
    #[serde(skip)]
    pub html: Option<PathBuf>,
}

impl Settings {
    /// Reads a scenario's file.
    ///
    /// # Errors
    /// When it is no TOML, a field is unknown, or a value of the wrong kind; the message shows the line.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// These, with those of `file` where nothing is said.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            name: self.name.or(file.name),
            about: self.about.or(file.about),
            url: self.url.or(file.url),
            redis: self.redis.or(file.redis),
            // Who names an admin port on the command line wants it to be used.
            publisher: self.publisher.or(self.admin.is_some().then_some(Via::Http)).or(file.publisher),
            admin: self.admin.or(file.admin),
            listen_only: self.listen_only || file.listen_only,
            connections: self.connections.or(file.connections),
            channels: self.channels.or(file.channels),
            channels_per_connection: self.channels_per_connection.or(file.channels_per_connection),
            namespace: self.namespace.or(file.namespace),
            rate: self.rate.or(file.rate),
            window: self.window.or(file.window),
            seconds: self.seconds.or(file.seconds),
            warm_up: self.warm_up.or(file.warm_up),
            ramp_up: self.ramp_up.or(file.ramp_up),
            opening: self.opening.or(file.opening),
            doors: self.doors.or(file.doors),
            payload: self.payload.or(file.payload),
            token: self.token.or(file.token),
            receivers: self.receivers.or(file.receivers),
            processes: self.processes.or(file.processes),
            sources: self.sources.or(file.sources),
            tls: self.tls.or(file.tls),
            presence: self.presence.or(file.presence),
            hold: self.hold.or(file.hold),
            slow: self.slow.or(file.slow),
            slow_bytes: self.slow_bytes.or(file.slow_bytes),
            churn: self.churn.or(file.churn),
            storms: self.storms.or(file.storms),
            away: self.away.or(file.away),
            thresholds: file.thresholds,
            plant: self.plant.or(file.plant),
            server_pid: if self.server_pid.is_empty() { file.server_pid } else { self.server_pid },
            json: self.json.or(file.json),
            html: self.html.or(file.html),
        }
    }
}

/// A number or a text, understood as the flag of the same name understands it.
pub(super) fn said<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number or a text")]
    enum Said {
        Whole(i64),
        Number(f64),
        Text(String),
    }
    let text = match Said::deserialize(deserializer)? {
        Said::Whole(number) => number.to_string(),
        Said::Number(number) => number.to_string(),
        Said::Text(text) => text,
    };
    text.parse().map(Some).map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file() {
        let file =
            Settings::read("connections = 5\nrate = 'max'\nseconds = 2.5\npublisher = 'fcall'").unwrap();
        let flags = Settings { connections: Some(7), ..Settings::default() };
        let both = flags.or(file.clone());
        assert_eq!((both.connections, both.rate), (Some(7), Some(Rate::Max)));
        assert_eq!(both.publisher, Some(Via::Fcall));
        let flags = Settings { admin: Some("http://h:1".to_owned()), ..Settings::default() };
        assert_eq!(flags.or(file).publisher, Some(Via::Http));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_shown_with_its_line() {
        for (text, words) in [
            ("conections = 5", "unknown field `conections`"),
            ("\nconnections = -1", "line 2"),
            ("rate = 0", "a rate is a number above 0"),
            ("doors = 'ws'", "\"ws\": doors are"),
            ("[thresholds]\np98 = '5ms'", "unknown field `p98`"),
            ("[thresholds]\np99 = '5 parsecs'", "a length of time"),
            ("sources = ['here']", "sources"),
            ("publisher = 'pigeon'", "publish, fcall, http"),
            ("\ntls = true", "line 2"),
            ("tls = true", "`tls` and `presence` come with a later version"),
            ("[presence]\nmembers = 5", "come with a later version"),
        ] {
            let error = Settings::read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
