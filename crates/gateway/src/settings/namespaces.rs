//! The settings of one namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::access::Allow;

use super::Span;
use super::scalars::count;

/// What clients may do in the channels of one namespace, and what these remember. Backends always may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceSettings {
    /// Who may subscribe: `anyone` (the default), `granted` (the token says so), `nobody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Allow>,
    /// Who may publish: `nobody` (the default), `granted`, `anyone`. In `default`, `anyone` while
    /// listening on loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<Allow>,
    /// A text that the plain door sends first, where the first channel is in this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub welcome: Option<String>,
    /// What its channels remember, for clients that were away. Without it events are live only: whoever is not
    /// connected does not get them. `history = {}` takes the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistorySection>,
    /// How long after its last event a channel still knows how far it has come. Not shorter than `history.ttl`, nor
    /// than 15 s: whoever comes back later than this is told that events may be missing.
    pub position_ttl: Span,
    /// How long an idempotency key is remembered; a second publish with it is answered like the first, and
    /// delivered to nobody. Holds without history, too.
    pub dedupe_ttl: Span,
    /// When an event that came over HTTP or from a client counts as published: when the master of Redis has it
    /// (`"master"`), or when a replica has it as well (`"replicated"`). Needs Redis and `history`.
    pub durability: Durability,
}

/// What the channels of a namespace remember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySection {
    /// So many of the last events at least, from 1 to 1000000. In Redis a channel may hold up to a hundred more.
    #[serde(deserialize_with = "count")]
    pub size: usize,
    /// How long after a channel's last event all of them are forgotten; at least 1s.
    pub ttl: Span,
}

/// When an event counts as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Durability {
    /// The master has it.
    Master,
    /// A replica has it, too.
    Replicated,
}

impl Default for NamespaceSettings {
    fn default() -> Self {
        Self {
            subscribe: None,
            publish: None,
            welcome: None,
            history: None,
            position_ttl: Span::seconds(30 * 24 * 60 * 60),
            dedupe_ttl: Span::seconds(5 * 60),
            durability: Durability::Master,
        }
    }
}

impl Default for HistorySection {
    fn default() -> Self {
        Self { size: 1000, ttl: Span::seconds(60 * 60) }
    }
}
