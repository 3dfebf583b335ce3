//! The follower: how a client of one channel keeps count of what it has handled.
//!
//! What the gateway tells reaches it as [`Told`], in the order in which it is handled; what is to be
//! done leaves it as a [`Verdict`]. Its position is that of the last event whose handling is over, so
//! whatever ends the connection, or the program, nothing is skipped. It must not know sockets, frames
//! or clocks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Position;
use crate::place::{Rule, Rules};

/// What one follower remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Keys of handled events, and keys of events that died. Above, the oldest go: a publisher's retry
    /// of such an event is then handed over a second time.
    pub keys: usize,
    /// How long a publisher may retry with the same key: the deduplication window.
    pub window_ms: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { keys: 1024, window_ms: 5 * 60 * 1000 }
    }
}

/// What the gateway tells about the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The reply to `subscribe`. Its events follow, each as [`Told::Event`].
    Subscribed {
        /// The position behind its events.
        at: Position,
        /// How many events it carries.
        events: u64,
        /// Whether nothing is missing; there if a position was given.
        recovered: Option<bool>,
    },
    /// A new epoch, going on behind this position.
    Position(Position),
    /// What lies before this position cannot be had.
    Gap(Position),
    /// An event.
    Event {
        /// Its number.
        offset: u64,
        /// Its publisher's key.
        key: Option<Arc<str>>,
    },
    /// The node's server is older than our position.
    Behind,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Go,
    /// Tell the application that events are missing: it loads its state anew.
    Reload,
    /// Hand the event to the application; once it has handled it, say [`Follower::handled`].
    Handle,
    /// Leave the event out: it was handled before.
    Drop,
    /// A fault of the gateway: subscribe again, from here.
    SubscribeAgain(Option<Position>),
    /// Come back soon, to any node, with this position.
    ComeBack(Option<Position>),
}

/// The client's place in one channel.
#[derive(Debug)]
pub struct Follower {
    memory: Memory,
    at: Option<Position>,
    /// Handed over and not yet handled.
    open: Option<(u64, Option<Arc<str>>)>,
    /// Keys of handled events, oldest first.
    recent: VecDeque<Recent>,
    /// Keys of handled events that died with their master, and until when they are remembered.
    withdrawn: HashMap<Arc<str>, u64>,
    rules: Rules,
}

#[derive(Debug)]
struct Recent {
    offset: u64,
    key: Arc<str>,
    handled_ms: u64,
}

impl Follower {
    /// One that goes on behind `since`, or begins where the channel is.
    pub fn new(since: Option<Position>, memory: Memory) -> Self {
        Self {
            memory,
            at: since,
            open: None,
            recent: VecDeque::new(),
            withdrawn: HashMap::new(),
            rules: Rules::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with(rules: Rules) -> Self {
        Self { rules, ..Self::new(None, Memory::default()) }
    }

    /// The position of the last handled event: what to store, and to subscribe with.
    pub fn since(&self) -> Option<Position> {
        self.at
    }

    /// One thing the gateway told. `now_ms` is of a clock that never goes back.
    pub fn hear(&mut self, told: Told, now_ms: u64) -> Verdict {
        self.open = None; // the former event was not handled, or its connection is gone
        match told {
            Told::Subscribed { at, events, recovered } => {
                let Some(offset) = at.offset.checked_sub(events) else {
                    return Verdict::SubscribeAgain(self.at);
                };
                self.go(Position { offset, ..at }, recovered == Some(true), now_ms);
                if recovered == Some(false) { Verdict::Reload } else { Verdict::Go }
            }
            Told::Position(at) => {
                self.go(at, true, now_ms);
                Verdict::Go
            }
            Told::Gap(at) => {
                self.go(at, false, now_ms);
                Verdict::Reload
            }
            Told::Event { offset, key } => self.event(offset, key, now_ms),
            Told::Behind => Verdict::ComeBack(self.at),
        }
    }

    /// The application has handled the event that [`Verdict::Handle`] was said of.
    pub fn handled(&mut self, now_ms: u64) {
        if let (Some((offset, key)), Some(at)) = (self.open.take(), &mut self.at) {
            at.offset = offset;
            self.remember(offset, key, now_ms);
        }
    }

    fn event(&mut self, offset: u64, key: Option<Arc<str>>, now_ms: u64) -> Verdict {
        let Some(at) = &mut self.at else { return Verdict::SubscribeAgain(None) };
        if offset <= at.offset {
            return Verdict::Drop;
        }
        if offset - 1 != at.offset {
            return Verdict::SubscribeAgain(self.at);
        }
        let until = key.as_ref().and_then(|key| self.withdrawn.remove(key));
        if until.is_some_and(|until| until > now_ms) {
            // The publisher's retry of an event that the application has, and whose master died with it.
            at.offset = offset;
            self.remember(offset, key, now_ms);
            return Verdict::Drop;
        }
        self.open = Some((offset, key));
        Verdict::Handle
    }

    /// Goes where the gateway says. What was handled above died with a server if the history is known
    /// to go on from here; else nothing is known of it.
    fn go(&mut self, to: Position, known: bool, now_ms: u64) {
        let new = self.at.is_some_and(|at| at.epoch != to.epoch);
        if !known {
            self.recent.clear();
        } else if new && self.rules.hold(Rule::WithdrawnKeys) {
            while let Some(last) = self.recent.pop_back_if(|last| last.offset > to.offset) {
                self.withdrawn.insert(last.key, last.handled_ms.saturating_add(self.memory.window_ms));
            }
            self.forget(now_ms);
        }
        self.at = Some(to);
    }

    fn remember(&mut self, offset: u64, key: Option<Arc<str>>, now_ms: u64) {
        let window_ms = self.memory.window_ms;
        let old = |recent: &mut Recent| recent.handled_ms.saturating_add(window_ms) <= now_ms;
        while self.recent.pop_front_if(old).is_some() {}
        if let Some(key) = key {
            self.recent.push_back(Recent { offset, key, handled_ms: now_ms });
            if self.recent.len() > self.memory.keys {
                self.recent.pop_front();
            }
        }
    }

    /// Withdrawn keys end with their window, and at last with the bound.
    fn forget(&mut self, now_ms: u64) {
        self.withdrawn.retain(|_, until| *until > now_ms);
        while self.withdrawn.len() > self.memory.keys {
            let oldest = self.withdrawn.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.withdrawn.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
