//! From what was written to what the node is built of; contradictions end here.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tidegate_broker::{HistorySettings, RedisSettings, SentinelTopology, Topology};
use tidegate_core::access::{Access, Allow, Authoriser, Hs256, Namespaces, Rules};
use tidegate_core::{Limits, OutboxLimits, namespace_is_valid};

use super::{LimitsSettings, NamespaceSettings, Settings, Undeclared};
use crate::front::Origins;
use crate::node::ApiKey;

/// Descriptors kept for what is no connection of a client: a quarter of the file limit, but at least and at
/// most so many. Clients may take all others; Redis, the admin port and the log go on.
const KEPT_FILES: (usize, usize) = (64, 576);
/// Of these, what the node itself may need: listeners, Redis with its pool, refusals under way, the log.
const OWN_FILES: usize = 48;
/// The longest pace of reading: later, a full socket buffer would slow Redis down.
const LONGEST_PACE: Duration = Duration::from_millis(10);
/// Most connections of the admin port.
const ADMIN_CONNECTIONS: usize = 512;

/// More handshakes in one turn are no bound.
const MOST_HANDSHAKES: usize = 65_536;

/// The shortest key of the API, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// A setting that cannot be. The message names it, the limit and the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub(super) String);

/// Settings that are known to be sound.
pub(crate) struct Checked {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) api: ApiKey,
    pub(crate) page: bool,
    pub(crate) origins: Origins,
    pub(crate) ping: Duration,
    pub(crate) pong: Duration,
    pub(crate) drain: Duration,
    pub(crate) workers: usize,
    pub(crate) connections: usize,
    pub(crate) handshakes: usize,
    /// Of the admin port.
    pub(crate) admin_connections: usize,
    pub(crate) redis: Option<RedisSettings>,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) outbox: OutboxLimits,
    pub(crate) history: HistorySettings,
}

impl Settings {
    /// Checks what `serve` would check, and nothing else: reads no file and opens no socket.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be.
    pub fn verify(&self) -> Result<(), SettingsError> {
        self.check().map(drop)
    }

    pub(crate) fn check(&self) -> Result<Checked, SettingsError> {
        let mut listen = Vec::new();
        for text in &self.server.listen.0 {
            listen.extend(addresses("server.listen", text)?);
        }
        if listen.is_empty() {
            return error("server.listen is empty: at least one address is needed");
        }
        let admin = *addresses("server.admin", &self.server.admin)?.first().ok_or_else(|| {
            SettingsError(format!("server.admin: {:?} is no address of this machine", self.server.admin))
        })?;
        let loopback = listen.iter().all(|address| address.ip().is_loopback());
        let origins = Origins::new(&self.server.origins.0, loopback)
            .map_err(|e| SettingsError(format!("server.origins: {e}")))?;
        for (name, span) in [
            ("server.ping", self.server.ping),
            ("server.pong_timeout", self.server.pong_timeout),
            ("server.drain", self.server.drain),
        ] {
            if span.get() < Duration::from_secs(1) || span.get() > Duration::from_secs(3600) {
                return error(format!("{name} must be between 1s and 1h, not {span}"));
            }
        }
        let workers = match self.server.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n if n <= 1024 => n,
            n => return error(format!("server.workers must be at most 1024, not {n}")),
        };
        let files = file_limit();
        let limits = self.limits.limits()?;
        Ok(Checked {
            admin,
            api: self.api(admin)?,
            page: self.server.page.unwrap_or(loopback),
            origins,
            ping: self.server.ping.get(),
            pong: self.server.pong_timeout.get(),
            drain: self.server.drain.get(),
            workers,
            connections: self.limits.connections(files),
            handshakes: self.limits.handshakes,
            admin_connections: (kept_files(files) - OWN_FILES).min(ADMIN_CONNECTIONS),
            redis: self.redis()?,
            access: self.access(loopback)?,
            history: self.memories(limits.event_bytes)?,
            limits,
            outbox: OutboxLimits { entries: self.limits.outbox_entries, bytes: self.limits.outbox.get() },
            listen,
        })
    }

    fn api(&self, admin: SocketAddr) -> Result<ApiKey, SettingsError> {
        match &self.server.admin_key {
            Some(key) if key.len() < MIN_KEY_BYTES => error(format!(
                "server.admin_key must have at least {MIN_KEY_BYTES} bytes, this one has {}",
                key.len()
            )),
            Some(key) => Ok(ApiKey::Needed(key.clone())),
            None if admin.ip().is_loopback() => Ok(ApiKey::Open),
            None => Ok(ApiKey::Closed),
        }
    }

    fn redis(&self) -> Result<Option<RedisSettings>, SettingsError> {
        let redis = &self.redis;
        let topology = match (&redis.url, &redis.cluster.0[..], &redis.sentinel) {
            (None, [], None) => return Ok(None),
            (Some(url), [], None) => Topology::Standalone(url.clone()),
            (None, nodes @ [_, ..], None) => Topology::Cluster(nodes.to_vec()),
            (None, [], Some(sentinel)) => Topology::Sentinel(SentinelTopology {
                nodes: sentinel.nodes.0.clone(),
                master: sentinel.master.clone(),
                username: sentinel.username.clone(),
                password: sentinel.password.clone(),
                database: sentinel.database.into(),
            }),
            (url, nodes, sentinel) => {
                let given = [
                    ("redis.url", url.is_some()),
                    ("redis.cluster", !nodes.is_empty()),
                    ("redis.sentinel", sentinel.is_some()),
                ];
                let given: Vec<_> =
                    given.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key).collect();
                return error(format!("{} are given: only one of them can be", given.join(" and ")));
            }
        };
        let prefix = redis.prefix.clone().try_into();
        let prefix = prefix.map_err(|e| SettingsError(format!("redis.prefix: {e}")))?;
        let mut settings = RedisSettings { prefix, canary: !self.naive.no_canary, ..topology.into() };
        settings.patience.pace = self.pace(&settings.topology)?;
        settings.check().map_err(|e| SettingsError(e.to_string()))?;
        Ok(Some(settings))
    }

    fn pace(&self, topology: &Topology) -> Result<Option<Duration>, SettingsError> {
        let pace = self.redis.read_pace.get();
        if pace > LONGEST_PACE {
            return error(format!("redis.read_pace: {pace:?} is more than {LONGEST_PACE:?}"));
        }
        if !pace.is_zero() && topology.uses_tls() {
            return error("redis.read_pace: only redis:// can be read at a pace, and rediss:// is given");
        }
        Ok((!pace.is_zero()).then_some(pace))
    }

    fn access(&self, loopback: bool) -> Result<Access, SettingsError> {
        let mut authorisers = Vec::new();
        if let Some(secret) = &self.auth.hmac_secret {
            let key = Hs256::new(secret).map_err(|e| SettingsError(e.to_string()))?;
            authorisers.push(Authoriser::Hs256(Box::new(key)));
        }
        if self.auth.anonymous.unwrap_or(loopback) {
            authorisers.push(Authoriser::Anonymous);
        }
        if authorisers.is_empty() {
            return error(
                "nobody could come in: set auth.hmac_secret, or auth.anonymous = true \
                 (it is on by itself only while server.listen is on loopback)",
            );
        }
        let mut namespaces = Namespaces {
            default: rules(&NamespaceSettings::default(), loopback),
            refuse_undeclared: self.limits.undeclared == Undeclared::Refuse,
            ..Namespaces::default()
        };
        for (name, settings) in &self.namespaces {
            if !namespace_is_valid(name) {
                return error(format!("namespaces.{name}: no channel can have this namespace"));
            }
            if name == "default" {
                namespaces.default = rules(settings, loopback);
            } else {
                namespaces.declared.insert(name.clone(), rules(settings, false));
            }
        }
        Ok(Access::new(authorisers, namespaces))
    }
}

