//! The verdict: what every client of a run should have been told, and was.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use tidegate_core::Position;

use super::names::Names;
use super::replay::{Judged, Replay};
use super::{Ledger, Lineage, Log, Told};

/// What went wrong, in events; with the first few in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the history, due to the client, never heard, and the client was not told.
    pub lost: usize,
    /// Heard again, or standing twice in the history.
    pub twice: usize,
    /// Heard after a later one.
    pub reordered: usize,
    /// Of a channel that was not the client's, never published, or before any position.
    pub foreign: usize,
    /// Under a position that somebody was told for another event; or with, or without, a key that it does not have.
    pub wrong: usize,
    /// Frames that go on behind what the client neither got nor was told of.
    pub skips: usize,
    /// Offsets of the history whose event nobody knows.
    pub holes: usize,
    /// Clients that are not where the history ends, though they are subscribed.
    pub behind: usize,
    /// No fault: missed, and the client was told.
    pub told: usize,
    /// No fault: acknowledged events that died with a server, not counting those that were published again.
    pub died: usize,
    /// No fault: heard again after they died and were retried, with the key that shows it.
    pub repeated: usize,
    /// The first few faults in words.
    pub examples: Vec<String>,
}

const EXAMPLES: usize = 12;

/// Judges these clients. `lineages` is what Redis held of each channel at the end, when all was quiet.
pub fn judge<'a>(
    ledger: &Ledger,
    lineages: &BTreeMap<String, Lineage>,
    logs: impl IntoIterator<Item = &'a Log>,
) -> Verdict {
    let mut verdict = Verdict::default();
    let lineage = |name: &String| lineages.get(name);
    let mut names: Vec<Names<'_>> = ledger.channels().iter().map(|name| Names::new(lineage(name))).collect();
    for (number, channel, at) in ledger.told() {
        let other = names[channel].acknowledge(at, number);
        verdict.name("its publisher", ledger, channel, at, number, other);
    }
    // All names first: an event that a client was to hear may be known from another client alone.
    let replays: Vec<(&Log, Vec<Replay<'_>>)> =
        logs.into_iter().map(|log| (log, verdict.replay(ledger, lineages, log, &mut names))).collect();
    for (log, replays) in &replays {
        for (replay, channel) in replays.iter().zip(&log.channels) {
            if let Some(lineage) = lineages.get(channel) {
                let names = ledger.index(channel).map(|at| &names[at]);
                verdict.due(log, channel, replay, lineage, names);
            }
        }
    }
    verdict.history(ledger, lineages, &names);
    verdict
}

impl Verdict {
    /// Whether there was no fault.
    pub fn none(&self) -> bool {
        let Self { lost, twice, reordered, foreign, wrong, skips, holes, behind, .. } = self;
        lost + twice + reordered + foreign + wrong + skips + holes + behind == 0
    }

    fn replay<'a>(
        &mut self,
        ledger: &Ledger,
        lineages: &'a BTreeMap<String, Lineage>,
        log: &Log,
        names: &mut [Names<'a>],
    ) -> Vec<Replay<'a>> {
        let mut replays: Vec<_> = log.channels.iter().map(|name| Replay::new(lineages.get(name))).collect();
        for line in &log.lines {
            let channel = match line.told {
                Told::Closed(_) => continue,
                Told::Subscribed { channel, .. }
                | Told::Event { channel, .. }
                | Told::Position { channel, .. }
                | Told::Gap { channel, .. }
                | Told::Left { channel }
                | Told::Ended { channel } => channel,
            };
            let (Some(replay), Some(name)) = (replays.get_mut(channel), log.channels.get(channel)) else {
                self.foreign += self.note(log, name_of(log, channel), "foreign", &line.told);
                continue;
            };
            let mut is_keyed = false;
            if let Told::Event { number, keyed, .. } = line.told {
                let publish = number.and_then(|number| ledger.get(number));
                let Some(publish) = publish.filter(|p| Some(p.channel) == ledger.index(name)) else {
                    self.foreign += self.note(log, name, "foreign", &line.told);
                    continue;
                };
                is_keyed = publish.keyed;
                if keyed.is_some_and(|keyed| keyed != is_keyed) {
                    self.wrong += self.note(log, name, "its key is not as published", &line.told);
                }
            }
            match replay.step(&line.told, is_keyed) {
                Judged::Fine => {}
                Judged::Twice => self.twice += self.note(log, name, "twice", &line.told),
                Judged::Repeated => self.repeated += 1,
                Judged::Reordered => self.reordered += self.note(log, name, "reordered", &line.told),
                Judged::Skips => self.skips += self.note(log, name, "skips", &line.told),
                Judged::Unplaced => self.foreign += self.note(log, name, "before any position", &line.told),
            }
            if let (Told::Event { offset: Some(offset), number: Some(number), .. }, Some(at), Some(channel)) =
                (line.told, replay.at(), ledger.index(name))
            {
                let at = Position { epoch: at.epoch, offset };
                let other = names[channel].give(at, number);
                self.name(&log.client, ledger, channel, at, number, other);
            }
        }
        replays
    }

    /// What one client should have heard in one channel.
    fn due(
        &mut self,
        log: &Log,
        name: &str,
        replay: &Replay<'_>,
        lineage: &Lineage,
        names: Option<&Names<'_>>,
    ) {
        let at = replay.at();
        if replay.is_in && at != Some(lineage.top) {
            self.behind += 1;
            self.example(format!(
                "{}: {name}: it stands at {at:?}, and the history ends at {:?}",
                log.client, lineage.top
            ));
        }
        let is_lost = |offset: &u64| match names.and_then(|names| names.living(*offset)) {
            Some(number) => !replay.heard.contains(&number) && !replay.was_absent(*offset),
            None => false, // a hole, counted once
        };
        for offset in replay.due().filter(is_lost) {
            if replay.was_told(offset) {
                self.told += 1;
            } else {
                self.lost += 1;
                self.example(format!("{}: {name}: lost: event {offset}", log.client));
            }
        }
    }

    /// What the histories themselves show.
    fn history(&mut self, ledger: &Ledger, lineages: &BTreeMap<String, Lineage>, names: &[Names<'_>]) {
        let mut offsets: HashMap<u64, u64> = HashMap::new();
        for (name, names) in ledger.channels().iter().zip(names) {
            for (number, offset) in names.all_living() {
                if let Some(other) = offsets.insert(number, offset) {
                    self.twice += 1;
                    self.example(format!("{name}: event {number} stands at {other} and at {offset}"));
                }
            }
            let end = lineages.get(name).map_or(0, |lineage| lineage.top.offset);
            let holes = (1..=end).filter(|offset| names.living(*offset).is_none()).count();
            if holes > 0 {
                self.example(format!("{name}: nobody knows {holes} of its {end} events"));
            }
            self.holes += holes;
        }
        let mut died: Vec<u64> =
            ledger.told().map(|(number, ..)| number).filter(|number| !offsets.contains_key(number)).collect();
        died.dedup();
        self.died = died.len();
    }

    fn name(
        &mut self,
        who: &str,
        ledger: &Ledger,
        channel: usize,
        at: Position,
        number: u64,
        other: Option<u64>,
    ) {
        if let Some(other) = other {
            self.wrong += 1;
            let channel = &ledger.channels()[channel];
            self.example(format!("{who}: {channel}: {at} is event {number}, and event {other} to others"));
        }
    }

    fn note(&mut self, log: &Log, channel: &str, what: &str, told: &Told) -> usize {
        self.example(format!("{}: {channel}: {what}: {told:?}", log.client));
        1
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }
}

fn name_of(log: &Log, channel: usize) -> &str {
    log.channels.get(channel).map_or("?", String::as_str)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, twice, reordered, foreign, wrong, skips, holes, behind, .. } = self;
        write!(
            f,
            "lost {lost}, twice {twice}, reordered {reordered}, wrong under a position {wrong}, foreign {foreign}, skips {skips}, \
             holes {holes}, behind {behind}; told {}, died {}, repeated under a key {}",
            self.told, self.died, self.repeated
        )?;
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}
