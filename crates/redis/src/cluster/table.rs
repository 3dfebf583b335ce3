//! Which shard holds which slot. Shards have small numbers that stay when their master changes.

use std::collections::BTreeMap;

use crate::lookout::slots::{SLOTS, SlotMap};

/// No shard holds the slot.
const NOBODY: u16 = u16::MAX;

/// Names that are tried to find one of a shard: some milliseconds, and of a single slot one in twenty finds none.
const NAMES: u32 = 50_000;

/// The slots and their shards.
#[derive(Debug)]
pub(super) struct Table {
    /// For each slot the number of its shard.
    owners: Box<[u16]>,
    /// For each shard the id of its master.
    masters: BTreeMap<u16, String>,
    next: u16,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { owners: vec![NOBODY; SLOTS].into(), masters: BTreeMap::new(), next: 0 }
    }

    /// The shard that holds a pub/sub name or key.
    pub(super) fn owner(&self, name: &str) -> Option<u16> {
        self.owner_of(slot(name))
    }

    /// The shard that holds a slot.
    pub(super) fn owner_of(&self, slot: u16) -> Option<u16> {
        Some(self.owners[usize::from(slot)]).filter(|&owner| owner != NOBODY)
    }

    /// The id of a shard's master.
    pub(super) fn master(&self, number: u16) -> Option<&str> {
        self.masters.get(&number).map(String::as_str)
    }

    /// The first of these names that a shard holds. Where it holds few slots there may be none among those tried.
    pub(super) fn name_on(&self, number: u16, name: &dyn Fn(u32) -> String) -> Option<String> {
        (0..NAMES).map(name).find(|name| self.owner(name) == Some(number))
    }

    /// Takes over a new map. Returns the number of each master's shard, in the map's order: the one it
    /// had, or that of the shard whose slots it has taken over (a failover), or a new one.
    pub(super) fn update(&mut self, map: &SlotMap) -> Vec<u16> {
        let ids: Vec<&str> = map.masters.iter().map(|master| master.id.as_str()).collect();
        let mut numbers: Vec<Option<u16>> = ids.iter().map(|id| self.number_of(id)).collect();
        for at in 0..numbers.len() {
            if numbers[at].is_none() {
                let heir = self.predecessor(&map.masters[at].ranges).filter(|former| {
                    !numbers.contains(&Some(*former)) // its master is still there, with other slots
                });
                numbers[at] = Some(heir.unwrap_or_else(|| self.take_number()));
            }
        }
        let numbers: Vec<u16> = numbers.into_iter().flatten().collect();
        self.owners.fill(NOBODY);
        self.masters.clear();
        for (master, &number) in map.masters.iter().zip(&numbers) {
            self.masters.insert(number, master.id.clone());
            for &(first, last) in &master.ranges {
                self.owners[usize::from(first)..=usize::from(last)].fill(number);
            }
        }
        numbers
    }

    fn number_of(&self, id: &str) -> Option<u16> {
        self.masters.iter().find(|(_, known)| *known == id).map(|(&number, _)| number)
    }

    /// The shard that held most of these slots.
    fn predecessor(&self, ranges: &[(u16, u16)]) -> Option<u16> {
        let mut counts = BTreeMap::<u16, usize>::new();
        for &(first, last) in ranges {
            for &owner in &self.owners[usize::from(first)..=usize::from(last)] {
                *counts.entry(owner).or_default() += 1;
            }
        }
        counts.remove(&NOBODY);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(number, _)| number)
    }

    fn take_number(&mut self) -> u16 {
        let number = self.next;
        // Wraps after 65,535 new masters in one node's life; a number in use is never given.
        self.next = if number == NOBODY - 1 { 0 } else { number + 1 };
        if self.masters.contains_key(&number) { self.take_number() } else { number }
    }
}

/// The slot of a name: CRC16 (XMODEM) of its hash tag
/// (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>).
pub(super) fn slot(name: &str) -> u16 {
    let tag = name.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let tag = tag.filter(|tag| !tag.is_empty()).unwrap_or(name);
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookout::slots::Master;

    fn map(masters: &[(&str, &[(u16, u16)])]) -> SlotMap {
        let masters = masters.iter().map(|(id, ranges)| Master {
            id: (*id).to_owned(),
            host: "h".into(),
            port: 1,
            ranges: ranges.to_vec(),
        });
        SlotMap { masters: masters.collect(), replicas: Vec::new() }
    }

    #[test]
    fn slots_are_those_of_redis() {
        // `redis-cli CLUSTER KEYSLOT`, 7.0.15.
        for (name, expected) in [
            ("123456789", 12739),
            ("tg:{chat:42}", 8175),
            ("{chat:42}", 8175),
            ("chat:42", 8175),
            ("a{}b", 13694),
            ("tg:{a}{b}", 15495),
        ] {
            assert_eq!(slot(name), expected, "{name}");
        }
    }

    #[test]
    fn a_master_keeps_its_number_and_a_promoted_replica_gets_its_predecessors() {
        let mut table = Table::new();
        assert_eq!(table.owner("a"), None);
        let three = [("a", &[(0, 5460)][..]), ("b", &[(5461, 10922)]), ("c", &[(10923, 16383)])];
        assert_eq!(table.update(&map(&three)), [0, 1, 2]);
        // The order of an answer says nothing.
        assert_eq!(table.update(&map(&[three[2], three[0], three[1]])), [2, 0, 1]);
        // b is dead, d was its replica.
        assert_eq!(table.update(&map(&[three[0], ("d", three[1].1), three[2]])), [0, 1, 2]);
        // e is new and gets slots of a, which is still there.
        let four = [("a", &[(0, 100)][..]), ("d", three[1].1), three[2], ("e", &[(101, 5460)])];
        assert_eq!(table.update(&map(&four)), [0, 1, 2, 3]);
        // a has left; its slots went to others.
        assert_eq!(table.update(&map(&[("d", three[1].1), three[2], ("e", three[0].1)])), [1, 2, 3]);
        // It is back: a new one, whose slots were e's.
        assert_eq!(table.update(&map(&[three[0], ("d", three[1].1), three[2]])), [3, 1, 2]);
    }

    #[test]
    fn a_slot_that_nobody_serves_has_no_owner() {
        let mut table = Table::new();
        table.update(&map(&[("a", &[(0, 0)])]));
        assert_eq!(table.owner("tg:{chat:42}"), None);
        table.update(&map(&[("a", &[(8175, 8175)])]));
        assert_eq!(table.owner("tg:{chat:42}"), Some(0));
    }
}
