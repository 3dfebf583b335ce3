//! Where the names are that somebody wants.
//!
//! It knows who asks and where Redis has confirmed what; it asks nobody itself.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::table::{Table, slot};

/// The names. Bounded by what callers want at once.
#[derive(Default)]
pub(super) struct Places(HashMap<String, Wanted>);

/// A name that somebody wants.
struct Wanted {
    /// Kept, because all names are looked at whenever slots move.
    slot: u16,
    place: Place,
    /// Callers that wait for its confirmation.
    asking: u32,
    /// Whether one of them had it, so that no other's failure ends it.
    is_held: bool,
}

/// Where a name is subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A caller waits for the first confirmation.
    Asking,
    /// On this shard.
    On(u16),
    /// Its shard has ended it, or is not its owner any more.
    Nowhere { since: Instant },
}

/// What is not where it belongs.
#[derive(Debug, Default)]
pub(super) struct Misplaced {
    /// To be subscribed at their owners.
    pub(super) joining: Vec<String>,
    /// To be unsubscribed at these shards.
    pub(super) leaving: BTreeMap<u16, Vec<String>>,
    /// Whether there are names whose slot is nobody's.
    pub(super) are_homeless: bool,
}

impl Places {
    /// A caller asks for these. It must hold them or give them up later.
    pub(super) fn ask(&mut self, names: &[String]) {
        for name in names {
            let new = || Wanted { slot: slot(name), place: Place::Asking, asking: 0, is_held: false };
            self.0.entry(name.clone()).or_insert_with(new).asking += 1;
        }
    }

    /// A caller has what it asked for.
    pub(super) fn hold(&mut self, names: &[String]) {
        for name in names {
            if let Some(wanted) = self.0.get_mut(name) {
                wanted.asking = wanted.asking.saturating_sub(1);
                wanted.is_held = true;
            }
        }
    }

    /// A caller waits no longer. Returns what nobody wants any more, by the shard that may have it.
    pub(super) fn give_up(&mut self, names: &[String], table: &Table) -> BTreeMap<u16, Vec<String>> {
        let mut unwanted = Vec::new();
        for name in names {
            if let Some(wanted) = self.0.get_mut(name) {
                wanted.asking = wanted.asking.saturating_sub(1);
                if wanted.asking == 0 && !wanted.is_held {
                    unwanted.push(name.clone());
                }
            }
        }
        self.remove(unwanted, table)
    }

    /// Nobody wants these any more. Returns them by the shard that may have them.
    pub(super) fn remove(&mut self, names: Vec<String>, table: &Table) -> BTreeMap<u16, Vec<String>> {
        let mut leaving = BTreeMap::<u16, Vec<String>>::new();
        for name in names {
            let Some(wanted) = self.0.remove(&name) else { continue };
            let number = match wanted.place {
                Place::On(number) => Some(number),
                // Its owner may have confirmed it.
                Place::Asking => table.owner_of(wanted.slot),
                Place::Nowhere { .. } => None,
            };
            if let Some(number) = number {
                leaving.entry(number).or_default().push(name);
            }
        }
        leaving
    }

    /// A shard has confirmed these to a caller. Whether all of them are where they belong.
    pub(super) fn confirmed(&mut self, number: u16, names: &[String], table: &Table) -> bool {
        let mut are_right = true;
        for name in names {
            if let Some(wanted) = self.0.get_mut(name) {
                if wanted.place == Place::Asking {
                    wanted.place = Place::On(number);
                }
                are_right &= table.owner_of(wanted.slot) == Some(number)
                    && !matches!(wanted.place, Place::Nowhere { .. });
            }
        }
        are_right
    }

    /// A shard does not have these any more. Whether any of them was wanted there.
    pub(super) fn lost(&mut self, number: u16, names: &[String]) -> bool {
        let mut was_any = false;
        for name in names {
            if let Some(wanted) = self.0.get_mut(name)
                && matches!(wanted.place, Place::On(at) if at == number) | (wanted.place == Place::Asking)
            {
                wanted.place = Place::Nowhere { since: Instant::now() };
                was_any = true;
            }
        }
        was_any
    }

