//! The rules by name, so that the model of the tests can switch one off and show what it is for.
//!
//! In the product every rule holds and the question costs nothing; there is no switch to turn.

/// One rule of the place, or of the follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Rule {
    /// A message after a hole is never passed on, it only makes the place read.
    HoldAtHole,
    /// Nobody follows an older epoch while a failover may be going on.
    OrderedEpochs,
    /// A new epoch is announced before the events that were read under it.
    PositionBeforeEvents,
    /// A new epoch begins, for each subscription, where its own position and the epoch part.
    PositionIsEachOnesOwn,
    /// A subscription is attached where the place is, never behind it.
    OnePlacePerChannel,
    /// The tail is cut where the history parted from it.
    TailEndsWithItsEpoch,
    /// A follower remembers the keys of events that died with their master.
    WithdrawnKeys,
}

/// Which rules hold: all of them, outside of this crate's tests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    pub(crate) off: Option<Rule>,
}

impl Rules {
    #[cfg(test)]
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    #[cfg(not(test))]
    pub(crate) const fn hold(self, _: Rule) -> bool {
        true
    }
}
