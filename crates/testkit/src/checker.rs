//! What a client must have heard: compares its log, afterwards, with what was published.
//!
//! Logs come in, faults come out: silently lost, twice, reordered, foreign. What a client missed while it knew
//! itself away is told, not lost. It knows neither doors nor time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// Everything that was published, in publish order. Payloads are unique within their channel.
#[derive(Debug, Clone, Default)]
pub struct Published {
    count: usize,
    channels: BTreeMap<String, Channel>,
    excused: BTreeSet<usize>,
}

#[derive(Debug, Clone, Default)]
struct Channel {
    /// The place among all events, of each event of this channel.
    places: Vec<usize>,
    index: HashMap<String, usize>,
    last: String,
}

/// One line of a client's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It heard this.
    Event {
        /// On this channel.
        channel: String,
        /// The payload, as published.
        payload: String,
    },
    /// It noticed that its connection was gone.
    Away,
    /// It was subscribed again, to all its channels, before event number `place` was published.
    Back {
        /// [`Published::count`] when the confirmation was there.
        place: usize,
    },
}

/// What one client should hear and what it heard.
#[derive(Debug, Clone)]
pub struct Log {
    /// In messages.
    pub client: String,
    /// The channels it was subscribed to before event number `from` was published.
    pub channels: Vec<String>,
    /// [`Published::count`] when it was subscribed.
    pub from: usize,
    /// In the order heard.
    pub entries: Vec<Entry>,
}

/// What went wrong, in events; with the first few in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Published while the client was subscribed, never heard, and the client could not know.
    pub lost: usize,
    /// Heard again.
    pub twice: usize,
    /// Heard after a later one.
    pub reordered: usize,
    /// Of a channel that was not the client's, or never published.
    pub foreign: usize,
    /// Missed while the client knew itself away, or excused: no fault of an event without a position.
    pub told: usize,
    /// The first few faults in words.
    pub examples: Vec<String>,
}

const EXAMPLES: usize = 8;

impl Published {
    /// Notes that `payload` is about to be published in `channel`.
    ///
    /// # Panics
    /// When the channel had the same payload before: the two could not be told apart.
    pub fn push(&mut self, channel: &str, payload: &str) {
        let known = self.channels.entry(channel.to_owned()).or_default();
        let before = known.index.insert(payload.to_owned(), known.places.len());
        assert!(before.is_none(), "{payload} was published twice in {channel}");
        known.places.push(self.count);
        payload.clone_into(&mut known.last);
        self.count += 1;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The last one of a channel.
    pub fn last(&self, channel: &str) -> Option<&str> {
        self.channels.get(channel).map(|known| known.last.as_str())
    }

    /// How many of them are in one of these channels.
    pub fn count_in<'a>(&self, channels: impl IntoIterator<Item = &'a String>) -> usize {
        channels.into_iter().filter_map(|name| self.channels.get(name)).map(|known| known.places.len()).sum()
    }

    /// Events number `places` may be missing at any client: whoever published them was told so, or they were on their way
    /// when something broke that keeps nothing. Heard twice or out of order they are faults all the same.
    pub fn excuse(&mut self, places: impl IntoIterator<Item = usize>) {
        self.excused.extend(places);
    }

