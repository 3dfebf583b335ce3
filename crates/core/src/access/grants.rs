//! What a token grants: patterns of channel names, for each action.

use serde::Deserialize;

use super::Action;
use crate::ChannelName;

/// The `grants` claim: `{"subscribe": ["chat:*"], "publish": ["chat:42"]}`. Actions that this
/// version does not know are ignored: they grant nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Grants {
    #[serde(default)]
    subscribe: Box<[Pattern]>,
    #[serde(default)]
    publish: Box<[Pattern]>,
}

/// A channel's name, or the beginning of names followed by `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Pattern {
    /// Exactly this name.
    Exact(String),
    /// All names that start so.
    Prefix(String),
}

impl From<String> for Pattern {
    fn from(mut text: String) -> Self {
        // Names contain no `*`, so a star elsewhere matches nothing, which is what it should.
        if text.ends_with('*') {
            text.pop();
            Self::Prefix(text)
        } else {
            Self::Exact(text)
        }
    }
}

impl Pattern {
    fn matches(&self, channel: &ChannelName) -> bool {
        match self {
            Self::Exact(name) => name == channel.as_str(),
            Self::Prefix(start) => channel.as_str().starts_with(start.as_str()),
        }
    }
}

impl Grants {
    /// Whether some pattern grants `what` on `channel`.
    pub fn allow(&self, what: Action, channel: &ChannelName) -> bool {
        let patterns = match what {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
        };
        patterns.iter().any(|pattern| pattern.matches(channel))
    }
}
