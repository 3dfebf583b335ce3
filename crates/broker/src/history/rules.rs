//! What is remembered, and for how long: the settings of namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::ChannelName;

/// The rules of all namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySettings {
    /// The declared namespaces, by name.
    pub namespaces: BTreeMap<String, HistoryRules>,
    /// Those of all others.
    pub default: HistoryRules,
    /// The largest payload.
    pub max_event_bytes: usize,
    /// Of two nodes whose rules differ, those of the higher revision hold.
    pub revision: u64,
}

/// The rules of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRules {
    /// What its channels remember; `None`: nothing.
    pub history: Option<LogRules>,
    /// How long a channel's position outlives its last event. Longer than its events live.
    pub position_ttl: Duration,
    /// How long a key guards its event.
    pub dedupe_ttl: Duration,
    /// Whether a node that publishes waits until a replica has the event.
    pub replicated: bool,
}

/// Which events a channel remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRules {
    /// At least so many of the last events; Redis keeps some more, which costs it less.
    pub size: u32,
    /// How long after the last event all are forgotten.
    pub ttl: Duration,
}

impl HistorySettings {
    /// The rules of a channel.
    pub fn of(&self, channel: &ChannelName) -> &HistoryRules {
        self.namespaces.get(channel.namespace()).unwrap_or(&self.default)
    }

    /// Whether any channel has a history.
    pub fn is_any(&self) -> bool {
        let mut all = self.namespaces.values().chain([&self.default]);
        all.any(|rules| rules.history.is_some())
    }
}

impl HistoryRules {
    /// How long a channel's position is known: never shorter than its events.
    pub(crate) fn position_ttl(&self) -> Duration {
        self.position_ttl.max(self.history.map_or(Duration::ZERO, |log| log.ttl))
    }
}

impl Default for HistorySettings {
    /// No history, events up to 256 KiB.
    fn default() -> Self {
        Self {
            namespaces: BTreeMap::new(),
            default: HistoryRules::default(),
            max_event_bytes: 256 << 10,
            revision: 0,
        }
    }
}

impl Default for HistoryRules {
    /// No history; positions are known for 30 days, keys for 5 minutes.
    fn default() -> Self {
        Self {
            history: None,
            position_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            dedupe_ttl: Duration::from_secs(5 * 60),
            replicated: false,
        }
    }
}

impl Default for LogRules {
    /// 1000 events, for an hour.
    fn default() -> Self {
        Self { size: 1000, ttl: Duration::from_secs(60 * 60) }
    }
}
