//! What is heard and what is read, as transcripts named for the law.

use super::script::*;
use crate::place::*;

#[test]
fn the_next_event_is_passed_on_and_is_nothing_but_a_comparison() {
    let mut script = Script::even(5);
    let bounds = script.bounds;
    assert!(script.place.follows(&event(A, 6), &bounds));
    assert!(script.place.follows(&live("unnumbered"), &bounds));
    for other in [event(A, 6), event(A, 8), event(B, 7)] {
        assert!(!script.place.follows(&other, &bounds), "{other:?}");
    }
    assert_eq!(script.place.position(), Some(at(A, 6)));
    assert_eq!(script.hear(event(A, 7)), [pass(events(A, 7..=7), each(6))], "the long way is the same");
    assert!(script.reads.is_empty());
}

#[test]
fn what_was_passed_on_or_is_of_an_older_epoch_is_dropped() {
    let mut script = Script::even(5);
    script.hear(event(B, 6));
    script.answer(Answer { end: Some(5), ..answer(B, 5, 6) });
    for old in [event(B, 5), event(B, 6), event(A, 6), event(A, 7)] {
        assert_eq!(script.hear(old), []);
    }
    assert!(script.reads.is_empty());
}

#[test]
fn a_message_after_a_hole_is_never_passed_on_but_read() {
    let mut script = Script::even(5);
    assert_eq!(script.hear(event(A, 8)), []);
    assert_eq!(script.asked(), [Since::At(at(A, 5))]);
    assert_eq!(script.hear(event(A, 9)), [], "it waits behind the read");
    assert_eq!(
        script.answer(answer(A, 5, 8)),
        [pass(events(A, 6..=8), each(5)), pass(events(A, 9..=9), each(8))]
    );
    assert_eq!(script.place.phase(), Phase::Even);
}

#[test]
fn a_message_never_starts_an_epoch_and_the_position_goes_before_its_events() {
    let mut script = Script::even(5);
    assert_eq!(script.hear(event(B, 6)), []);
    assert_eq!(
        script.answer(Answer { end: Some(4), start: 4, events: events(B, 5..=6), ..answer(B, 4, 6) }),
        [Tell(each(position(B, 4))), pass(events(B, 5..=6), each(4))]
    );
    assert_eq!(script.place.position(), Some(at(B, 6)));
}

#[test]
fn a_new_epoch_begins_for_each_where_its_own_position_and_it_part() {
    let mut script = Script::even(5);
    // 2 has read more than the node has heard.
    script.subscribe(2, Since::At(at(A, 7)));
    script.answer(answer(A, 7, 7));
    script.hear(event(B, 8));
    let each = Each { others: position(B, 5), but: vec![(2, position(B, 6))] };
    let above = Each { others: 5, but: vec![(2, 6)] };
    assert_eq!(
        script.answer(Answer { end: Some(6), ..answer(B, 5, 8) }),
        [Tell(each), pass(events(B, 6..=8), above)]
    );
    assert_eq!(script.place.sent.entries(), 0, "all are even again");
}

#[test]
fn ahead_of_a_master_that_numbered_nothing_yet_nobody_is_told_and_nothing_is_sent_twice() {
    let mut script = Script::even(5);
    script.step(Input::Top(Some(at(A, 3))));
    let ahead = Answer { start: 5, ahead: true, ..answer(A, 3, 3) };
    assert_eq!(script.answer(ahead), []);
    assert_eq!(script.place.position(), Some(at(A, 3)));
    // The old master's event comes a second time, to a subscription that has it.
    assert_eq!(script.hear(event(A, 4)), [pass(events(A, 4..=4), each(5))]);
    script.hear(event(B, 4));
    assert_eq!(
        script.answer(Answer { end: Some(3), start: 3, ..answer(B, 3, 4) }),
        [Tell(each(position(B, 3))), pass(events(B, 4..=4), each(3))]
    );
}

#[test]
fn a_gap_is_told_to_those_who_miss_something_and_to_nobody_else() {
    let mut script = Script::even(5);
    script.subscribe(2, Since::At(at(A, 9)));
    script.answer(answer(A, 9, 9));
    script.step(Input::Missed(Cause::Overflowed));
    let lost = |e| Answer { lost: true, end: Some(9), ..answer(e, 8, 10) };
    assert_eq!(
        script.answer(lost(A)),
        [
            Tell(Each { others: gap(A, 8), but: vec![(2, None)] }),
            pass(events(A, 9..=10), Each { others: 8, but: vec![(2, 9)] })
        ]
    );
    // The same with a new epoch: whoever has it all is told the position only.
    let mut script = Script::even(5);
    script.subscribe(2, Since::At(at(A, 9)));
    script.answer(answer(A, 9, 9));
    script.step(Input::Missed(Cause::Overflowed));
    assert_eq!(script.answer(lost(B))[0], Tell(Each { others: gap(B, 8), but: vec![(2, position(B, 9))] }));
}

