//! Nothing that a broker or a client says makes a place panic, or ask for ever.

use proptest::prelude::*;

use super::script::{Script, at, epoch, live};
use crate::place::*;

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..12u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn events() -> impl Strategy<Value = Event> {
    (0..3u64, numbers(), any::<bool>())
        .prop_map(|(e, offset, numbered)| Event { position: numbered.then(|| at(e, offset)), ..live("{}") })
}

fn answers() -> impl Strategy<Value = Answer> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..3u64, numbers(), numbers(), flags, 0..4u64, proptest::collection::vec(events(), 0..3)).prop_map(
        |(e, offset, start, (lost, ahead, honest), count, wild)| Answer {
            epoch: epoch(e),
            offset,
            start,
            end: (!lost).then_some(offset),
            lost,
            ahead,
            events: match honest {
                true => (1..=count)
                    .map(|n| Event { position: Some(at(e, start.wrapping_add(n))), ..live("") })
                    .collect(),
                false => wild,
            },
        },
    )
}

fn since() -> impl Strategy<Value = Since> {
    let position = (0..3u64, numbers()).prop_map(|(e, offset)| Since::At(at(e, offset)));
    prop_oneof![Just(Since::Now), position, numbers().prop_map(Since::Last)]
}

fn inputs() -> impl Strategy<Value = Input<u8>> {
    prop_oneof![
        4 => events().prop_map(Input::Message),
        6 => (0..40u32, answers()).prop_map(|(id, answer)| Input::Answer(ReadId(id), Ok(answer))),
        1 => (0..40u32).prop_map(|id| Input::Answer(ReadId(id), Err(Failure::Missing))),
        1 => (0..40u32).prop_map(|id| Input::Answer(ReadId(id), Err(Failure::TryAgain))),
        1 => (0..40u32, any::<bool>()).prop_map(|(id, begun)| Input::Begun(ReadId(id), begun)),
        1 => (0..3u64, numbers()).prop_map(|(e, offset)| Input::Top(Some(at(e, offset)))),
        2 => Just(Input::Connected),
        1 => Just(Input::Down),
        1 => Just(Input::Unheard),
        1 => Just(Input::Missed(Cause::Overflowed)),
        1 => Just(Input::Confirmed),
        3 => (0..4u8, since(), any::<bool>()).prop_map(|(seat, since, brief)| Input::Subscribe { seat, since, brief }),
        2 => (0..4u8).prop_map(Input::Room),
        2 => (0..4u8).prop_map(Input::Unsubscribe),
        2 => Just(Input::Tick),
    ]
}

/// Makes it an answer that can be true for whoever asked from `since`.
fn fit(answer: &mut Answer, since: Position) {
    (answer.epoch, answer.start, answer.lost) = (since.epoch, since.offset, false);
    answer.ahead = answer.offset < since.offset;
    answer.end = Some(answer.offset);
    let room = if answer.ahead { 0 } else { answer.offset - since.offset };
    let events = (1..=room.min(3)).map(|n| Event { position: Some(at(0, since.offset + n)), ..live("") });
    answer.events = events.collect();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_a_place_goes_on(inputs in proptest::collection::vec((inputs(), 0..400u64), 1..80)) {
        let mut script = Script::cold();
        let bounds = script.bounds;
        let mut subscribers = 0;
        for (input, ms) in inputs {
            script.ms += ms;
            // What is answered is mostly what was asked.
            let input = match (input, script.reads.first()) {
                (Input::Answer(id, Ok(mut answer)), Some((asked, Since::At(since)))) if id.0 % 4 > 1 => {
                    fit(&mut answer, *since);
                    Input::Answer(*asked, Ok(answer))
                }
                (Input::Answer(id, answer), Some((asked, _))) if id.0 % 4 > 0 => Input::Answer(*asked, answer),
                (input, _) => input,
            };
            if let Input::Answer(id, _) = &input {
                script.reads.retain(|(asked, _)| asked != id);
            }
            if let Input::Message(event) = &input && script.place.follows(event, &bounds) {
                continue;
            }
            subscribers += usize::from(matches!(input, Input::Subscribe { .. }));
            let before = script.reads.len();
            script.step(input);
            prop_assert!(script.reads.len() <= before + 1 + subscribers, "one for the place, one for each of them");
        }
    }
}
