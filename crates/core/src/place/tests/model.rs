//! Random schedules against the invariants of the design; each rule switched off breaks some.
//!
//! A failing run prints its seed, and the shortest trace that it could be cut down to.

#![allow(clippy::print_stderr)] // what was met, and what each control found, is there to be read

use std::collections::BTreeMap;

use super::servers::{Hole, Key};
use super::world::{Action, Tally, World};
use crate::place::{Bounds, Rule};

/// Schedules in a short run and in a full one. `TIDEGATE_SEEDS` sets another number, `TIDEGATE_SEED`
/// the first.
const SEEDS: [u64; 2] = [20_000, 500_000];
/// What a switched off rule gets at most: the rarest takes tens of thousands.
const CONTROL_SEEDS: u64 = 300_000;

const START: [Action; 8] = [
    Action::Connect(0, 0),
    Action::Connect(1, 0),
    Action::Publish(0, 0),
    Action::Replicate,
    Action::Join(0, 0),
    Action::Serve(0),
    Action::Answer(0),
    Action::Handle(0),
];

/// SplitMix64: the same schedule for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Everything that may happen, with how often (in tenths); what flows, `flow` times as often.
fn menu(cluster: bool, flow: u64) -> Vec<(u64, Action)> {
    let mut menu = Vec::new();
    for s in 0..2 {
        menu.extend([0, 0, 1].map(|key| (60, Action::Publish(s, key))));
        menu.extend([
            (5, Action::Reload(s)),
            (5, Action::Rename(s)),
            (10, Action::Save(s)),
            (7, Action::Restart(s)),
        ]);
        menu.extend([Key::Top, Key::Log].map(|key| (5, Action::Evict(s, key))));
        for n in 0..2 {
            menu.extend([(20, Action::Connect(n, s)), (10, Action::Command(n, s))]);
        }
    }
    for n in 0..2 {
        menu.extend([
            (80 * flow, Action::Hear(n)),
            (20, Action::Lose(n)),
            (10, Action::Cut(n)),
            (7, Action::Crash(n)),
        ]);
        menu.extend([
            (30, Action::Check(n)),
            (120 * flow, Action::Serve(n)),
            (120 * flow, Action::Answer(n)),
        ]);
        menu.extend([(5, Action::Fail(n)), (20, Action::Confirm(n))]);
    }
    for c in 0..2 {
        menu.extend([(120 * flow, Action::Handle(c)), (20, Action::Leave(c)), (7, Action::Overflow(c))]);
        menu.extend((0..2).flat_map(|n| [(40, Action::Join(c, n)), (10, Action::JoinLast(c, n))]));
    }
    menu.push((15, Action::Tick));
    if cluster {
        menu.extend([Key::Top, Key::Log, Key::Ids].map(|key| (30, Action::MoveKey(key))));
        menu.extend([(30, Action::MoveBegin), (30, Action::MoveEnd)]);
    } else {
        menu.extend([(60, Action::Replicate), (20, Action::Promote)]);
        menu.extend([(20, Action::Demote(0)), (20, Action::Demote(1))]);
    }
    menu
}

struct Schedule {
    cluster: bool,
    bounds: Bounds,
    actions: Vec<Action>,
    last: usize,
}

