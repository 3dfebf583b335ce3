//! What a namespace allows its clients.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Action;
use crate::ChannelName;

/// Who of the clients may do something. Backends are not clients: they always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Allow {
    /// Every client.
    Anyone,
    /// Clients whose token grants it.
    Granted,
    /// No client.
    Nobody,
}

/// The rules of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who may subscribe.
    pub subscribe: Allow,
    /// Who may publish.
    pub publish: Allow,
    /// What the plain door sends first to a connection whose first channel is in this namespace.
    pub welcome: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { subscribe: Allow::Anyone, publish: Allow::Nobody, welcome: None }
    }
}

impl Rules {
    /// Who may do `what`.
    pub fn allow(&self, what: Action) -> Allow {
        match what {
            Action::Subscribe => self.subscribe,
            Action::Publish => self.publish,
        }
    }
}

/// All namespaces of a node.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// The declared ones, by name.
    pub declared: HashMap<String, Rules>,
    /// The settings of `default`, which undeclared ones take too.
    pub default: Rules,
    /// Whether channels of undeclared namespaces are refused instead.
    pub refuse_undeclared: bool,
}

impl Namespaces {
    /// The rules of `channel`; none if its namespace is undeclared and these are refused.
    pub fn of(&self, channel: &ChannelName) -> Option<&Rules> {
        match self.declared.get(channel.namespace()) {
            Some(rules) => Some(rules),
            None if channel.namespace() == "default" || !self.refuse_undeclared => Some(&self.default),
            None => None,
        }
    }
}
