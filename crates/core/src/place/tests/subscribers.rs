//! Who comes and goes, as transcripts named for the law.

use super::script::*;
use crate::Payload;
use crate::place::*;

fn subscribed(seat: u8, position: Position, recovered: Option<bool>, events: Vec<Event>) -> Effect<u8> {
    Effect::Subscribed { seat, at: position, recovered, events, attach: true }
}

/// Even at 9 with 6 … 9 in the tail.
fn with_tail() -> Script {
    let mut script = Script::even(4);
    for offset in 5..=9 {
        script.hear(event(A, offset));
    }
    script
}

#[test]
fn a_cold_place_hears_before_it_reads() {
    let mut script = Script::cold();
    assert_eq!(script.subscribe(1, Since::Now), []);
    assert_eq!((script.asked(), script.place.phase()), (vec![], Phase::Cold));
    script.step(Input::Connected);
    assert_eq!(script.asked(), [Since::Now]);
    script.hear(event(A, 5)); // published while the read was on its way
    assert_eq!(
        script.answer(answer(A, 4, 4)),
        [pass(events(A, 5..=5), each(4)), subscribed(1, at(A, 5), None, vec![])]
    );
}

#[test]
fn an_empty_channel_gets_an_epoch_before_anybody_is_told_one() {
    let mut script = Script::cold();
    script.subscribe(1, Since::Now);
    script.step(Input::Connected);
    let [Effect::Begin(id)] = script.fail(Failure::Missing)[..] else { panic!() };
    script.step(Input::Begun(id, true));
    assert_eq!(script.answer(answer(A, 0, 0)), [subscribed(1, at(A, 0), None, vec![])]);
}

#[test]
fn where_no_epoch_can_begin_the_subscriber_is_refused_and_the_next_one_asks_again() {
    let mut script = Script::cold();
    script.subscribe(1, Since::Now);
    script.step(Input::Connected);
    let [Effect::Begin(id)] = script.fail(Failure::Missing)[..] else { panic!() };
    assert_eq!(script.step(Input::Begun(id, false)), [No(1, Refused::Unavailable)]);
    assert_eq!((script.place.deadline_ms(), script.asked()), (None, vec![]));
    script.subscribe(2, Since::Now);
    assert_eq!(script.asked(), [Since::Now]);
}

#[test]
fn a_resume_inside_the_tail_costs_no_read() {
    let mut script = with_tail();
    for (since, recovered, first) in [
        (Since::At(at(A, 9)), Some(true), 10),
        (Since::At(at(A, 7)), Some(true), 8),
        (Since::At(at(A, 5)), Some(true), 6),
        (Since::Last(3), None, 7),
        (Since::Now, None, 10),
    ] {
        let missed = events(A, first..=9);
        assert_eq!(script.subscribe(2, since), [subscribed(2, at(A, 9), recovered, missed)], "{since:?}");
        script.step(Input::Unsubscribe(2));
    }
    assert_eq!(script.asked(), []);
}

#[test]
fn a_cold_place_reads_from_where_its_first_subscriber_wants_to_so_one_read_serves_both() {
    let mut script = Script::cold();
    script.subscribe(1, Since::At(at(A, 6)));
    script.step(Input::Connected);
    assert_eq!(script.asked(), [Since::At(at(A, 6))]);
    assert_eq!(script.answer(answer(A, 6, 9)), [subscribed(1, at(A, 9), Some(true), events(A, 7..=9))]);
    assert_eq!(script.subscribe(2, Since::At(at(A, 7))).len(), 1, "the tail has it");
    assert_eq!(script.asked(), []);
}

#[test]
fn one_outside_the_tail_shares_its_read_with_all_who_ask_from_there() {
    let mut script = with_tail();
    for (seat, since) in [(2, at(A, 2)), (3, at(A, 2)), (4, at(A, 12)), (5, at(B, 9))] {
        assert_eq!(script.subscribe(seat, Since::At(since)), []);
    }
    assert_eq!(script.asked(), [at(A, 2), at(A, 12), at(B, 9)].map(Since::At));
    let missed = || events(A, 3..=9);
    assert_eq!(
        script.answer(answer(A, 2, 9)),
        [2, 3].map(|seat| subscribed(seat, at(A, 9), Some(true), missed()))
    );
}

