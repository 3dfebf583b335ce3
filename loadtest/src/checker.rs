//! Whether one connection got each event of its channels once and in order.
//!
//! Sequence numbers come in, verdicts and in the end the faults come out. It knows neither sockets
//! nor time. It costs nothing while all is well: what is missing is kept as ranges.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// From which event on a connection must have everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// From the first: it was subscribed before anything was published.
    First,
    /// From the first it saw: the server was sending already.
    Seen,
    /// It joins later, and will be told with [`Checker::expect`] from where on nothing may be missing.
    Joined,
}

/// What one delivery was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next one.
    Fine,
    /// Later than the next one: so many that lie between are missing for now.
    Skipped(u64),
    /// It had been missing: a later one overtook it.
    Reordered,
    /// It had come before.
    Twice,
    /// Of a channel this connection did not subscribe to.
    Stray,
}

/// What went wrong, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Published, never delivered.
    pub lost: u64,
    /// Delivered again.
    pub twice: u64,
    /// Delivered after a later one.
    pub reordered: u64,
    /// Delivered to a connection that had not asked for it.
    pub stray: u64,
}

impl Faults {
    /// Whether there was none.
    #[must_use]
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds those of another connection.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.reordered += other.reordered;
        self.stray += other.stray;
    }
}

/// The deliveries of one channel on one connection.
#[derive(Debug)]
struct Sequence {
    channel: u32,
    /// The sequence expected next; 0 until the first was seen ([`Start::Seen`]).
    next: u64,
    /// With [`Start::Joined`], once that is known: everything above this must come.
    from: Option<u64>,
    /// Skipped so far, ascending. Each range costs one delivery, so it never outgrows them.
    missing: Vec<Range<u64>>,
}

/// The deliveries of one connection.
#[derive(Debug)]
pub struct Checker {
    sequences: Vec<Sequence>,
    start: Start,
    faults: Faults,
}

impl Checker {
    /// For a connection that is subscribed to `channels`.
    pub fn new(channels: impl IntoIterator<Item = u32>, start: Start) -> Self {
        let next = u64::from(start == Start::First);
        let sequences = channels
            .into_iter()
            .map(|channel| Sequence { channel, next, from: None, missing: Vec::new() })
            .collect();
        Self { sequences, start, faults: Faults::default() }
    }

    /// Takes one delivery.
    pub fn take(&mut self, channel: u32, sequence: u64) -> Verdict {
        let verdict = match self.sequences.iter_mut().find(|known| known.channel == channel) {
            Some(known) => known.take(sequence),
            None => Verdict::Stray,
        };
        match verdict {
            Verdict::Fine | Verdict::Skipped(_) => {}
            Verdict::Reordered => self.faults.reordered += 1,
            Verdict::Twice => self.faults.twice += 1,
            Verdict::Stray => self.faults.stray += 1,
        }
        verdict
    }

    /// It is subscribed now, and `sent` says how many events of a channel were on their way before that. What
    /// came already is judged again: between it and what follows nothing may be missing.
    pub fn expect(&mut self, sent: impl Fn(u32) -> u64) {
        for sequence in &mut self.sequences {
            sequence.from = Some(sent(sequence.channel));
        }
    }

    /// Whether everything has come that was sent in each of its channels, in the order of [`Checker::channels`].
    #[must_use]
    pub fn reached(&self, sent: &[u64]) -> bool {
        self.sequences.iter().zip(sent).all(|(sequence, &sent)| sequence.next > sent)
    }

    /// Its channels.
    pub fn channels(&self) -> impl Iterator<Item = u32> {
        self.sequences.iter().map(|sequence| sequence.channel)
    }

    /// The faults of a connection that left by itself: what it has not heard after its last is no loss.
    #[must_use]
    pub fn left(&self) -> Faults {
        let mut faults = self.faults;
        faults.lost += self.missing();
        faults
    }

    fn missing(&self) -> u64 {
        self.sequences.iter().flat_map(|known| &known.missing).map(|range| range.end - range.start).sum()
    }

    /// All faults, once nothing more can come. `published` says how many events a channel had;
    /// with [`Start::Seen`] nobody knows, and only holes count.
    #[must_use]
    pub fn finish(&self, published: impl Fn(u32) -> u64) -> Faults {
        let mut faults = self.left();
        if self.start == Start::Seen {
            return faults;
        }
        for sequence in &self.sequences {
            let next = match (sequence.next, sequence.from) {
                (0, Some(from)) => from + 1,
                // It never came in.
                (0, None) => continue,
                (next, _) => next,
            };
            faults.lost += (published(sequence.channel) + 1).saturating_sub(next);
        }
        faults
    }
}

