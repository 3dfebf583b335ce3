//! The sections of the settings, with their documentation: the reference page is made of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalars::{count, truth};
use super::{List, Size, Span};

/// Where the node listens and how it behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Addresses of the public port: doors, and on loopback the page. An address family that the
    /// machine lacks is skipped with a line in the log.
    pub listen: List,
    /// Address of the admin port: API, metrics, health. Keep it off the internet.
    pub admin: String,
    /// What the API asks for as `Authorization: Bearer …`, at least 16 bytes. Without one the API is open
    /// to programs of this machine while `admin` is on loopback, and closed otherwise; metrics and health
    /// are always open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_key: Option<String>,
    /// How long a stopping node takes to send its clients elsewhere. Must be shorter than what the
    /// orchestrator waits before it kills.
    pub drain: Span,
    /// Web pages that may connect: exact origins (`https://app.example.com`) or all hosts below one
    /// (`https://*.example.com`). Empty: pages of the gateway's own host, and while listening on
    /// loopback only, pages of this machine.
    pub origins: List,
    /// Serve the page to try at `/`. Default: while listening on loopback only.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "truth")]
    pub page: Option<bool>,
    /// Silence after which the server pings a client, at the latest: the first ping comes up to a fifth
    /// earlier, so that those of clients that came together part.
    pub ping: Span,
    /// How long a client may take to answer a ping, or its kernel to take what was sent.
    pub pong_timeout: Span,
    /// Threads that serve. 0: one for each core.
    #[serde(deserialize_with = "count")]
    pub workers: usize,
    /// Grows when what the namespaces remember (`history` and the times beside it) changes, or `limits.event`: Redis
    /// keeps these rules for all nodes, and of two nodes that differ those of the higher revision hold.
    #[serde(deserialize_with = "count")]
    pub settings_revision: usize,
    /// How the log is written: `text` for people, `json` for machines, `auto`: text on a terminal.
    pub log: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The Redis between the nodes: at most one of `url`, `cluster` and `sentinel`. Without any, one node works
/// alone, from memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSection {
    /// A standalone Redis: `redis://host:6379`, `redis://:password@host:6379/0`, `rediss://…` for
    /// TLS (the system's certificates are trusted, or those in `SSL_CERT_FILE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A Redis Cluster (7.0 or later): the URLs of some of its nodes, from which the others are learnt. User,
    /// password and TLS of the first are used for all. Backends publish with `SPUBLISH`.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub cluster: List,
    /// What stands before the colon of all keys and channels: `tg` gives `tg:{chat:42}`. Lower case
    /// letters, digits and `_`, at most 16, a letter first.
    pub prefix: String,
    /// How long the node waits between two reads of a feed that brings more than two messages in that time:
    /// `1ms` saves wake-ups, and makes each event up to two such times later. `0s`: it reads whenever something
    /// comes. At most `10ms`; not over TLS.
    pub read_pace: Span,
    /// A master with replicas that Sentinels look after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<SentinelSection>,
}

/// A master with replicas that Sentinels look after. The node follows it through failovers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SentinelSection {
    /// The Sentinels: `redis://host:26379`, with their own user and password if they have some. With
    /// `rediss://` the servers are spoken to over TLS, too.
    pub nodes: List,
    /// The name the Sentinels know the master by.
    pub master: String,
    /// The user of the servers themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of the servers themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The database of the servers.
    pub database: u32,
}

/// Who may come in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Clients without a token may come in. Default: while listening on loopback only.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "truth")]
    pub anonymous: Option<bool>,
    /// The secret that tokens are signed with (JWT, HS256), at least 32 bytes. Claims: `exp`
    /// (needed), `sub`, `grants`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac_secret: Option<String>,
}

/// What one connection may hold and send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSettings {
    /// Largest payload of an event. Above: `too_large`; by `PUBLISH`: dropped and counted.
    pub event: Size,
    /// Largest message of a client. Above: close 1009.
    pub message: Size,
    /// Most channels of one connection. Above: `too_many_channels`.
    #[serde(deserialize_with = "count")]
    pub channels: usize,
    /// What may wait for one client, in bytes. Above: close 4100. Two events always fit.
    pub outbox: Size,
    /// What may wait for one client, in events that did not arrive together. Above: close 4100.
    #[serde(deserialize_with = "count")]
    pub outbox_entries: usize,
    /// Most connections of the node; who comes then is answered 503. 0, and at most: as many as the file
    /// limit of the process allows, less a quarter (64 to 576) for Redis and the admin port.
    #[serde(deserialize_with = "count")]
    pub connections: usize,
    /// Most handshakes that are worked on before all else that is ready has its turn, when many come at once; the
    /// others wait. Fewer: events are held up less by a crowd that connects, which takes longer to be in.
    #[serde(deserialize_with = "count")]
    pub handshakes: usize,
    /// What channels of namespaces that are not declared get: the settings of `default`
    /// (`"default"`), or `unknown_channel` (`"refuse"`).
    pub undeclared: Undeclared,
}

/// What channels of undeclared namespaces get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Undeclared {
    /// The settings of `default`.
    Default,
    /// `unknown_channel`.
    Refuse,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: List(vec!["127.0.0.1:8080".into(), "[::1]:8080".into()]),
            admin: "127.0.0.1:8081".into(),
            admin_key: None,
            drain: Span::seconds(20),
            origins: List::default(),
            page: None,
            ping: Span::seconds(25),
            pong_timeout: Span::seconds(10),
            workers: 0,
            settings_revision: 0,
            log: LogFormat::Auto,
        }
    }
}

impl Default for RedisSection {
    fn default() -> Self {
        Self {
            url: None,
            cluster: List::default(),
            prefix: "tg".into(),
            read_pace: Span::millis(0),
            sentinel: None,
        }
    }
}

impl Default for LimitsSettings {
    fn default() -> Self {
        Self {
            event: Size::bytes(256 << 10),
            message: Size::bytes(64 << 10),
            channels: 128,
            outbox: Size::bytes(1 << 20),
            outbox_entries: 1024,
            connections: 0,
            handshakes: 32,
            undeclared: Undeclared::Default,
        }
    }
}