impl LimitsSettings {
    fn limits(&self) -> Result<Limits, SettingsError> {
        for (name, size, most) in [("event", self.event, 64 << 20), ("message", self.message, 64 << 20)] {
            if size.get() == 0 || size.get() > most {
                return error(format!("limits.{name} must be between 1B and 64MiB, not {size}"));
            }
        }
        for (name, given, least) in
            [("channels", self.channels, 1), ("outbox_entries", self.outbox_entries, 2)]
        {
            if given < least {
                return error(format!("limits.{name} must be at least {least}, not {given}"));
            }
        }
        if self.handshakes == 0 || self.handshakes > MOST_HANDSHAKES {
            return error(format!(
                "limits.handshakes must be between 1 and {MOST_HANDSHAKES}, not {}",
                self.handshakes
            ));
        }
        Ok(Limits {
            event_bytes: self.event.get(),
            message_bytes: self.message.get(),
            channels: self.channels,
            ..Limits::default()
        })
    }

    /// Most connections: what is set, but never more than descriptors are left for clients.
    fn connections(&self, files: usize) -> usize {
        let room = files.saturating_sub(kept_files(files)).clamp(1, usize::MAX >> 4); // more than a semaphore counts
        if self.connections > 0 { self.connections.min(room) } else { room }
    }
}

/// The file limit of this process.
fn file_limit() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// How many descriptors are not for clients.
fn kept_files(files: usize) -> usize {
    (files / 4).clamp(KEPT_FILES.0, KEPT_FILES.1)
}

fn rules(settings: &NamespaceSettings, open: bool) -> Rules {
    let publish = if open { Allow::Anyone } else { Allow::Nobody };
    Rules {
        subscribe: settings.subscribe.unwrap_or(Allow::Anyone),
        publish: settings.publish.unwrap_or(publish),
        welcome: settings.welcome.clone(),
    }
}

fn addresses(name: &str, text: &str) -> Result<Vec<SocketAddr>, SettingsError> {
    let found = text.to_socket_addrs();
    found
        .map(Iterator::collect)
        .map_err(|e| SettingsError(format!("{name}: {text:?} is no address such as 127.0.0.1:8080: {e}")))
}

pub(super) fn error<T>(message: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError(message.into()))
}