#[test]
fn an_answer_is_cut_where_the_place_is() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 2)));
    // Two more were published than the node has heard: it will pass them on to this one, too.
    let effects = script.answer(Answer { events: events(A, 3..=11), ..answer(A, 2, 11) });
    assert_eq!(effects, [subscribed(2, at(A, 9), Some(true), events(A, 3..=9))]);
    assert_eq!(script.hear(event(A, 10)), [pass(events(A, 10..=10), each(9))]);
}

#[test]
fn an_answer_that_the_place_has_overtaken_is_led_up_to_it_by_the_tail() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 2)));
    for offset in 10..=12 {
        script.hear(event(A, offset));
    }
    assert_eq!(
        script.answer(answer(A, 2, 9)),
        [subscribed(2, at(A, 12), Some(true), events(A, 3..=12))],
        "a busy channel must not read for ever"
    );
}

#[test]
fn an_answer_that_does_not_fit_the_place_repairs_it_first() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 2)));
    assert_eq!(script.answer(Answer { end: Some(9), ..answer(B, 2, 10) }), []);
    assert_eq!(script.asked(), [Since::At(at(A, 9))], "the place's own");
    script.answer(Answer { end: Some(9), ..answer(B, 9, 10) });
    assert_eq!(script.asked(), [Since::At(at(A, 2))], "and then the subscriber's again");
    assert_eq!(
        script.answer(Answer { end: Some(9), events: events(B, 3..=10), ..answer(B, 2, 10) }),
        [subscribed(2, at(B, 10), Some(true), events(B, 3..=10))]
    );
}

#[test]
fn what_cannot_be_recovered_is_said() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 2)));
    assert_eq!(
        script.answer(Answer { lost: true, ..answer(A, 7, 9) }),
        [subscribed(2, at(A, 9), Some(false), events(A, 8..=9))]
    );
}

#[test]
fn whoever_is_ahead_of_the_node_hears_only_what_is_new_to_it() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 11)));
    assert_eq!(script.answer(answer(A, 11, 11)), [subscribed(2, at(A, 11), Some(true), vec![])]);
    for (offset, ahead) in [(10, vec![(2, 11)]), (11, vec![(2, 11)]), (12, vec![])] {
        let above = Each { others: offset - 1, but: ahead };
        assert_eq!(script.hear(event(A, offset)), [pass(events(A, offset..=offset), above)]);
    }
}

#[test]
fn a_position_may_be_as_large_as_it_likes() {
    let mut script = with_tail();
    for offset in [u64::MAX, u64::MAX - 1] {
        script.subscribe(2, Since::At(at(A, offset)));
        let ahead = Answer { start: offset, ahead: true, ..answer(A, 9, 9) };
        assert_eq!(script.answer(ahead), [subscribed(2, at(A, offset), Some(true), vec![])]);
        script.step(Input::Unsubscribe(2));
    }
    script.hear(event(A, u64::MAX));
    assert_eq!(script.asked(), [Since::At(at(A, 9))]);
}

#[test]
fn a_long_gap_is_told_in_pages_and_hears_nothing_else_before_it_ends_at_the_place() {
    let mut script = with_tail();
    script.bounds.page_events = 3;
    let page = |start: u64| Answer { events: events(A, start + 1..=start + 3), ..answer(A, start, 9) };
    script.subscribe(2, Since::At(at(A, 0)));
    let first = Effect::Subscribed {
        seat: 2,
        at: at(A, 3),
        recovered: Some(true),
        events: events(A, 1..=3),
        attach: false,
    };
    assert_eq!(script.answer(page(0)), [first]);
    assert_eq!(script.asked(), [], "it reads on when there is room");
    assert_eq!(script.hear(event(A, 10)), [pass(events(A, 10..=10), each(9))], "2 is not attached");
    script.step(Input::Room(2));
    assert_eq!(script.asked(), [Since::At(at(A, 3))]);
    let told =
        |first, last, attach| Effect::Page { seat: 2, word: None, events: events(A, first..=last), attach };
    assert_eq!(script.answer(Answer { offset: 10, ..page(3) }), [told(4, 6, false)]);
    assert_eq!(script.step(Input::Room(2)), [told(7, 9, false)], "the rest is in the tail");
    assert_eq!(script.step(Input::Room(2)), [told(10, 10, true)]);
    assert_eq!(script.hear(event(A, 11)), [pass(events(A, 11..=11), each(10))]);
}

