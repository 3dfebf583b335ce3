//! What waits to be written to one connection, and what happens when it is too much.
//!
//! Entries enter in the order clients shall see them; a writer takes slices and says how far it
//! came. It must not know sockets: the shell holds it under a small lock and does the writing.
//! An empty outbox owns no heap memory, since most connections are idle most of the time.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::OutboxLimits;
use crate::hub::ChannelKey;

/// Whole frames that wait, shared between all subscribers of their channel.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Encoded frames, headers included; never a part of a frame.
    pub bytes: Bytes,
    /// The channel they belong to; none for replies, pings and closes.
    pub channel: Option<ChannelKey>,
    /// How many events are inside, so that dropping it can be counted.
    pub events: u32,
}

impl Entry {
    /// A frame that belongs to no channel.
    pub fn reply(bytes: Bytes) -> Self {
        Self { bytes, channel: None, events: 0 }
    }
}

/// The outbox is full: its connection is too slow. The entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{entries} entries of {bytes} bytes wait already")]
pub struct Overflow {
    /// Entries that wait.
    pub entries: usize,
    /// Bytes that wait.
    pub bytes: usize,
}

/// A queue of entries, bounded by count and bytes.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Waiting,
    bytes: usize,
    /// Whether the first entry is half written; nothing may come before its rest.
    partial: bool,
}

