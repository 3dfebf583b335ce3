//! Who may do what: asked at each request, with who, what and which channel.
//!
//! Credentials become an [`Identity`] once, when a session opens; namespace rules and the
//! identity's grants decide each request. Time is passed in. It must not know doors or frames.

mod grants;
mod hs256;
mod rules;

use std::fmt;
use std::sync::Arc;

use crate::{ChannelName, Reason, Refusal};

pub use grants::{Grants, Pattern};
pub use hs256::Hs256;
pub use rules::{Allow, Namespaces, Rules};

/// What a session wants to do with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Hear the channel's events.
    Subscribe,
    /// Publish into it.
    Publish,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
        })
    }
}

/// What a client shows: a token, or nothing. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A JSON Web Token in compact form.
    pub token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.token.is_some() { "Credentials(token)" } else { "Credentials(none)" })
    }
}

/// Who a session is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The token's `sub`; none for anonymous sessions.
    pub user: Option<Arc<str>>,
    /// What the token grants.
    pub grants: Grants,
    /// When the session ends, in seconds since 1970; none = never.
    pub expires: Option<u64>,
}

/// A way to become somebody.
#[derive(Debug)]
pub enum Authoriser {
    /// Whoever shows nothing is nobody in particular.
    Anonymous,
    /// A token signed with a shared secret.
    Hs256(Box<Hs256>),
}

/// All that decides about rights on this node.
#[derive(Debug)]
pub struct Access {
    authorisers: Vec<Authoriser>,
    namespaces: Namespaces,
}

impl Access {
    /// Access by `authorisers` (the first that feels responsible decides) and namespace rules.
    pub fn new(authorisers: Vec<Authoriser>, namespaces: Namespaces) -> Self {
        Self { authorisers, namespaces }
    }

    /// Finds out who shows these credentials. `unix_s` is the time in seconds since 1970.
    ///
    /// # Errors
    /// `unauthorized`, with a sentence that says what is wrong with the token, never its content.
    pub fn authorise(&self, credentials: &Credentials, unix_s: u64) -> Result<Identity, Refusal> {
        for authoriser in &self.authorisers {
            match (authoriser, &credentials.token) {
                (Authoriser::Anonymous, None) => return Ok(Identity::default()),
                (Authoriser::Hs256(key), Some(token)) => {
                    return key
                        .verify(token, unix_s)
                        .map_err(|error| Refusal::new(Reason::Unauthorized, error.to_string()));
                }
                _ => {}
            }
        }
        let message = match credentials.token {
            None => "a token is needed here",
            Some(_) => "this node accepts no tokens: auth.hmac_secret is not set",
        };
        Err(Refusal::new(Reason::Unauthorized, message))
    }

    /// Whether somebody without a token gets in.
    pub fn anonymous(&self) -> bool {
        self.authorisers.iter().any(|a| matches!(a, Authoriser::Anonymous))
    }

    /// Whether `who` may do `what` with `channel`.
    ///
    /// # Errors
    /// `unknown_channel` for an undeclared namespace where these are refused, `forbidden` else.
    pub fn check(&self, who: &Identity, what: Action, channel: &ChannelName) -> Result<(), Refusal> {
        let rules = self.rules(channel)?;
        let allowed = match rules.allow(what) {
            Allow::Anyone => true,
            Allow::Granted => who.grants.allow(what, channel),
            Allow::Nobody => false,
        };
        if allowed {
            return Ok(());
        }
        let why = match rules.allow(what) {
            Allow::Granted => format!("the token does not grant {what} on {channel}"),
            _ => format!("clients may not {what} in namespace {}", channel.namespace()),
        };
        Err(Refusal::new(Reason::Forbidden, why))
    }

    /// The rules of `channel`'s namespace.
    ///
    /// # Errors
    /// `unknown_channel` for an undeclared namespace where these are refused.
    pub fn rules(&self, channel: &ChannelName) -> Result<&Rules, Refusal> {
        self.namespaces.of(channel).ok_or_else(|| {
            let message = format!("namespace {} is not declared", channel.namespace());
            Refusal::new(Reason::UnknownChannel, message)
        })
    }
}

#[cfg(test)]
mod tests;
