//! What applications should have been handed, and were: at most what Redis holds in the end, and what died with it.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_client::Position;
use tidegate_testkit::RedisServer;
use tidegate_testkit::history::Lineage;

use crate::application::{CHANNELS, Ear, Notes, Press};

/// The histories as they stand now.
pub(crate) struct Histories([Lineage; CHANNELS.len()]);

/// What was found, in events of all applications.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Acknowledged and alive, and never handled.
    pub(crate) lost: usize,
    /// Handled again.
    pub(crate) twice: usize,
    /// Handled after a later one.
    pub(crate) reordered: usize,
    /// Handled under the position of another event.
    pub(crate) wrong: usize,
    /// Handled, died since, and no position below was told.
    pub(crate) untold: usize,
    /// Offsets of the histories that no publisher was told: published twice.
    pub(crate) holes: usize,
    /// Channels in which an application does not stand at the end.
    pub(crate) behind: usize,
    /// Gaps told.
    pub(crate) gaps: usize,
}

impl Histories {
    pub(crate) fn read(redis: &RedisServer) -> Self {
        Self(CHANNELS.map(|name| redis.lineage(name).expect("redis").expect("a history")))
    }

    /// Whether this application stands where they end.
    pub(crate) fn are_reached(&self, notes: &Notes) -> bool {
        self.0.iter().zip(notes.stands).all(|(lineage, at)| at == Some(lineage.top))
    }

    /// Whether the event with this name is in its channel's history.
    fn lives(&self, channel: usize, at: Position) -> bool {
        let Lineage { top, former } = &self.0[channel];
        let end = former.iter().find(|(epoch, _)| *epoch == at.epoch).map(|(_, end)| *end);
        let end = if at.epoch == top.epoch { Some(top.offset) } else { end };
        end.is_some_and(|end| at.offset <= end)
    }
}

/// How many acknowledged events died for good, and how many live again since they were published again.
pub(crate) fn died(press: &Press, histories: &Histories) -> (usize, usize) {
    let book = press.book.lock().expect("whole");
    let (mut died, mut again) = (0, 0);
    for (number, told) in (0..).zip(book.iter()) {
        let lives = |at: &Position| histories.lives(Press::channel(number), *at);
        match (told.iter().any(lives), told.iter().all(lives)) {
            (false, _) => died += 1,
            (true, false) => again += 1,
            (true, true) => {}
        }
    }
    (died, again)
}

pub(crate) fn judge(press: &Press, histories: &Histories, ears: &[Ear]) -> Found {
    let mut found = Found::default();
    // Number → its offset in the history that lives; the numbers that were published again.
    let (mut living, mut moved): (BTreeMap<u64, u64>, BTreeSet<u64>) = Default::default();
    for (number, told) in (0..).zip(press.book.lock().expect("whole").iter()) {
        assert!(!told.is_empty(), "event {number} was not acknowledged");
        let alive = told.iter().filter(|at| histories.lives(Press::channel(number), **at));
        living.extend(alive.map(|at| (number, at.offset)));
        if told.len() > 1 {
            moved.insert(number);
        }
    }
    let total: u64 = histories.0.iter().map(|lineage| lineage.top.offset).sum();
    found.holes = (total as usize).abs_diff(living.len());
    for ear in ears {
        ear.look(|notes| found.application(notes, histories, &living, &moved));
    }
    found
}

impl Found {
    fn application(
        &mut self,
        notes: &Notes,
        histories: &Histories,
        living: &BTreeMap<u64, u64>,
        moved: &BTreeSet<u64>,
    ) {
        let mut seen = BTreeSet::new();
        let mut last = [0; CHANNELS.len()];
        for (nth, handled) in notes.handled.iter().enumerate() {
            let channel = handled.channel;
            self.twice += usize::from(!seen.insert(handled.number));
            if histories.lives(channel, handled.at) {
                self.wrong += usize::from(living.get(&handled.number) != Some(&handled.at.offset));
                if !moved.contains(&handled.number) {
                    self.reordered += usize::from(handled.at.offset <= last[channel]);
                    last[channel] = handled.at.offset;
                }
            } else {
                let is_told = |&(before, of, at): &(usize, usize, Position)| {
                    before > nth
                        && of == channel
                        && at.epoch != handled.at.epoch
                        && at.offset < handled.at.offset
                };
                self.untold += usize::from(!notes.told.iter().any(is_told));
            }
        }
        self.lost += living.keys().filter(|number| !seen.contains(number)).count();
        self.gaps += notes.gaps;
        self.behind +=
            histories.0.iter().zip(notes.stands).filter(|(lineage, at)| *at != Some(lineage.top)).count();
    }
}