#[derive(Debug, Default)]
enum Waiting {
    #[default]
    Nothing,
    One(Entry),
    // Boxed, so that the outbox of an idle connection stays small.
    #[allow(clippy::box_collection)]
    Many(Box<VecDeque<Entry>>),
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        matches!(self.waiting, Waiting::Nothing)
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        match &self.waiting {
            Waiting::Nothing => 0,
            Waiting::One(_) => 1,
            Waiting::Many(queue) => queue.len(),
        }
    }

    /// Appends `entry`. The first two entries always fit, so that an outbox holds at least two of
    /// the largest events, whatever escaping made of them.
    ///
    /// # Errors
    /// [`Overflow`] when either limit would be passed; the caller closes the connection as slow.
    pub fn push(&mut self, entry: Entry, limits: &OutboxLimits) -> Result<(), Overflow> {
        if !self.fits(entry.bytes.len(), limits) {
            return Err(Overflow { entries: self.len(), bytes: self.bytes });
        }
        self.append(entry);
        Ok(())
    }

    /// Appends the last words of a connection, whatever the limits say: one close frame.
    pub fn push_last(&mut self, bytes: Bytes) {
        self.append(Entry::reply(bytes));
    }

    /// Puts `bytes` before all that waits. Only before anything was written: the head of a
    /// response goes before the events that came while the channels were joined.
    pub fn push_head(&mut self, bytes: Bytes) {
        debug_assert!(!self.partial, "nothing may come before the rest of a half-written entry");
        let rest = std::mem::take(self);
        self.append(Entry::reply(bytes));
        match rest.waiting {
            Waiting::Nothing => {}
            Waiting::One(entry) => self.append(entry),
            Waiting::Many(queue) => queue.into_iter().for_each(|entry| self.append(entry)),
        }
    }

    /// Drops all that waits, save the rest of a half-written entry: a frame is never cut.
    /// Returns how many events were dropped.
    pub fn cut(&mut self) -> u64 {
        let mut queue = match std::mem::take(&mut self.waiting) {
            Waiting::Nothing => VecDeque::new(),
            Waiting::One(entry) => VecDeque::from([entry]),
            Waiting::Many(queue) => *queue,
        };
        self.bytes = 0;
        if self.partial
            && let Some(first) = queue.pop_front()
        {
            self.append(first);
        }
        queue.iter().map(|entry| u64::from(entry.events)).sum()
    }

    /// Fills `slices` with what waits, in order; returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match &self.waiting {
            Waiting::Nothing => 0,
            Waiting::One(entry) => {
                slices[0] = IoSlice::new(&entry.bytes);
                1
            }
            Waiting::Many(queue) => {
                let mut count = 0;
                for (slice, entry) in slices.iter_mut().zip(queue.iter()) {
                    *slice = IoSlice::new(&entry.bytes);
                    count += 1;
                }
                count
            }
        }
    }

    /// Removes the first `written` bytes. Storage is given back once nothing waits.
    pub fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        match &mut self.waiting {
            Waiting::Nothing => debug_assert_eq!(written, 0),
            Waiting::One(entry) => {
                entry.bytes.advance(written);
                self.partial = written > 0 || self.partial;
                if entry.bytes.is_empty() {
                    self.clear();
                }
            }
            Waiting::Many(queue) => {
                while let Some(first) = queue.front_mut() {
                    if written < first.bytes.len() {
                        first.bytes.advance(written);
                        self.partial = written > 0 || self.partial;
                        break;
                    }
                    written -= first.bytes.len();
                    queue.pop_front();
                    self.partial = false;
                }
                if queue.is_empty() {
                    self.clear();
                }
            }
        }
    }

    /// The entry, if just one waits and nothing of it is written. Until [`Outbox::land`] it counts as half written:
    /// the kernel may be reading it, so nothing comes before it and no cut drops it.
    pub fn lift(&mut self) -> Option<Bytes> {
        match &self.waiting {
            Waiting::One(entry) if !self.partial => {
                self.partial = true;
                Some(entry.bytes.clone())
            }
            _ => None,
        }
    }

    /// The lifted entry is back; [`Outbox::advance`] says how much of it was written.
    pub fn land(&mut self) {
        self.partial = false;
    }

    /// Whether an entry of so many bytes would be taken.
    pub fn fits(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        let entries = self.len();
        entries < 2 || (entries < limits.entries && self.bytes + bytes <= limits.bytes)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn append(&mut self, entry: Entry) {
        if entry.bytes.is_empty() {
            return; // an empty slice would never be "written"
        }
        self.bytes += entry.bytes.len();
        self.waiting = match std::mem::take(&mut self.waiting) {
            Waiting::Nothing => Waiting::One(entry),
            Waiting::One(first) => Waiting::Many(Box::new(VecDeque::from([first, entry]))),
            Waiting::Many(mut queue) => {
                queue.push_back(entry);
                Waiting::Many(queue)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: OutboxLimits = OutboxLimits { entries: 4, bytes: 100 };

    fn entry(bytes: &[u8]) -> Entry {
        Entry { bytes: Bytes::copy_from_slice(bytes), channel: None, events: 1 }
    }

    /// Writes at most `n` bytes of what waits, as a socket with little room would.
    fn write(outbox: &mut Outbox, n: usize, out: &mut Vec<u8>) {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = outbox.slices(&mut slices);
        let flat: Vec<u8> = slices[..count].iter().flat_map(|s| s.iter().copied()).take(n).collect();
        out.extend_from_slice(&flat);
        outbox.advance(flat.len());
    }

    #[test]
    fn overflow_refuses_by_count_and_by_bytes_but_two_always_fit() {
        let mut outbox = Outbox::default();
        for _ in 0..4 {
            outbox.push(entry(b"x"), &LIMITS).unwrap();
        }
        assert_eq!(outbox.push(entry(b"x"), &LIMITS), Err(Overflow { entries: 4, bytes: 4 }));

        let mut outbox = Outbox::default();
        outbox.push(entry(&[0; 300]), &LIMITS).unwrap();
        outbox.push(entry(&[0; 300]), &LIMITS).unwrap();
        assert!(outbox.push(entry(b"x"), &LIMITS).is_err());
    }

    #[test]
    fn a_half_written_entry_survives_the_cut() {
        let mut outbox = Outbox::default();
        let mut out = Vec::new();
        for text in [&b"first"[..], b"second", b"third"] {
            outbox.push(entry(text), &LIMITS).unwrap();
        }
        write(&mut outbox, 2, &mut out);
        assert_eq!((outbox.cut(), outbox.len()), (2, 1));
        outbox.push_last(Bytes::from_static(b"|close"));
        write(&mut outbox, 100, &mut out);
        assert_eq!(out, b"first|close");
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_untouched_entry_does_not_survive_the_cut() {
        let mut outbox = Outbox::default();
        outbox.push(entry(b"first"), &LIMITS).unwrap();
        outbox.push(entry(b"second"), &LIMITS).unwrap();
        let mut out = Vec::new();
        write(&mut outbox, 5, &mut out);
        assert_eq!(outbox.cut(), 1);
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }

    #[test]
    fn a_lifted_entry_survives_the_cut_and_only_one_untouched_entry_is_lifted() {
        let mut outbox = Outbox::default();
        let mut out = Vec::new();
        assert_eq!(outbox.lift(), None);
        outbox.push(entry(b"first"), &LIMITS).unwrap();
        assert_eq!(outbox.lift().unwrap(), &b"first"[..]);
        assert_eq!(outbox.lift(), None, "it is away");
        outbox.push(entry(b"second"), &LIMITS).unwrap();
        assert_eq!(outbox.cut(), 1);
        outbox.push_last(Bytes::from_static(b"|close"));
        outbox.land();
        write(&mut outbox, 100, &mut out);
        assert_eq!(out, b"first|close");

        for text in [&b"first"[..], b"second"] {
            outbox.push(entry(text), &LIMITS).unwrap();
        }
        assert_eq!(outbox.lift(), None, "several leave together");
        write(&mut outbox, 7, &mut out);
        assert_eq!(outbox.lift(), None, "it is half written");
    }

    #[test]
    fn a_landed_entry_of_which_nothing_was_written_is_as_it_was() {
        let mut outbox = Outbox::default();
        outbox.push(entry(b"first"), &LIMITS).unwrap();
        outbox.lift().unwrap();
        outbox.land();
        assert_eq!((outbox.cut(), outbox.is_empty()), (1, true));
    }

    #[test]
    fn the_head_goes_before_what_came_meanwhile() {
        let mut outbox = Outbox::default();
        outbox.push(entry(b"a"), &LIMITS).unwrap();
        outbox.push(entry(b"b"), &LIMITS).unwrap();
        outbox.push_head(Bytes::from_static(b"head "));
        let mut out = Vec::new();
        write(&mut outbox, 100, &mut out);
        assert_eq!(out, b"head ab");
    }

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_they_came(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30), steps in prop::collection::vec(1usize..50, 1..80)) {
            let limits = OutboxLimits { entries: 1000, bytes: 1 << 20 };
            let (mut outbox, mut out) = (Outbox::default(), Vec::new());
            let mut steps = steps.into_iter().cycle();
            for bytes in &entries {
                outbox.push(entry(bytes), &limits).unwrap();
                write(&mut outbox, steps.next().unwrap(), &mut out);
            }
            while !outbox.is_empty() {
                write(&mut outbox, steps.next().unwrap(), &mut out);
            }
            prop_assert_eq!(out, entries.concat());
            prop_assert_eq!(outbox.bytes(), 0);
        }
    }
}
