//! The follower as transcripts, named for the law.

use super::*;
use crate::Epoch;

fn at(e: u64, offset: u64) -> Position {
    let epoch: Epoch = format!("{e:019}").parse().unwrap();
    Position { epoch, offset }
}

fn subscribed(at: Position, events: u64, recovered: Option<bool>) -> Told {
    Told::Subscribed { at, events, recovered }
}

fn event(offset: u64) -> Told {
    Told::Event { offset, key: None }
}

fn keyed(offset: u64, key: &str) -> Told {
    Told::Event { offset, key: Some(key.into()) }
}

/// At 5 of epoch 1.
fn follower() -> Follower {
    let mut follower = Follower::new(None, Memory::default());
    assert_eq!(follower.hear(subscribed(at(1, 5), 0, None), 0), Verdict::Go);
    follower
}

fn handle(follower: &mut Follower, told: Told, now_ms: u64) {
    assert_eq!(follower.hear(told, now_ms), Verdict::Handle);
    follower.handled(now_ms);
}

#[test]
fn the_position_is_that_of_the_last_event_whose_handling_is_over() {
    let mut follower = follower();
    assert_eq!(follower.hear(event(6), 0), Verdict::Handle);
    assert_eq!(follower.since(), Some(at(1, 5)), "the application is not done");
    follower.handled(0);
    assert_eq!(follower.since(), Some(at(1, 6)));
    // It crashed in the middle of 7: whoever comes back gets 7 again.
    follower.hear(event(7), 0);
    follower.hear(subscribed(at(1, 7), 1, Some(true)), 0);
    follower.handled(0);
    assert_eq!(follower.since(), Some(at(1, 6)), "what was handled then is not 7");
    handle(&mut follower, event(7), 0);
}

#[test]
fn the_events_of_a_reply_lead_up_to_its_position() {
    let mut follower = Follower::new(Some(at(1, 5)), Memory::default());
    assert_eq!(follower.since(), Some(at(1, 5)));
    assert_eq!(follower.hear(subscribed(at(2, 8), 3, Some(true)), 0), Verdict::Go);
    for offset in 6..=8 {
        handle(&mut follower, event(offset), 0);
    }
    assert_eq!(follower.since(), Some(at(2, 8)));
    assert_eq!(follower.hear(subscribed(at(2, 1), 2, None), 0), Verdict::SubscribeAgain(Some(at(2, 8))));
}

#[test]
fn an_event_is_handled_once_and_a_hole_is_a_fault_of_the_gateway() {
    let mut follower = follower();
    for old in [event(0), event(4), event(5)] {
        assert_eq!(follower.hear(old, 0), Verdict::Drop);
    }
    assert_eq!(follower.hear(event(7), 0), Verdict::SubscribeAgain(Some(at(1, 5))));
    handle(&mut follower, event(6), 0);
    assert_eq!(follower.hear(Told::Behind, 0), Verdict::ComeBack(Some(at(1, 6))));
}

#[test]
fn a_loss_is_said_to_the_application() {
    let mut follower = follower();
    assert_eq!(follower.hear(Told::Gap(at(1, 9)), 0), Verdict::Reload);
    handle(&mut follower, event(10), 0);
    assert_eq!(follower.hear(subscribed(at(2, 3), 1, Some(false)), 0), Verdict::Reload);
    handle(&mut follower, event(3), 0);
    assert_eq!(follower.since(), Some(at(2, 3)));
    assert_eq!(follower.hear(Told::Position(at(3, 3)), 0), Verdict::Go);
}

#[test]
fn a_retry_of_an_event_that_died_with_its_master_is_not_handed_over_again() {
    let mut follower = follower();
    for (offset, key) in [(6, "a"), (7, "b"), (8, "c")] {
        handle(&mut follower, keyed(offset, key), 1000);
    }
    assert_eq!(follower.hear(Told::Position(at(2, 6)), 2000), Verdict::Go);
    assert_eq!(follower.hear(keyed(7, "c"), 2000), Verdict::Drop);
    assert_eq!(follower.since(), Some(at(2, 7)), "it was handled, under another number");
    handle(&mut follower, keyed(8, "d"), 2000);
    handle(&mut follower, keyed(9, "c"), 2000); // a second publish with the key: the window is the server's
    let beyond = 1000 + Memory::default().window_ms;
    handle(&mut follower, keyed(10, "b"), beyond); // no retry any more
}

#[test]
fn a_loss_ends_what_is_known_of_keys() {
    let mut follower = follower();
    handle(&mut follower, keyed(6, "a"), 0);
    follower.hear(Told::Gap(at(2, 3)), 0);
    follower.hear(Told::Position(at(3, 3)), 0);
    handle(&mut follower, keyed(4, "a"), 0);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut follower = Follower::new(None, Memory { keys: 2, window_ms: 1000 });
    follower.hear(subscribed(at(1, 0), 0, None), 0);
    for offset in 1..=9 {
        handle(&mut follower, keyed(offset, &offset.to_string()), offset);
    }
    assert_eq!(follower.recent.len(), 2);
    for epoch in 2..=9 {
        follower.hear(Told::Position(at(epoch, 0)), 20);
        for offset in 1..=4 {
            let key = format!("{epoch} {offset}");
            handle(&mut follower, keyed(offset, &key), 20 + epoch + offset);
        }
        assert!(follower.withdrawn.len() <= 2, "{:?}", follower.withdrawn);
    }
}
