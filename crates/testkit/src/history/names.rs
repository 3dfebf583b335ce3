//! Which event each position means. No name may have two events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidegate_core::{Epoch, Position};

use super::Lineage;

/// The names of one channel. Names of the history that lives are known by their offset alone.
#[derive(Debug)]
pub(super) struct Names<'a> {
    lineage: Option<&'a Lineage>,
    living: HashMap<u64, u64>,
    dead: HashMap<(Epoch, u64), u64>,
}

impl<'a> Names<'a> {
    pub(super) fn new(lineage: Option<&'a Lineage>) -> Self {
        Self { lineage, living: HashMap::new(), dead: HashMap::new() }
    }

    /// A publisher was told so. What was published later is what the history holds, if the name had another event before.
    pub(super) fn acknowledge(&mut self, name: Position, number: u64) -> Option<u64> {
        let other = self.give(name, number);
        let offset = other.and(self.lineage).and_then(|lineage| lineage.offset(name));
        if let Some(living) = offset.and_then(|offset| self.living.get_mut(&offset)) {
            *living = number;
        }
        other
    }

    /// Somebody was told that this is the name of event `number`. The other event, if the name has one already.
    pub(super) fn give(&mut self, name: Position, number: u64) -> Option<u64> {
        let known = match self.lineage.and_then(|lineage| lineage.offset(name)) {
            Some(offset) => self.living.entry(offset).or_insert(number),
            None => match self.dead.entry((name.epoch, name.offset)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert(number),
            },
        };
        (*known != number).then_some(*known)
    }

    /// The event with this number in the history that lives.
    pub(super) fn living(&self, offset: u64) -> Option<u64> {
        self.living.get(&offset).copied()
    }

    /// All of them: number, offset.
    pub(super) fn all_living(&self) -> impl Iterator<Item = (u64, u64)> {
        self.living.iter().map(|(offset, number)| (*number, *offset))
    }
}