    /// All faults of these clients.
    pub fn check<'a>(&self, logs: impl IntoIterator<Item = &'a Log>) -> Faults {
        let mut faults = Faults::default();
        for log in logs {
            self.check_one(log, usize::MAX, &mut faults);
        }
        faults
    }

    /// All faults of a client that left: what was published from event number `until` on is not due to it.
    pub fn check_stay(&self, log: &Log, until: usize) -> Faults {
        let mut faults = Faults::default();
        self.check_one(log, until, &mut faults);
        faults
    }

    fn check_one(&self, log: &Log, until: usize, faults: &mut Faults) {
        let mut tracks: BTreeMap<&str, Track> = log
            .channels
            .iter()
            .map(|name| (name.as_str(), Track { due: log.from, ..Track::default() }))
            .collect();
        for entry in &log.entries {
            match entry {
                // Who is still away at the end has lost what came since: it should have come back.
                Entry::Away => {}
                Entry::Back { place } => {
                    for (name, track) in &mut tracks {
                        let end = self.places(name).partition_point(|p| p < place);
                        track.excused.push((track.next, end));
                    }
                }
                Entry::Event { channel, payload } => {
                    let at = self.channels.get(channel).and_then(|known| known.index.get(payload));
                    match (tracks.get_mut(channel.as_str()), at) {
                        (Some(track), Some(&at)) => match track.take(at) {
                            Verdict::Fine => {}
                            Verdict::Twice => faults.twice += faults.note(log, "twice", channel, payload),
                            Verdict::Reordered => {
                                faults.reordered += faults.note(log, "reordered", channel, payload);
                            }
                        },
                        _ => faults.foreign += faults.note(log, "foreign", channel, payload),
                    }
                }
            }
        }
        for (name, track) in &tracks {
            let places = self.places(name);
            let first = places.partition_point(|place| *place < track.due);
            let end = places.partition_point(|place| *place < until);
            for at in (first..end).filter(|at| !track.seen.contains(at)) {
                let is_away = track.excused.iter().any(|(start, end)| (*start..*end).contains(&at));
                if is_away || self.excused.contains(&places[at]) {
                    faults.told += 1;
                } else {
                    faults.lost += faults.note(log, "lost", name, &format!("event {at} of it"));
                }
            }
        }
    }

    fn places(&self, channel: &str) -> &[usize] {
        self.channels.get(channel).map_or(&[], |known| &known.places)
    }
}

enum Verdict {
    Fine,
    Twice,
    Reordered,
}

/// One channel of one client.
#[derive(Default)]
struct Track {
    /// The place from which everything is due.
    due: usize,
    /// One more than the latest heard.
    next: usize,
    seen: HashSet<usize>,
    /// Events that may be missing: from the last one heard to the place where it was back.
    excused: Vec<(usize, usize)>,
}

impl Track {
    fn take(&mut self, at: usize) -> Verdict {
        if !self.seen.insert(at) {
            return Verdict::Twice;
        }
        if at < self.next {
            return Verdict::Reordered;
        }
        self.next = at + 1;
        Verdict::Fine
    }
}

impl Faults {
    /// These faults too.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.told += other.told;
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    /// Whether there was none. What was told is none.
    pub fn none(&self) -> bool {
        self.lost + self.twice + self.reordered + self.foreign == 0
    }

    fn note(&mut self, log: &Log, what: &str, channel: &str, payload: &str) -> usize {
        if self.examples.len() < EXAMPLES {
            let payload: String = payload.chars().take(60).collect();
            self.examples.push(format!("{}: {what}: {channel} {payload}", log.client));
        }
        1
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, twice, reordered, foreign, told, examples } = self;
        write!(
            f,
            "lost {lost}, twice {twice}, reordered {reordered}, foreign {foreign}, missed and told {told}"
        )?;
        examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten events: a0 b0 a1 b1 … a4 b4.
    fn published() -> Published {
        let mut published = Published::default();
        for n in 0..5 {
            published.push("a", &format!("a{n}"));
            published.push("b", &format!("b{n}"));
        }
        published
    }

    /// What a client of channel a heard: payloads, `away`, `back:<place>`.
    fn faults(heard: &str) -> [usize; 5] {
        faults_from(0, heard)
    }

    fn faults_from(from: usize, heard: &str) -> [usize; 5] {
        let entries = heard.split_whitespace().map(|word| match word.split_once(':') {
            Some((_, place)) => Entry::Back { place: place.parse().expect("a place") },
            None if word == "away" => Entry::Away,
            None => Entry::Event { channel: word[..1].to_owned(), payload: word.to_owned() },
        });
        let log = Log { client: "c".into(), channels: vec!["a".into()], from, entries: entries.collect() };
        let f = published().check([&log]);
        assert_eq!(f.none(), f.examples.is_empty(), "{f}");
        [f.lost, f.twice, f.reordered, f.foreign, f.told]
    }

