//! What an operator can set: one struct, one file that reads the world, one page of reference.
//!
//! Values come from TOML, then the environment, then flags. Checking turns them into what the node
//! is built of; nothing behind it looks at settings again.

mod check;
mod list;
mod load;
mod memories;
mod namespaces;
mod reference;
mod scalars;
mod schema;
mod sections;
mod units;
mod unknown;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::SettingsError;
pub use list::List;
pub use load::{LoadError, Sources};
pub use namespaces::{Durability, HistorySection, NamespaceSettings};
pub use reference::reference;
pub use sections::{
    AuthSettings, LimitsSettings, LogFormat, RedisSection, SentinelSection, ServerSettings, Undeclared,
};
pub use units::{Size, Span};

/// All settings of a node. Every field has a default: an empty file is a valid one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the node listens and how it behaves.
    pub server: ServerSettings,
    /// The broker. Without a URL the node works alone, from memory.
    pub redis: RedisSection,
    /// Who may come in.
    pub auth: AuthSettings,
    /// What one connection may hold and send.
    pub limits: LimitsSettings,
    /// What clients may do and what channels remember, by the part of a channel's name before the first `:`.
    /// `default` is for names without one, and for namespaces that are not declared; a declared one takes nothing
    /// from it.
    pub namespaces: BTreeMap<String, NamespaceSettings>,
    /// What a node leaves out that is a control in a fault test. No file, variable or flag can say it.
    #[serde(skip)]
    pub naive: Naive,
}

/// What a node leaves out to show what it is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Naive {
    /// Nobody asks whether a feed that answers still hears.
    pub no_canary: bool,
    /// What is heard is passed on, and nobody asks what was not.
    pub no_repair: bool,
}

#[cfg(test)]
mod tests;
