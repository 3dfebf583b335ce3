//! What reaches a place.

use super::Answer;
use crate::{Event, Position};

/// The time of a step, and a random number for its jitter. Both are the shell's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub ms: u64,
    /// Any number, another in each step.
    pub dice: u32,
}

/// Names a read (or a begin) until its answer comes. Unique in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadId(pub u32);

/// From where somebody wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Since {
    /// From where the channel is now.
    Now,
    /// From behind this position.
    At(Position),
    /// So many of the last events.
    Last(u64),
}

/// Why a place reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The first subscriber.
    First,
    /// A message came whose predecessor did not.
    Hole,
    /// A message of a later epoch.
    Epoch,
    /// The channel's pub/sub connection was made anew.
    Connected,
    /// The channel's slot, or its master, moved.
    Moved,
    /// A queue before the place, or the place's own, was full.
    Overflowed,
    /// The periodic look at the tops found another one.
    Check,
    /// The answer to a subscriber did not fit the place.
    Subscriber,
}

/// Why a read found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The channel has no epoch yet, or all of its keys are gone.
    Missing,
    /// The channel's slot is on the move.
    TryAgain,
    /// No answer, or an error.
    Unavailable,
}

/// What a place is told. `S` names a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<S> {
    /// A message of the channel's pub/sub. Numbered if it has a position.
    Message(Event),
    /// What a read found. Each [`Effect::Read`](super::Effect::Read) gets exactly one.
    Answer(ReadId, Result<Answer, Failure>),
    /// Whether the channel has an epoch now. Each [`Effect::Begin`](super::Effect::Begin) gets
    /// exactly one; false: refused (no replica, no memory) or no answer.
    Begun(ReadId, bool),
    /// The channel's top, as the periodic look found it; none: missing.
    Top(Option<Position>),
    /// The channel is subscribed to, for the first time or again.
    Connected,
    /// It cannot be subscribed to: whoever waits for that is refused.
    Unheard,
    /// The channel is not heard at present. `Connected` follows.
    Down,
    /// Messages may be missing, or commands go to another server now.
    Missed(Cause),
    /// The topology itself names the server that is heard, and that commands go to, as this channel's
    /// master: the answer to [`Effect::Seek`](super::Effect::Seek) if no other was found. As long as
    /// they are two servers this must not be said: what died on one could be heard from it again.
    Confirmed,
    /// Somebody subscribes.
    Subscribe {
        /// The subscription; not attached yet.
        seat: S,
        /// From where.
        since: Since,
        /// It is answered where it stands, without events: all that it missed comes in pages. For who cannot
        /// take a page yet, nor make room before all of its channels are answered.
        brief: bool,
    },
    /// What was told to this subscription on its way to the place has left: it takes more.
    Room(S),
    /// The subscription is gone; it is not named again.
    Unsubscribe(S),
    /// A deadline may have passed.
    Tick,
}
