//! How far each attached subscription was sent, in the place's epoch.
//!
//! Never behind the place. Nearly all are equal, so one number stands for all, and only those that
//! differ have an entry: no memory for a subscription that is even.

use super::Each;

#[derive(Debug)]
pub(super) struct Sent<S> {
    /// For everybody who is not listed.
    level: u64,
    but: Vec<(S, u64)>,
}

impl<S> Default for Sent<S> {
    fn default() -> Self {
        Self { level: 0, but: Vec::new() }
    }
}

impl<S: Copy + PartialEq> Sent<S> {
    /// Whether all were sent up to `offset` and no further.
    #[inline]
    pub(super) fn is_even(&self, offset: u64) -> bool {
        self.level == offset && self.but.is_empty()
    }

    /// The next one was passed on, and all were even.
    #[inline]
    pub(super) fn step(&mut self, offset: u64) {
        self.level = offset;
    }

    /// Nobody is attached yet.
    pub(super) fn begin(&mut self, offset: u64) {
        *self = Self { level: offset, but: Vec::new() };
    }

    /// What everybody has.
    pub(super) fn each(&self) -> Each<S, u64> {
        Each { others: self.level, but: self.but.clone() }
    }

    /// All events up to `offset` were passed on.
    pub(super) fn reach(&mut self, offset: u64) {
        self.level = self.level.max(offset);
        for (_, sent) in &mut self.but {
            *sent = (*sent).max(offset);
        }
        self.tidy();
    }

    /// Something happens to each: `turn` says what, and how far it was sent then.
    pub(super) fn turn<T>(&mut self, turn: impl Fn(u64) -> (T, u64)) -> Each<S, T> {
        let (others, level) = turn(self.level);
        self.level = level;
        let each = self.but.iter_mut().map(|(seat, sent)| {
            let (one, after) = turn(*sent);
            *sent = after;
            (*seat, one)
        });
        let each = Each { others, but: each.collect() };
        self.tidy();
        each
    }

    /// One more, sent up to `offset`.
    pub(super) fn attach(&mut self, seat: S, offset: u64) {
        if offset != self.level {
            self.but.push((seat, offset));
        }
    }

    /// One less.
    pub(super) fn detach(&mut self, seat: S) {
        self.but.retain(|(other, _)| *other != seat);
    }

    fn tidy(&mut self) {
        let level = self.level;
        self.but.retain(|(_, sent)| *sent != level);
        if self.but.is_empty() {
            self.but = Vec::new(); // gives the memory back
        }
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.but.len()
    }

    #[cfg(test)]
    pub(super) fn lowest(&self) -> u64 {
        self.but.iter().map(|(_, sent)| *sent).fold(self.level, u64::min)
    }
}