fn schedule(seed: u64) -> Schedule {
    let mut dice = Dice(seed);
    let cluster = dice.below(4) == 0;
    // In a calm world clients get far; in a rough one faults meet.
    let menu = menu(cluster, dice.one(&[1, 3]));
    let whole: u64 = menu.iter().map(|(weight, _)| weight).sum();
    let steps = dice.one(&[15, 30, 60, 120, 240]);
    let start = if dice.below(4) == 0 { &START[..2] } else { &START[..] };
    let mut actions = start.to_vec();
    for _ in 0..steps {
        let mut at = dice.below(whole);
        let chosen = menu.iter().find(|(weight, _)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        actions.extend(chosen.map(|(_, action)| *action));
    }
    // Small bounds, so that every one of them is met.
    let bounds = Bounds {
        held_messages: dice.one(&[1, 2, 100]),
        tail_events: dice.one(&[0, 1, 3, 100]),
        page_events: dice.one(&[1, 2, 100]),
        ..Bounds::default()
    };
    Schedule { cluster, bounds, actions, last: dice.below(2) as usize }
}

/// What a schedule breaks, and which of its steps could happen.
fn run(off: Option<Hole>, schedule: &Schedule) -> (BTreeMap<char, String>, Vec<Action>, Tally) {
    let mut world = World::new(off, schedule.cluster, schedule.bounds);
    let mut done = Vec::new();
    for (uid, action) in schedule.actions.iter().enumerate() {
        if world.perform(*action, uid as u32 + 1) {
            done.push(*action);
        }
    }
    world.settle(schedule.last);
    (world.servers.broken, done, world.tally)
}

/// The shortest schedule this one can be cut down to that still breaks `letter`.
fn shrink(off: Option<Hole>, mut schedule: Schedule, letter: char) -> (String, Vec<Action>) {
    let mut size = schedule.actions.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < schedule.actions.len() {
            let end = schedule.actions.len().min(at + size);
            let mut shorter = schedule.actions.clone();
            shorter.drain(at..end);
            let kept = std::mem::replace(&mut schedule.actions, shorter);
            if !run(off, &schedule).0.contains_key(&letter) {
                schedule.actions = kept;
                at += size;
            }
        }
        size /= 2;
    }
    let (broken, done, _) = run(off, &schedule);
    (broken.get(&letter).cloned().unwrap_or_default(), done)
}

fn full() -> bool {
    std::env::var("TIDEGATE_TEST_LENGTH").is_ok_and(|length| length == "full")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_that_may_happen_breaks_an_invariant() {
    let (first, seeds) = (number("TIDEGATE_SEED", 1), number("TIDEGATE_SEEDS", SEEDS[usize::from(full())]));
    let mut all = Tally::default();
    for seed in first..first + seeds {
        let (broken, _, tally) = run(None, &schedule(seed));
        if let Some((letter, text)) = broken.first_key_value() {
            let schedule = schedule(seed);
            let (bounds, last, cluster) = (schedule.bounds, schedule.last, schedule.cluster);
            let (shortest, trace) = shrink(None, schedule, *letter);
            panic!(
                "seed {seed} breaks ({letter}): {text}\nshortest: {shortest}\n{trace:?}, settle on {last}, cluster: {cluster}\n{bounds:?}"
            );
        }
        all.add(tally);
    }
    eprintln!("{seeds} schedules from seed {first}: every invariant holds; {all:?}");
    // A model that meets nothing proves nothing.
    if seeds >= SEEDS[0] {
        let met = [all.positions, all.gaps, all.repairs, all.pages, all.resumed, all.behind, all.confirmed];
        assert!(met.iter().all(|count| *count > seeds / 20), "{all:?}");
    }
}

#[test]
fn each_rule_switched_off_breaks_an_invariant() {
    let holes = [
        Hole::EpochChain,
        Hole::LineageIdentity,
        Hole::EpochInLogId,
        Hole::GuardSplitSlot,
        Hole::StayWhenAhead,
        Hole::BeginOnSubscribe,
        Hole::MastersOnly,
        Hole::CheckLogIsWhole,
        Hole::DropsAreTold,
        Hole::Ours(Rule::HoldAtHole),
        Hole::Ours(Rule::OrderedEpochs),
        Hole::Ours(Rule::PositionBeforeEvents),
        Hole::Ours(Rule::PositionIsEachOnesOwn),
        Hole::Ours(Rule::OnePlacePerChannel),
        Hole::Ours(Rule::TailEndsWithItsEpoch),
        Hole::Ours(Rule::WithdrawnKeys),
    ];
    let mut silent = Vec::new();
    for hole in holes {
        let found = (1..=number("TIDEGATE_CONTROLS", CONTROL_SEEDS)).find_map(|seed| {
            let broken = run(Some(hole), &schedule(seed)).0;
            broken.into_keys().find(|letter| *letter != 'w').map(|letter| (seed, letter))
        });
        match found {
            None => silent.push(hole),
            Some((seed, letter)) => {
                let (text, trace) = shrink(Some(hole), schedule(seed), letter);
                eprintln!("without {hole:?}, seed {seed} breaks ({letter}) {text}\n    {trace:?}");
            }
        }
    }
    assert!(silent.is_empty(), "switched off, and nothing broke: {silent:?}");
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.positions += other.positions;
        self.gaps += other.gaps;
        self.repairs += other.repairs;
        self.reads += other.reads;
        self.pages += other.pages;
        self.resumed += other.resumed;
        self.behind += other.behind;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
    }
}