impl Sequence {
    fn take(&mut self, sequence: u64) -> Verdict {
        if self.next == 0 {
            // The first on this connection: below `from` it may be any.
            self.next = self.from.map_or(sequence, |from| sequence.min(from + 1));
        }
        if sequence == self.next {
            self.next = sequence + 1;
            return Verdict::Fine;
        }
        if sequence > self.next {
            let skipped = sequence - self.next;
            self.missing.push(self.next..sequence);
            self.next = sequence + 1;
            return Verdict::Skipped(skipped);
        }
        let Some(index) = self.missing.iter().position(|range| range.contains(&sequence)) else {
            return Verdict::Twice;
        };
        let range = self.missing[index].clone();
        let rest = [range.start..sequence, sequence + 1..range.end];
        self.missing.splice(index..=index, rest.into_iter().filter(|part| !part.is_empty()));
        Verdict::Reordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers `sequences` on channel 3 of which `published` were sent.
    fn faults(start: Start, published: u64, sequences: &[u64]) -> Faults {
        let mut checker = Checker::new([3], start);
        for &sequence in sequences {
            checker.take(3, sequence);
        }
        checker.finish(|_| published)
    }

    #[test]
    fn everything_once_and_in_order_is_no_fault() {
        assert!(faults(Start::First, 4, &[1, 2, 3, 4]).none());
        assert!(faults(Start::First, 0, &[]).none());
    }

    #[test]
    fn a_planted_loss_is_found_wherever_it_is() {
        let lost = |published, sequences: &[u64]| faults(Start::First, published, sequences);
        assert_eq!(lost(4, &[2, 3, 4]), Faults { lost: 1, ..Faults::default() });
        assert_eq!(lost(4, &[1, 4]), Faults { lost: 2, ..Faults::default() });
        assert_eq!(lost(4, &[1, 2, 3]), Faults { lost: 1, ..Faults::default() });
        assert_eq!(lost(4, &[]), Faults { lost: 4, ..Faults::default() });
    }

    #[test]
    fn a_planted_duplicate_is_found_at_once_and_late() {
        assert_eq!(faults(Start::First, 3, &[1, 2, 2, 3]), Faults { twice: 1, ..Faults::default() });
        assert_eq!(faults(Start::First, 3, &[1, 2, 3, 1]), Faults { twice: 1, ..Faults::default() });
    }

    #[test]
    fn a_planted_swap_is_neither_loss_nor_duplicate() {
        assert_eq!(faults(Start::First, 4, &[1, 3, 2, 4]), Faults { reordered: 1, ..Faults::default() });
        assert_eq!(
            faults(Start::First, 6, &[1, 6, 4, 3, 5, 2, 4]),
            Faults { reordered: 4, twice: 1, ..Faults::default() }
        );
    }

    #[test]
    fn who_joined_late_needs_only_what_follows() {
        assert!(faults(Start::Seen, 0, &[17, 18, 19]).none());
        assert_eq!(faults(Start::Seen, 0, &[17, 19]), Faults { lost: 1, ..Faults::default() });
    }

    #[test]
    fn channels_are_judged_apart_and_strangers_count() {
        let mut checker = Checker::new([1, 2], Start::First);
        assert_eq!(checker.take(1, 1), Verdict::Fine);
        assert_eq!(checker.take(2, 1), Verdict::Fine);
        assert_eq!(checker.take(2, 1), Verdict::Twice);
        assert_eq!(checker.take(9, 1), Verdict::Stray);
        assert_eq!(checker.take(2, 4), Verdict::Skipped(2));
        assert_eq!(checker.take(2, 3), Verdict::Reordered);
        let faults = checker.finish(u64::from);
        assert_eq!(faults, Faults { lost: 1, twice: 1, stray: 1, reordered: 1 });
    }

    #[test]
    fn who_joined_must_have_all_that_was_sent_after_it_was_in() {
        let faults = |sent, sequences: &[u64]| {
            let mut checker = Checker::new([3], Start::Joined);
            checker.expect(|_| sent);
            for &sequence in sequences {
                checker.take(3, sequence);
            }
            checker.finish(|_| 9)
        };
        let lost = |lost| Faults { lost, ..Faults::default() };
        assert_eq!(faults(7, &[8, 9]), lost(0));
        assert_eq!(faults(7, &[6, 7, 8, 9]), lost(0), "events on their way when it came in may come");
        assert_eq!(faults(7, &[6, 8, 9]), lost(1), "but then without holes");
        assert_eq!(faults(7, &[9]), lost(1));
        assert_eq!(faults(7, &[]), lost(2));
        assert_eq!(faults(7, &[6]), lost(3));
        assert_eq!(faults(0, &[2, 3, 4, 5, 6, 7, 8, 9]), lost(1));
    }

    #[test]
    fn who_leaves_has_lost_only_the_holes() {
        let mut checker = Checker::new([3], Start::First);
        assert_eq!(checker.take(3, 1), Verdict::Fine);
        assert_eq!(checker.take(3, 4), Verdict::Skipped(2));
        assert_eq!(checker.left(), Faults { lost: 2, ..Faults::default() });
        assert!(checker.reached(&[4]) && !checker.reached(&[5]));
    }
}