#[test]
fn pages_are_bounded_by_bytes_too_and_always_hold_one_event() {
    let mut script = with_tail();
    script.bounds.page_bytes = 1;
    let effects = script.subscribe(2, Since::At(at(A, 7)));
    let [Effect::Subscribed { events: told, attach: false, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*told, events(A, 8..=8));
}

#[test]
fn an_epoch_that_begins_between_two_pages_is_told_before_the_next() {
    for (lost, end, start, word) in
        [(false, Some(2), 2, position(B, 2)), (true, None, 8, gap(B, 8)), (false, Some(9), 3, position(B, 3))]
    {
        let mut script = with_tail();
        script.bounds.page_events = 3;
        script.subscribe(2, Since::At(at(A, 0)));
        script.answer(Answer { events: events(A, 1..=3), ..answer(A, 0, 9) });
        script.hear(event(B, 10));
        script.answer(Answer { end: Some(9), ..answer(B, 9, 10) });
        script.step(Input::Room(2));
        let last = 10.min(start + 3);
        let answer = Answer { lost, end, events: events(B, start + 1..=last), ..answer(B, start, 10) };
        let told = Effect::Page { seat: 2, word, events: events(B, start + 1..=last), attach: last == 10 };
        assert_eq!(script.answer(answer), [told]);
    }
}

#[test]
fn whoever_has_seen_a_later_epoch_waits_for_the_topology_and_is_refused_in_time() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(B, 12)));
    let old = || Answer { lost: true, end: None, ..answer(A, 9, 9) };
    assert_eq!(script.answer(old()), [Seek]);
    assert_eq!(script.later(1499), []);
    assert_eq!(script.later(1), [No(2, Refused::Behind)]);
    // The topology finds another master: the subscriber is served by that one.
    script.subscribe(3, Since::At(at(B, 12)));
    script.answer(old());
    script.step(Input::Connected);
    let effects = script.answer(Answer { end: Some(9), ..answer(B, 9, 12) });
    assert_eq!(effects[2..], [subscribed(3, at(B, 12), Some(true), vec![])]);
}

#[test]
fn where_the_topology_stands_by_the_older_server_the_later_position_is_lost() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(B, 12)));
    let old = || Answer { end: None, ..answer(A, 9, 9) };
    assert_eq!(script.answer(old()), [Seek]);
    script.step(Input::Confirmed);
    assert_eq!(script.answer(old()), [subscribed(2, at(A, 9), Some(false), vec![])]);

    // A word for one server is not a word for the next.
    script.subscribe(3, Since::At(at(B, 12)));
    script.answer(old());
    script.step(Input::Confirmed);
    script.step(Input::Missed(Cause::Moved));
    assert_eq!(script.answer(old()), [Seek]);
}

#[test]
fn while_the_channel_is_not_heard_nobody_is_promised_anything() {
    let mut script = with_tail();
    assert_eq!(script.step(Input::Down), [Effect::Stale { since_ms: 1000 }]);
    assert_eq!(script.subscribe(2, Since::Now), []);
    assert_eq!(script.place.deadline_ms(), Some(2500));
    assert_eq!(script.later(1500), [No(2, Refused::Unavailable)]);
    script.subscribe(3, Since::At(at(A, 8)));
    script.step(Input::Connected);
    assert_eq!(
        script.answer(answer(A, 9, 10)),
        [pass(events(A, 10..=10), each(9)), subscribed(3, at(A, 10), Some(true), events(A, 9..=10))]
    );
    assert_eq!(script.place.stale_since_ms(), None);
}

#[test]
fn a_failed_read_of_a_subscriber_is_done_again_while_it_waits() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 1)));
    assert_eq!(script.fail(Failure::TryAgain), []);
    assert_eq!(script.asked(), []);
    script.later(50);
    assert_eq!(script.asked(), [Since::At(at(A, 1))]);
    assert_eq!(script.later(1450), [No(2, Refused::Unavailable)]);
    assert_eq!(script.answer(answer(A, 1, 9)), [], "too late");
    assert_eq!(script.place.deadline_ms(), None);
}

#[test]
fn a_subscription_that_is_gone_is_not_named_again() {
    let mut script = with_tail();
    script.subscribe(2, Since::At(at(A, 11)));
    script.answer(answer(A, 11, 11));
    script.subscribe(3, Since::At(at(A, 1)));
    script.step(Input::Unsubscribe(2));
    script.step(Input::Unsubscribe(3));
    assert_eq!(script.hear(event(A, 10)), [pass(events(A, 10..=10), each(9))]);
    assert_eq!(script.answer(answer(A, 1, 10)), []);
}