#[test]
fn an_older_epoch_is_not_followed_until_the_topology_says_so() {
    let mut script = Script::even(5);
    script.hear(event(B, 6));
    script.answer(Answer { end: Some(5), ..answer(B, 5, 6) });
    script.step(Input::Connected);
    let old = || answer(A, 7, 7);
    let lost = || Answer { lost: true, end: None, ..old() };
    assert_eq!(script.answer(lost()), [Effect::Stale { since_ms: 1000 }, Seek]);
    assert_eq!(script.place.phase(), Phase::Behind);
    assert_eq!(script.hear(event(A, 8)), []);
    assert_eq!(script.later(60_000), [], "a clock alone never decides");
    assert_eq!(script.step(Input::Top(Some(at(A, 7)))), [Seek]);
    script.step(Input::Confirmed);
    // Whatever the server says of a position it cannot know: it is lost.
    assert_eq!(script.answer(old()), [Tell(each(gap(A, 7)))]);
    assert_eq!((script.place.position(), script.place.stale_since_ms()), (Some(at(A, 7)), None));
}

#[test]
fn a_word_for_one_server_is_not_a_word_for_the_next() {
    let mut script = Script::even(5);
    script.hear(event(B, 6));
    script.answer(Answer { end: Some(5), ..answer(B, 5, 6) });
    script.step(Input::Missed(Cause::Check));
    script.answer(answer(A, 7, 7));
    script.step(Input::Confirmed);
    script.step(Input::Missed(Cause::Moved)); // commands go elsewhere now
    assert_eq!(script.answer(answer(A, 7, 7)), []);
    assert_eq!(script.answer(answer(A, 7, 7)), [Seek]);
    assert_eq!(script.place.phase(), Phase::Behind);
}

#[test]
fn a_failed_read_is_done_again_after_a_jittered_wait_and_the_channel_is_stale_until_then() {
    for failure in [Failure::TryAgain, Failure::Unavailable] {
        let mut script = Script::even(5);
        script.hear(event(A, 7));
        assert_eq!(script.fail(failure), [Effect::Stale { since_ms: 1000 }]);
        let due = script.place.deadline_ms().unwrap();
        assert!((1025..=1050).contains(&due), "{due}");
        assert_eq!((script.later(24), script.asked()), (vec![], vec![]));
        script.later(26);
        assert_eq!(script.asked(), [Since::At(at(A, 5))]);
        script.answer(answer(A, 5, 7));
        assert_eq!((script.place.stale_since_ms(), script.place.deadline_ms()), (None, None));
    }
}

#[test]
fn what_is_lost_while_a_read_is_on_its_way_is_read_once_more() {
    for input in [Input::Connected, Input::Missed(Cause::Overflowed), Input::Missed(Cause::Moved)] {
        let mut script = Script::even(5);
        script.hear(event(A, 7));
        script.step(input);
        assert_eq!(script.reads.len(), 1, "one at a time");
        script.answer(answer(A, 5, 7)); // it may have been done before the loss
        assert_eq!(script.asked(), [Since::At(at(A, 7))]);
        assert_eq!(script.answer(answer(A, 7, 8)), [pass(events(A, 8..=8), each(7))]);
        assert_eq!(script.place.phase(), Phase::Even);
    }
}

#[test]
fn unnumbered_messages_keep_their_order_behind_a_read() {
    let mut script = Script::even(5);
    assert_eq!(script.hear(live("a")), [pass(vec![live("a")], each(5))]);
    script.hear(event(A, 7));
    for message in [live("b"), event(A, 8), live("c")] {
        assert_eq!(script.hear(message), []);
    }
    assert_eq!(
        script.answer(answer(A, 5, 7)),
        [pass(events(A, 6..=7), each(5)), pass(vec![live("b"), event(A, 8), live("c")], each(7))]
    );
}

#[test]
fn a_full_buffer_loses_unnumbered_messages_first_then_all_and_reads_again() {
    let mut script = Script::even(5);
    script.hear(event(A, 7));
    for message in [live("a"), event(A, 8), event(A, 9), event(A, 10)] {
        script.hear(message);
    }
    let mut effects = Effects::new();
    let (id, _) = script.reads.remove(0);
    let input = Input::Answer(id, Ok(answer(A, 5, 7)));
    script.place.step(input, Now { ms: 1000, dice: 0 }, &script.bounds, &mut effects);
    assert_eq!(effects[1], pass(events(A, 8..=10), each(7)), "what has a number is still there");
    assert!(matches!(effects[2], Effect::Repaired { dropped: 1, .. }), "{effects:?}");

    let mut script = Script::even(5);
    script.hear(event(A, 7));
    for offset in 8..=12 {
        script.hear(event(A, offset)); // three is all that it holds
    }
    assert_eq!(script.answer(answer(A, 5, 7)), [pass(events(A, 6..=7), each(5))]);
    assert_eq!(script.asked(), [Since::At(at(A, 7))]);
    assert_eq!(script.answer(answer(A, 7, 12)), [pass(events(A, 8..=12), each(7))]);
}

