//! The settings of one namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::access::Allow;

/// What clients may do in the channels of one namespace. Backends always may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}