#[test]
fn the_tail_is_bounded_and_ends_with_its_history() {
    let mut script = with_tail();
    script.bounds.tail_bytes = 2 * event(A, 1).weight();
    script.hear(event(A, 10));
    assert!(script.place.tail_bytes() <= script.bounds.tail_bytes);
    script.subscribe(2, Since::At(at(A, 7)));
    assert_eq!(script.asked(), [Since::At(at(A, 7))]);

    let mut script = with_tail();
    script.hear(event(B, 8));
    script.answer(Answer { end: Some(7), ..answer(B, 7, 8) });
    let served = script.subscribe(2, Since::At(at(B, 6)));
    assert_eq!(served, [subscribed(2, at(B, 8), Some(true), events(B, 7..=8))], "under its new name");
    script.place.drop_tail();
    assert_eq!((script.place.tail_bytes(), script.subscribe(3, Since::At(at(B, 6)))), (0, vec![]));
    assert_eq!(script.asked(), [Since::At(at(B, 6))]);
}

#[test]
fn even_subscriptions_own_nothing() {
    let mut script = with_tail();
    for seat in 2..=255 {
        script.subscribe(seat, if seat % 2 == 0 { Since::Now } else { Since::At(at(A, 7)) });
    }
    assert_eq!(script.place.sent.entries(), 0);
    assert!(script.place.newcomers.is_empty());
    let bytes = size_of::<Place<crate::hub::Seat>>();
    assert!(bytes <= 192, "{bytes} bytes a channel");
}

#[test]
fn who_is_answered_briefly_is_told_in_pages_what_it_missed() {
    let mut script = with_tail();
    let brief = |seat, since| Input::Subscribe { seat, since, brief: true };
    let waits = |position, recovered| Effect::Subscribed {
        seat: 1,
        at: position,
        recovered,
        events: vec![],
        attach: false,
    };
    // In the tail.
    assert_eq!(script.step(brief(1, Since::At(at(A, 7)))), [waits(at(A, 7), Some(true))]);
    let page = |word, events| Effect::Page { seat: 1, word, events, attach: true };
    assert_eq!(script.step(Input::Room(1)), [page(None, events(A, 8..=9))]);
    script.step(Input::Unsubscribe(1));
    // Before the tail: nothing is read before there is room for it, and what is lost is told then.
    assert_eq!(script.step(brief(1, Since::At(at(A, 2)))), [waits(at(A, 2), Some(true))]);
    assert_eq!(script.asked(), []);
    script.step(Input::Room(1));
    assert_eq!(script.asked(), [Since::At(at(A, 2))]);
    let lost = Answer { lost: true, end: None, events: events(A, 6..=9), ..answer(A, 5, 9) };
    let gap = Word::Gap(at(A, 5), GapReason::Lost);
    assert_eq!(script.answer(lost), [page(Some(gap), events(A, 6..=9))]);
    script.step(Input::Unsubscribe(1));
    // Nothing missed.
    assert_eq!(script.step(brief(1, Since::At(at(A, 9)))), [subscribed(1, at(A, 9), Some(true), vec![])]);
}

#[test]
fn where_the_channel_cannot_be_heard_all_who_wait_are_refused_and_forgotten() {
    let mut script = Script::cold();
    script.subscribe(1, Since::Now);
    script.subscribe(2, Since::At(at(A, 3)));
    let unavailable = |seat| No(seat, Refused::Unavailable);
    assert_eq!(script.step(Input::Unheard), [unavailable(1), unavailable(2)]);
    assert_eq!((script.place.deadline_ms(), script.step(Input::Unheard)), (None, vec![]));
}

#[test]
fn where_few_events_fill_a_page_few_are_read_for_the_next() {
    let mut script = Script::even(90);
    let large = |offset| Event { payload: Payload::new(vec![b'x'; 20 << 10].into()), ..event(A, offset) };
    script.subscribe(1, Since::At(at(A, 10)));
    let answer = |start: u64, count: u64| {
        let events = (start + 1..=start + count).map(large).collect();
        Answer { events, ..answer(A, start, 90) }
    };
    script.answer(answer(10, 50));
    let count = |script: &mut Script| {
        let mut effects = Effects::new();
        script.place.step(Input::Room(1), Now { ms: script.ms, dice: 7 }, &script.bounds, &mut effects);
        let [Effect::Read { id, since, count }] = effects[..] else { panic!("{effects:?}") };
        script.reads.push((id, since));
        count
    };
    assert_eq!(count(&mut script), 6, "three fill a page");
    script.answer(answer(13, 6));
    assert_eq!(count(&mut script), 6);
}