#[test]
fn a_long_repair_is_read_in_pages() {
    let mut script = Script::even(5);
    script.step(Input::Top(Some(at(A, 8))));
    let page = |start, last| Answer { events: events(A, start + 1..=last), ..answer(A, start, 8) };
    assert_eq!(script.answer(page(5, 7)), [pass(events(A, 6..=7), each(5))]);
    assert_eq!(script.asked(), [Since::At(at(A, 7))]);
    assert_eq!(script.answer(page(7, 8)), [pass(events(A, 8..=8), each(7))]);
    assert_eq!(script.place.phase(), Phase::Even);
}

/// Found by the model (schedule 181141): the message of a server that died waited behind a read, and
/// was passed on after the node had gone to another one.
#[test]
fn a_read_explains_what_came_before_it() {
    let mut script = Script::even(1);
    script.step(Input::Top(Some(at(B, 3))));
    script.hear(event(A, 2));
    let page = Answer { offset: 3, end: Some(2), events: events(A, 2..=2), ..answer(B, 1, 2) };
    assert_eq!(script.answer(page), [Tell(each(position(B, 1))), pass(events(B, 2..=2), each(1))]);
    script.step(Input::Connected); // the other server, which has event 1 only
    let other = || Answer { lost: true, end: None, ..answer(A, 1, 1) };
    script.answer(other());
    script.answer(other());
    script.step(Input::Confirmed);
    assert_eq!(script.answer(other()), [Tell(each(gap(A, 1)))], "and not event 2 a second time");
    assert_eq!(script.place.position(), Some(at(A, 1)));
}

#[test]
fn a_node_that_hears_one_server_and_asks_another_reads_at_its_leisure() {
    let mut script = Script::even(5);
    script.hear(event(B, 6));
    for offset in 7..=9 {
        script.hear(event(B, offset));
    }
    assert_eq!(script.answer(answer(A, 5, 5)), [Seek, Effect::Stale { since_ms: 1000 }]);
    for offset in 10..=99 {
        script.hear(event(B, offset));
    }
    assert_eq!(script.asked(), [], "and not one for each message");
    script.later(50);
    // The server that is heard answers at last.
    assert_eq!(
        script.answer(Answer { end: Some(5), ..answer(B, 5, 99) }),
        [Tell(each(position(B, 5))), pass(events(B, 6..=99), each(5))]
    );
    assert_eq!(script.place.phase(), Phase::Even);
}

#[test]
fn an_answer_that_cannot_be_true_changes_nothing() {
    let wrong = [
        Answer { start: 7, events: vec![], ..answer(A, 5, 7) }, // leaves events out and says nothing
        Answer { events: vec![event(A, 7)], ..answer(A, 5, 7) },
        Answer { events: vec![], ..answer(A, 5, 7) },
        Answer { offset: 6, ..answer(A, 5, 7) },
        Answer { offset: u64::MAX, start: u64::MAX, lost: true, events: vec![], ..answer(A, 5, 5) },
        Answer { ahead: true, ..answer(A, 5, 5) },
        Answer { ahead: true, events: vec![], ..answer(B, 5, 4) }, // nobody can be ahead in an epoch it is not in
        Answer { lost: true, ahead: true, start: 6, ..answer(A, 5, 5) },
        answer(A, 4, 4), // behind, and neither lost nor ahead
    ];
    for answer in wrong {
        let mut script = Script::even(5);
        script.step(Input::Missed(Cause::Check));
        assert_eq!(script.answer(answer.clone()), [Effect::Stale { since_ms: 1000 }], "{answer:?}");
        assert_eq!(script.place.position(), Some(at(A, 5)));
    }
}

#[test]
fn the_tops_are_compared_and_only_a_difference_is_read() {
    let mut script = Script::even(5);
    script.step(Input::Top(Some(at(A, 5))));
    assert_eq!(script.asked(), []);
    for top in [Some(at(A, 6)), Some(at(B, 5)), Some(at(A, 4)), None] {
        let mut script = Script::even(5);
        script.step(Input::Top(top));
        assert_eq!(script.asked(), [Since::At(at(A, 5))], "{top:?}");
    }
}
