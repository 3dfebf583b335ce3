//! What a step of a place leads to.

use super::{Cause, ReadId, Since};
use crate::{Epoch, Event, Position};

/// Effects in the order they are to happen. The caller gives the vector, so that it can be reused.
pub type Effects<S> = Vec<Effect<S>>;

/// A value for each attached subscription: one for most, others for a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Each<S, T> {
    /// For every attached subscription that is not in `but`.
    pub others: T,
    /// For these.
    pub but: Vec<(S, T)>,
}

impl<S: PartialEq, T> Each<S, T> {
    /// What it is for this one.
    pub fn of(&self, seat: &S) -> &T {
        self.but.iter().find(|(other, _)| other == seat).map_or(&self.others, |(_, value)| value)
    }
}

/// Why a gap is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The history does not hold it (any more).
    Lost,
    /// The subscriber's outbox was full.
    Dropped,
}

/// What a subscription is told besides events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A new epoch: it goes on behind this position, which may lie below what was sent.
    Position(Position),
    /// What lies before this position cannot be had. It goes on behind it.
    Gap(Position, GapReason),
}

/// Why a subscriber is refused; it may come again with the same position, to any node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// This node's server is older than what the subscriber has seen.
    Behind,
    /// The history does not answer.
    Unavailable,
}

/// One deed of the shell. Every event in it is numbered under the epoch its subscriptions are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<S> {
    /// Pass these on: to each attached subscription the unnumbered ones, and the numbered ones
    /// above its offset in `above`.
    Pass {
        /// The events, in order.
        events: Vec<Event>,
        /// What each was sent before.
        above: Each<S, u64>,
    },
    /// Tell each attached subscription its word, if there is one for it.
    Tell(Each<S, Option<Word>>),
    /// Reply to a subscriber.
    Subscribed {
        /// Which.
        seat: S,
        /// The position behind `events`.
        at: Position,
        /// Whether nothing is missing; there if the subscriber named a position.
        recovered: Option<bool>,
        /// What it missed, or its first page.
        events: Vec<Event>,
        /// Attach it in the same step; else it is to say [`Input::Room`](super::Input::Room).
        attach: bool,
    },
    /// The next page of a subscriber that is not attached yet.
    Page {
        /// Which.
        seat: S,
        /// Goes first.
        word: Option<Word>,
        /// Then these.
        events: Vec<Event>,
        /// Attach it in the same step; else it is to say [`Input::Room`](super::Input::Room).
        attach: bool,
    },
    /// The subscriber cannot be served now.
    Refused(S, Refused),
    /// Read the channel's history.
    Read {
        /// For the answer.
        id: ReadId,
        /// From where.
        since: Since,
        /// At most so many events.
        count: usize,
    },
    /// Give the channel an epoch.
    Begin(ReadId),
    /// The server that answers is not the one that is heard, or an old one: ask the topology.
    Seek,
    /// Since then the channel may miss events. Said once, until [`Effect::Repaired`].
    Stale {
        /// The time it began.
        since_ms: u64,
    },
    /// The place is even again, for the log and the metric.
    Repaired {
        /// Why it read.
        cause: Cause,
        /// How many events the reads brought.
        events: u64,
        /// Unnumbered messages that found no room behind the read.
        dropped: u64,
        /// When it began to read.
        began_ms: u64,
    },
}

/// A position in `epoch`.
pub(super) fn at(epoch: Epoch, offset: u64) -> Position {
    Position { epoch, offset }
}