    #[test]
    fn all_of_its_channels_in_order_is_no_fault() {
        assert_eq!(faults("a0 a1 a2 a3 a4"), [0, 0, 0, 0, 0]);
        assert_eq!(faults_from(3, "a2 a3 a4"), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn planted_faults_are_found() {
        for (heard, found) in [
            ("a1 a2 a3 a4", [1, 0, 0, 0, 0]),
            ("a0 a1 a4", [2, 0, 0, 0, 0]),
            ("a0 a1 a2 a3", [1, 0, 0, 0, 0]),
            ("", [5, 0, 0, 0, 0]),
            ("a0 a1 a1 a2 a3 a4", [0, 1, 0, 0, 0]),
            ("a0 a1 a2 a3 a4 a0", [0, 1, 0, 0, 0]),
            ("a0 a2 a1 a3 a4", [0, 0, 1, 0, 0]),
            ("a0 a1 b0 a2 a3 a4", [0, 0, 0, 1, 0]),
            ("a0 a1 a2 a9 a3 a4", [0, 0, 0, 1, 0]),
        ] {
            assert_eq!(faults(heard), found, "{heard}");
        }
    }

    #[test]
    fn what_was_missed_while_away_is_told() {
        assert_eq!(faults("a0 away back:6 a3 a4"), [0, 0, 0, 0, 2]);
        // a3 (place 6) was published after it was back.
        assert_eq!(faults("a0 away back:6 a4"), [1, 0, 0, 0, 2]);
        // An event that came although it was excused is fine, and in order.
        assert_eq!(faults("a0 away back:6 a2 a3 a4"), [0, 0, 0, 0, 1]);
        // Before it was away nothing is excused.
        assert_eq!(faults("a1 away back:6 a3 a4"), [1, 0, 0, 0, 1]);
    }

    #[test]
    fn who_never_comes_back_has_lost_the_rest() {
        assert_eq!(faults("a0 away"), [4, 0, 0, 0, 0]);
    }

    #[test]
    fn to_who_left_nothing_is_due_any_more() {
        let heard = ["a1", "a2"].map(|payload| Entry::Event { channel: "a".into(), payload: payload.into() });
        let log = Log { client: "c".into(), channels: vec!["a".into()], from: 2, entries: heard.to_vec() };
        let lost = |until| published().check_stay(&log, until).lost;
        assert_eq!([5, 6, 7, 9].map(lost), [0, 0, 1, 2], "a3 is event number 6, a4 number 8");
        assert!(!published().check([&log]).none(), "who stays has lost them");
    }

    #[test]
    fn an_excused_event_may_be_missing_and_nothing_else() {
        let mut published = published();
        published.excuse([2, 4]); // a1, a2
        let check = |heard: &[&str]| {
            let event = |p: &&str| Entry::Event { channel: "a".into(), payload: (*p).to_owned() };
            let entries = heard.iter().map(event).collect();
            let f =
                published.check([&Log { client: "c".into(), channels: vec!["a".into()], from: 0, entries }]);
            [f.lost, f.twice, f.reordered, f.foreign, f.told]
        };
        assert_eq!(check(&["a0", "a3", "a4"]), [0, 0, 0, 0, 2]);
        assert_eq!(check(&["a0", "a2", "a3", "a4"]), [0, 0, 0, 0, 1]);
        assert_eq!(check(&["a0", "a4"]), [1, 0, 0, 0, 2]);
        assert_eq!(check(&["a0", "a2", "a1", "a1", "a3", "a4"]), [0, 1, 1, 0, 0]);
    }

    #[test]
    fn a_repeat_after_coming_back_is_found() {
        assert_eq!(faults("a0 a1 away back:6 a1 a3 a4"), [0, 1, 0, 0, 1]);
    }
}
