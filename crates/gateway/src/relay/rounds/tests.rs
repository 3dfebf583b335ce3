//! The laws of rounds: everybody hears each batch that was opened while it sat there, once and in order.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_core::Payload;
use tidegate_core::hub::{Hub, Seat};

use crate::wire::Format;

use super::*;

/// Slots of a step in these tests.
const STEP: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Come,
    /// The seat of this number, counted round those there are.
    Leave(usize),
    /// So many events at once.
    Publish(u8),
    Step,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => Just(Deed::Come),
        2 => any::<usize>().prop_map(Deed::Leave),
        3 => (1..4u8).prop_map(Deed::Publish),
        6 => Just(Deed::Step),
    ]
}

/// A channel, its rounds, and what everybody heard.
struct Bench {
    hub: Hub<usize>,
    rounds: Rounds,
    channel: ChannelName,
    /// Who sits where, and the first event that it must hear.
    seated: Vec<(usize, Seat, u32)>,
    heard: HashMap<usize, Vec<u32>>,
    /// Events that have been everywhere.
    arrived: Vec<u32>,
    published: u32,
    came: usize,
}

impl Bench {
    fn new(seats: usize) -> Self {
        let mut bench = Self {
            hub: Hub::new(1),
            rounds: Rounds::new(STEP),
            channel: "hot".parse().unwrap(),
            seated: Vec::new(),
            heard: HashMap::new(),
            arrived: Vec::new(),
            published: 0,
            came: 0,
        };
        (0..seats).for_each(|_| bench.come());
        bench
    }

    fn come(&mut self) {
        let seat = self.hub.join(&self.channel, self.came).seat;
        self.hub.attach(seat, || ());
        self.seated.push((self.came, seat, self.published));
        self.came += 1;
    }

    fn publish(&mut self, count: u8) {
        let numbers = self.published..self.published + u32::from(count);
        self.published = numbers.end;
        let Some(batch) = self.hub.open_batch(&self.channel) else { return };
        let event = |n: u32| Event::live(Payload::new(Bytes::copy_from_slice(&n.to_be_bytes())));
        let events: Vec<Event> = numbers.map(event).collect();
        self.rounds.join(&self.channel, &events, batch, Instant::now());
    }

    /// Says how many it visited.
    fn step(&mut self) -> usize {
        let mut visited = 0;
        if let Some((mut part, load)) = self.rounds.next() {
            let heard = &mut self.heard;
            self.hub.deliver_since(&mut part, usize::MAX, |_, since, who| {
                let events = &load.encoded.events()[load.first(since)..];
                heard.entry(*who).or_default().extend(events.iter().map(number));
                visited += 1;
            });
            self.arrived
                .extend(self.rounds.done().iter().flat_map(|arrived| arrived.events.iter().map(number)));
        }
        visited
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Come => self.come(),
            Deed::Leave(which) if !self.seated.is_empty() => {
                let (who, seat, first) = self.seated.swap_remove(which % self.seated.len());
                self.hub.leave(seat);
                let heard = self.heard.remove(&who).unwrap_or_default();
                let expected: Vec<u32> = (first..self.published).take(heard.len()).collect();
                assert_eq!(heard, expected, "who leaves has heard the beginning");
            }
            Deed::Leave(_) => {}
            Deed::Publish(count) => self.publish(count),
            Deed::Step => _ = self.step(),
        }
    }
}

fn number(event: &Event) -> u32 {
    u32::from_be_bytes(event.payload.bytes()[..4].try_into().unwrap())
}

proptest! {
    #[test]
    fn everybody_hears_what_was_published_while_it_sat_there_once_and_in_order(
        seats in 0..40usize,
        deeds in prop::collection::vec(deed(), 0..120),
    ) {
        let mut bench = Bench::new(seats);
        deeds.into_iter().for_each(|deed| bench.act(deed));
        let mut steps = 0;
        while !bench.rounds.is_empty() {
            bench.step();
            steps += 1;
            prop_assert!(steps < 1000, "a round ends when nothing gets on");
        }
        prop_assert_eq!(bench.rounds.room(), RIDING);
        prop_assert!(bench.arrived.is_sorted());
        for (who, _, first) in &bench.seated {
            let heard = bench.heard.get(who).cloned().unwrap_or_default();
            prop_assert_eq!(heard, (*first..bench.published).collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_comes_in_the_middle_of_a_round_gets_on_there() {
    let mut bench = Bench::new(16);
    bench.publish(1);
    bench.step();
    bench.publish(1);
    bench.step();
    assert_eq!(bench.heard[&4], [0, 1], "the second quarter hears both in one");
    assert_eq!(bench.heard[&0], [0]);
    (0..3).for_each(|_| _ = bench.step());
    assert_eq!(bench.heard[&0], [0, 1]);
    assert!(bench.rounds.is_empty(), "each has been everywhere once");
}

#[test]
fn hot_channels_go_in_turn() {
    let mut bench = Bench::new(16);
    let other: ChannelName = "other".parse().unwrap();
    let seat = bench.hub.join(&other, 100).seat;
    bench.hub.attach(seat, || ());
    bench.publish(1);
    let batch = bench.hub.open_batch(&other).unwrap();
    let events = [Event::live(Payload::new(Bytes::from_static(&[0, 0, 0, 9])))];
    bench.rounds.join(&other, &events, batch, Instant::now());
    (0..2).for_each(|_| _ = bench.step());
    assert_eq!((&bench.heard[&0], &bench.heard[&100]), (&vec![0], &vec![9]));
}

#[test]
fn above_the_bound_nothing_gets_on() {
    let mut bench = Bench::new(16);
    (0..RIDING / 2).for_each(|_| bench.publish(2));
    assert_eq!(bench.rounds.room(), 0);
    (0..4).for_each(|_| _ = bench.step());
    assert_eq!(bench.rounds.room(), RIDING);
}

#[test]
fn large_events_fill_a_round_by_their_bytes() {
    let mut bench = Bench::new(16);
    let large = Event::live(Payload::new(Bytes::from(vec![0; RIDING_BYTES / 4])));
    for left in (0..4).rev() {
        let batch = bench.hub.open_batch(&bench.channel).unwrap();
        bench.rounds.join(&bench.channel, std::slice::from_ref(&large), batch, Instant::now());
        assert_eq!(bench.rounds.room() > 0, left > 0, "{left}");
    }
    (0..4).for_each(|_| _ = bench.step());
    assert_eq!(bench.rounds.room(), RIDING);
}

#[test]
fn a_round_that_never_runs_dry_grows_with_its_channel() {
    let mut bench = Bench::new(16);
    let mut longest = 0;
    for _ in 0..200 {
        bench.publish(1); // so somebody always rides
        bench.come();
        longest = longest.max(bench.step());
    }
    // What came since the round began is its last step's.
    let grown = 200 / STEP as usize;
    assert!(longest <= grown + 2 * STEP as usize, "a step visited {longest} of {} seats", bench.seated.len());
}

#[test]
fn newcomers_of_one_moment_share_what_is_left_for_them() {
    let mut bench = Bench::new(4);
    bench.publish(1);
    bench.publish(1);
    let (_, load) = bench.rounds.next().unwrap();
    let first = load.numbers().next().unwrap();
    let (one, other) = (load.slices(first, Format::Json), load.slices(first, Format::Json));
    assert!(std::ptr::eq(one, other), "encoded once");
    assert_eq!(one[0].events, 1);
    assert_eq!(load.slices(first - 1, Format::Json)[0].events, 2, "whoever was there gets both");
}
