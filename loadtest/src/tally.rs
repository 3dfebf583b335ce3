//! What a receiving thread has heard, beside each connection's own check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checker::{Checker, Verdict};
use crate::latency::Latency;
use crate::series::{Board, Lately};
use crate::stamp::Stamp;

/// Counts of one thread; merged at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How late deliveries were; those of `lately` are not in it yet.
    pub latency: Latency,
    /// The same of who reads slowly, apart: what they read late says nothing of the server.
    pub slow_latency: Latency,
    /// What came since [`Tally::hand_over`].
    #[serde(skip)]
    pub lately: Lately,
    /// Events of this run.
    pub delivered: u64,
    /// Frames without one: other publishers', hints, comments.
    pub other: u64,
    /// Connections that ended before the run did, by reason.
    pub ended: BTreeMap<String, u64>,
    /// Those that read slowly, apart.
    pub slow_ended: BTreeMap<String, u64>,
    /// From the first packet to the last confirmation.
    pub connects: Latency,
    /// From a drop to having everything again.
    pub returns: Latency,
    /// Connections that came back from a drop with everything.
    pub returned: u64,
    /// Connections that left and joined another channel.
    pub joined: u64,
    /// Those of them that left by unsubscribing, and kept their connection.
    pub parted: u64,
    /// Pings of the server that were answered.
    pub pings: u64,
    /// Times that the server could not give what was missed.
    pub unrecovered: u64,
    /// When the first event came; 0 before.
    pub first: u64,
    /// When the last event came.
    pub last: u64,
}

impl Tally {
    /// Puts what came lately on the board, as part of `cut`, and into the sums.
    pub fn hand_over(&mut self, board: &Board, cut: usize) {
        self.latency.merge(&self.lately.latency);
        board.add(cut, &self.lately);
        self.lately.clear();
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.slow_latency.merge(&other.slow_latency);
        self.connects.merge(&other.connects);
        self.returns.merge(&other.returns);
        self.returned += other.returned;
        self.joined += other.joined;
        self.parted += other.parted;
        self.pings += other.pings;
        self.unrecovered += other.unrecovered;
        self.delivered += other.delivered;
        self.other += other.other;
        self.last = self.last.max(other.last);
        if self.first == 0 || (other.first > 0 && other.first < self.first) {
            self.first = other.first;
        }
        for (reason, count) in &other.ended {
            *self.ended.entry(reason.clone()).or_default() += count;
        }
        for (reason, count) in &other.slow_ended {
            *self.slow_ended.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Hears the events of one read: the time is asked once for all of them.
#[derive(Debug)]
pub struct Ear<'a> {
    /// Whose events count.
    pub run: u32,
    /// Bytes of each payload: where the next may begin.
    pub payload: usize,
    /// When the read returned.
    pub now: u64,
    /// Latencies count for what was due from here on.
    pub measure_from: u64,
    /// Whether it reads slowly.
    pub slow: bool,
    /// Where it is written down.
    pub tally: &'a mut Tally,
}

impl Ear<'_> {
    /// Takes all events in the payload of one frame. `hint` is where the last frame had its stamp.
    pub fn hear(&mut self, payload: &[u8], hint: &mut usize, checker: &mut Checker) {
        let mut from = 0;
        while let Some((at, stamp)) = Stamp::find(payload, from, *hint) {
            if from == 0 {
                *hint = at;
            }
            if stamp.run == self.run {
                self.take(stamp, checker);
            } else {
                self.tally.other += 1;
            }
            from = at + self.payload.max(crate::stamp::SMALLEST);
            if payload.len() < from + crate::stamp::SMALLEST {
                return;
            }
        }
        self.tally.other += u64::from(from == 0);
    }

    fn take(&mut self, stamp: Stamp, checker: &mut Checker) {
        match checker.take(stamp.channel, stamp.sequence) {
            Verdict::Skipped(count) => self.tally.lately.missing += count.cast_signed(),
            Verdict::Reordered => self.tally.lately.missing -= 1,
            Verdict::Fine | Verdict::Twice | Verdict::Stray => {}
        }
        if self.tally.delivered == 0 {
            self.tally.first = self.now;
        }
        self.tally.delivered += 1;
        self.tally.lately.delivered += 1;
        self.tally.last = self.now;
        if stamp.due >= self.measure_from {
            let latency = match self.slow {
                true => &mut self.tally.slow_latency,
                false => &mut self.tally.lately.latency,
            };
            latency.record(self.now.saturating_sub(stamp.due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Start;

    fn stamped(run: u32, sequence: u64, out: &mut Vec<u8>) {
        Stamp { run, channel: 0, sequence, due: 40 }.write(128, out);
    }

    #[test]
    fn one_frame_may_hold_several_events_and_those_of_others() {
        let mut payload = b"{\"data\":".to_vec();
        stamped(7, 1, &mut payload);
        payload.extend(b"}\n{\"data\":");
        stamped(8, 1, &mut payload);
        payload.extend(b"}\n{\"data\":");
        stamped(7, 2, &mut payload);
        payload.push(b'}');
        let mut tally = Tally::default();
        let mut checker = Checker::new([0], Start::First);
        let mut hint = 0;
        let mut ear = Ear { run: 7, payload: 128, now: 50, measure_from: 41, slow: false, tally: &mut tally };
        ear.hear(&payload, &mut hint, &mut checker);
        ear.hear(b"{\"type\":\"ping\"}", &mut hint, &mut checker);
        assert_eq!((tally.delivered, tally.other, tally.last, hint), (2, 2, 50, 8));
        assert_eq!(tally.lately.latency.count(), 0, "both were due before anything is measured");
        assert!(checker.finish(|_| 2).none());
    }
    #[test]
    fn what_slow_readers_read_late_counts_apart_and_is_checked_alike() {
        let mut tally = Tally::default();
        let mut hear = |slow, sequences: [u64; 2], now| {
            let mut checker = Checker::new([0], Start::First);
            for sequence in sequences {
                let mut payload = Vec::new();
                stamped(7, sequence, &mut payload);
                let mut ear = Ear { run: 7, payload: 128, now, measure_from: 0, slow, tally: &mut tally };
                ear.hear(&payload, &mut 0, &mut checker);
            }
            checker.finish(|_| 3)
        };
        assert_eq!(hear(false, [1, 2], 1_040).lost, 1);
        assert_eq!(hear(true, [1, 3], 9_000_000_040).lost, 1);
        assert_eq!((tally.delivered, tally.lately.delivered, tally.lately.missing), (4, 4, 1));
        assert_eq!((tally.lately.latency.count(), tally.slow_latency.count()), (2, 2));
        assert!(tally.lately.latency.percentiles().max_us < 10.0);
        assert!(tally.slow_latency.percentiles().p50_us > 8e6);
    }
}