    /// These were brought to their shard. Returns those that were unsubscribed meanwhile.
    pub(super) fn placed(
        &mut self,
        number: u16,
        names: &[String],
        mut tell: impl FnMut(&str),
    ) -> Vec<String> {
        let mut unwanted = Vec::new();
        for name in names {
            match self.0.get_mut(name) {
                Some(wanted) => {
                    wanted.place = Place::On(number);
                    tell(name);
                }
                None => unwanted.push(name.clone()),
            }
        }
        unwanted
    }

    /// What is not where the table says. Callers that ask bring their names to the right place themselves.
    pub(super) fn misplaced(&mut self, table: &Table) -> Misplaced {
        let mut misplaced = Misplaced::default();
        for (name, wanted) in &mut self.0 {
            let owner = table.owner_of(wanted.slot);
            let former = match wanted.place {
                Place::Asking => continue,
                Place::On(number) if Some(number) == owner => continue,
                Place::On(number) => Some(number),
                Place::Nowhere { .. } => None,
            };
            if owner.is_none() {
                misplaced.are_homeless = true; // the slot is nobody's for now
                continue;
            }
            misplaced.joining.push(name.clone());
            if let Some(former) = former {
                wanted.place = Place::Nowhere { since: Instant::now() };
                misplaced.leaving.entry(former).or_default().push(name.clone());
            }
        }
        misplaced
    }

    /// Whether a name, if anybody wants it, is subscribed on this shard.
    pub(super) fn is_nowhere_but_on(&self, number: u16, name: &str) -> bool {
        self.0.get(name).is_none_or(|wanted| wanted.place == Place::On(number))
    }

    /// Whether any of these is nowhere for so long.
    pub(super) fn are_nowhere_for(&self, names: &[String], time: Duration) -> bool {
        names
            .iter()
            .filter_map(|name| self.0.get(name))
            .any(|wanted| matches!(wanted.place, Place::Nowhere { since } if since.elapsed() >= time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookout::slots::{Master, SlotMap};

    /// Everything is on shard 0.
    fn table() -> Table {
        let id = String::from("a");
        let master = Master { id, host: "h".into(), port: 1, ranges: vec![(0, 16383)] };
        let mut table = Table::new();
        table.update(&SlotMap { masters: vec![master], replicas: Vec::new() });
        table
    }

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn who_gives_up_takes_nothing_from_others() {
        let (mut places, table) = (Places::default(), table());
        // Two callers ask for b at once; one has it, the other fails.
        places.ask(&names("a b"));
        places.ask(&names("b c"));
        assert!(places.confirmed(0, &names("b c"), &table));
        places.hold(&names("b c"));
        assert_eq!(places.give_up(&names("a b"), &table), BTreeMap::from([(0, names("a"))]));
        // The same the other way round.
        places.ask(&names("d"));
        places.ask(&names("d"));
        assert!(places.give_up(&names("d"), &table).is_empty(), "somebody still waits for it");
        places.hold(&names("d"));
        // Asking again and failing changes nothing either.
        places.ask(&names("b d"));
        assert!(places.give_up(&names("b d"), &table).is_empty());
        let mut left: Vec<&str> = places.0.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["b", "c", "d"]);
    }

    #[test]
    fn a_caller_that_asks_twice_in_one_breath_leaves_nothing() {
        let (mut places, table) = (Places::default(), table());
        places.ask(&names("a a"));
        places.give_up(&names("a a"), &table);
        assert!(places.0.is_empty());
    }

    #[test]
    fn what_was_ended_while_it_was_asked_for_is_brought_back() {
        let (mut places, table) = (Places::default(), table());
        places.ask(&names("a"));
        assert!(places.lost(0, &names("a")));
        assert!(!places.confirmed(0, &names("a"), &table), "the confirmation is older than the end");
        places.hold(&names("a"));
        assert_eq!(places.misplaced(&table).joining, names("a"));
        assert!(places.are_nowhere_for(&names("a"), Duration::ZERO));
        assert!(!places.are_nowhere_for(&names("a"), Duration::from_secs(60)));
        assert!(places.placed(0, &names("a"), |_| {}).is_empty());
        assert!(places.misplaced(&table).joining.is_empty());
        assert!(!places.lost(3, &names("a")), "what another shard ended");
    }
}
