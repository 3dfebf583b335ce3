//! One channel of one client, played again: what it was told, line by line, as a client that takes every word as true.

use std::collections::HashSet;
use std::ops::Range;

use tidegate_core::Position;

use super::{Lineage, Told};

/// What a line was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// As it should be.
    Fine,
    /// Its event has come before.
    Twice,
    /// Its event has come before, died, and was published again with its key: the client sees it by that.
    Repeated,
    /// Its event comes after a later one.
    Reordered,
    /// It goes on behind events that the client neither got nor was told of.
    Skips,
    /// An event before any position.
    Unplaced,
}

/// Where the client stands, and what it may miss.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    lineage: Option<&'a Lineage>,
    at: Option<Position>,
    /// Subscribed, or just away; not one who has left.
    pub(super) is_in: bool,
    pub(super) heard: HashSet<u64>,
    /// Of the way to `at`: offset and number of what it heard.
    way: Vec<(u64, u64)>,
    /// Heard, and died since.
    withdrawn: HashSet<u64>,
    /// In the history that lives: everything behind it is due.
    from: Option<u64>,
    /// In the history that lives: what it was told it cannot have (more than start, up to end).
    told: Vec<(u64, u64)>,
    /// Likewise, while it was not subscribed.
    absent: Vec<(u64, u64)>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(lineage: Option<&'a Lineage>) -> Self {
        Self {
            lineage,
            at: None,
            is_in: false,
            heard: HashSet::new(),
            way: Vec::new(),
            withdrawn: HashSet::new(),
            from: None,
            told: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> Option<Position> {
        self.at
    }

    /// One line about this channel.
    pub(super) fn step(&mut self, told: &Told, is_keyed: bool) -> Judged {
        match *told {
            Told::Subscribed { since, start, recovered, .. } => {
                let judged = self.subscribed(since, start, recovered);
                self.is_in = true;
                judged
            }
            Told::Position { at, .. } => {
                let skips = self.at.is_some_and(|mine| at.offset > mine.offset);
                self.go(at);
                if skips { Judged::Skips } else { Judged::Fine }
            }
            Told::Gap { at, .. } => {
                let hole = self.hole(at);
                self.go(at);
                self.told.extend(hole);
                Judged::Fine
            }
            Told::Event { offset: Some(offset), number: Some(number), .. } => {
                self.event(offset, number, is_keyed)
            }
            Told::Event { number: Some(number), .. } => match self.heard.insert(number) {
                true => Judged::Fine,
                false => Judged::Twice,
            },
            Told::Left { .. } => {
                self.is_in = false;
                Judged::Fine
            }
            Told::Event { .. } | Told::Ended { .. } | Told::Closed(_) => Judged::Fine,
        }
    }

    fn subscribed(&mut self, since: Option<Position>, start: Position, recovered: Option<bool>) -> Judged {
        let hole = self.hole(start);
        let (skips, told) = match (since, recovered) {
            (Some(since), Some(true)) => (start.offset > since.offset, false),
            (Some(_), Some(false)) => (false, true),
            (Some(_), None) => (true, false), // it must be said
            // Who is subscribed anew without having left takes it for a continuation: nobody has told it.
            (None, _) => (self.is_in, false),
        };
        let is_first = self.at.is_none();
        self.go(start);
        if told {
            self.told.extend(hole);
        } else if since.is_none() && !self.is_in && !is_first {
            self.absent.extend(hole);
        }
        if skips { Judged::Skips } else { Judged::Fine }
    }

    fn event(&mut self, offset: u64, number: u64, is_keyed: bool) -> Judged {
        let Some(at) = &mut self.at else { return Judged::Unplaced };
        let expected = at.offset + 1;
        at.offset = at.offset.max(offset);
        self.way.push((offset, number));
        if !self.heard.insert(number) {
            return if is_keyed && self.withdrawn.remove(&number) { Judged::Repeated } else { Judged::Twice };
        }
        match offset.cmp(&expected) {
            std::cmp::Ordering::Less => Judged::Reordered,
            std::cmp::Ordering::Equal => Judged::Fine,
            std::cmp::Ordering::Greater => Judged::Skips,
        }
    }

    /// Stands there now. What it heard beyond has died, and so has what it was told of it.
    fn go(&mut self, at: Position) {
        while let Some((_, number)) = self.way.pop_if(|(offset, _)| *offset > at.offset) {
            self.withdrawn.insert(number);
        }
        for (_, end) in self.told.iter_mut().chain(&mut self.absent) {
            *end = (*end).min(at.offset);
        }
        self.at = Some(at);
        let reached = self.lineage.and_then(|lineage| lineage.reached(at));
        self.from = self.from.or(reached);
    }

    /// What lies between where it stands and `to`, as far as it is in the history that lives.
    fn hole(&self, to: Position) -> Option<(u64, u64)> {
        let lineage = self.lineage?;
        let start = self.at.and_then(|at| lineage.reached(at)).unwrap_or(0);
        Some((start, lineage.reached(to).unwrap_or(to.offset)))
    }

    /// The offsets of the history that lives which it should have heard.
    pub(super) fn due(&self) -> Range<u64> {
        let Some(lineage) = self.lineage else { return 0..0 };
        let reached = self.at.and_then(|at| lineage.reached(at)).unwrap_or(0);
        let end = if self.is_in { lineage.top.offset } else { reached };
        match self.from {
            Some(from) => from + 1..end + 1,
            None if self.is_in => 1..end + 1, // it never reached that history
            None => 0..0,
        }
    }

    /// Whether it was told that it cannot have this.
    pub(super) fn was_told(&self, offset: u64) -> bool {
        self.told.iter().any(|(start, end)| *start < offset && offset <= *end)
    }

    /// Whether that was while it was not there.
    pub(super) fn was_absent(&self, offset: u64) -> bool {
        self.absent.iter().any(|(start, end)| *start < offset && offset <= *end)
    }
}
