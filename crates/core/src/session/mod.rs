//! One session: what a connection may do, step by step.
//!
//! Every door turns what it reads into an [`Input`] and what comes out of a step, [`Effect`]s, into
//! bytes and deeds. What needs the outside is asked for with a ticket and answered later; a session
//! waits for nothing. It must not know sockets, wire formats, the hub or the broker.

mod asks;
mod effect;
mod input;
mod step;

use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use crate::access::{Access, Identity};
use crate::hub::Seat;
use crate::{ChannelName, Limits, SessionId};

use asks::Asks;
pub use effect::{Ask, Effect, Effects, Reply};
pub use input::{Answer, Input, Past};

/// How long a connection may take to say who it is, in seconds.
pub const CONNECT_TIMEOUT_S: u64 = 5;

/// Events that one `history` request brings, if it does not say how many.
pub const HISTORY_DEFAULT: u32 = 100;
/// Events that one `history` request may ask for. Above: `bad_request`.
pub const HISTORY_MOST: u32 = 1000;

/// Nobody in particular: most sessions of a node without tokens are, so none of them holds a copy.
static NOBODY: LazyLock<Identity> = LazyLock::new(Identity::default);

/// What all sessions of a node share.
#[derive(Debug)]
pub struct Policy {
    /// Who may do what.
    pub access: Access,
    /// What one session may hold and send.
    pub limits: Limits,
}

/// The time of a step. Both clocks are the shell's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Seconds of a clock that never goes back; its zero is the node's start.
    pub monotonic_s: u64,
    /// Seconds since 1970, for what tokens say.
    pub unix_s: u64,
}

/// How a session is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Requests with ids, each with a reply.
    Framed,
    /// All is said when it opens; a refusal ends it.
    Bare,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    id: SessionId,
    manner: Manner,
    opened_s: u64,
    state: State,
    subscriptions: SmallVec<[Subscription; 1]>,
    asks: Asks,
}

#[derive(Debug)]
enum State {
    /// Nobody yet.
    New,
    /// Finding out who it is. What a client sends meanwhile waits, up to `Limits::asks` inputs.
    // Boxed, so that a session which rests stays small.
    #[expect(clippy::box_collection, reason = "the list is short-lived, its place is not")]
    Opening(Box<Vec<Input>>),
    /// Somebody; none is nobody in particular, whom all anonymous sessions share.
    Open(Option<Arc<Identity>>),
    /// Closed; nothing that comes now matters.
    Closed,
}

impl State {
    fn open(who: Identity) -> Self {
        Self::Open((who != *NOBODY).then(|| Arc::new(who)))
    }
}

#[derive(Debug)]
struct Subscription {
    channel: ChannelName,
    /// None while it is being joined.
    seat: Option<Seat>,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(policy: Arc<Policy>, id: SessionId, manner: Manner, now: Now) -> Self {
        Self {
            policy,
            id,
            manner,
            opened_s: now.monotonic_s,
            state: State::New,
            subscriptions: SmallVec::new(),
            asks: Asks::default(),
        }
    }

    /// The session's public id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The monotonic second at which this session wants [`Input::Tick`]; none = never.
    pub fn deadline_s(&self, now: Now) -> Option<u64> {
        match &self.state {
            State::New | State::Opening(_) => Some(self.opened_s + CONNECT_TIMEOUT_S),
            State::Open(who) => {
                let expires = who.as_ref()?.expires?;
                Some(now.monotonic_s.saturating_add(expires.saturating_sub(now.unix_s)))
            }
            State::Closed => None,
        }
    }

    /// Ends the session: gives back the seats it holds. Seats whose joining is still under way are
    /// the shell's.
    pub fn close(&mut self) -> impl Iterator<Item = Seat> + use<> {
        self.state = State::Closed;
        std::mem::take(&mut self.subscriptions).into_iter().filter_map(|s| s.seat)
    }

    fn subscription(&mut self, channel: &ChannelName) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|s| s.channel == *channel)
    }
}

#[cfg(test)]
mod tests;
