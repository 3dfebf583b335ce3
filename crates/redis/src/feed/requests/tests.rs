//! What the subscriptions of a feed promise, without a Redis.

use super::*;

type Answer = oneshot::Receiver<Result<(), RedisError>>;

fn names(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn sorted(mut names: Vec<String>) -> String {
    names.sort();
    names.join(" ")
}

fn subscribing(text: &str) -> (Request, Answer) {
    let (done, answer) = oneshot::channel();
    (Request::Subscribe(Subscribe { names: names(text), done }), answer)
}

fn unsubscribing(text: &str) -> Request {
    Request::Unsubscribe(names(text))
}

/// Runs the next step as a Redis would that answers every caller with `result`. Returns the step,
/// written `+ a b` or `- a b`.
fn step(subscriptions: &mut Subscriptions, result: Result<(), RedisError>) -> Option<String> {
    let (line, done) = match subscriptions.next_step()? {
        Step::Unsubscribe(names) => (format!("- {}", sorted(names)), Done::Unsubscribed),
        Step::Subscribe { requests, missing } => {
            let results = requests.into_iter().map(|request| (request, result.clone())).collect();
            (format!("+ {}", sorted(missing)), Done::Subscribed(results))
        }
    };
    subscriptions.finish(done);
    Some(line)
}

#[test]
fn requests_that_wait_together_are_one_step_and_keep_their_order() {
    let mut subscriptions = Subscriptions::default();
    let (first, mut is_first) = subscribing("a b");
    let (second, mut is_second) = subscribing("b c");
    let (third, mut is_third) = subscribing("a");
    subscriptions.ask([first, second, unsubscribing("a x"), third]);
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "+ a b c");
    assert_eq!(is_first.try_recv(), Ok(Ok(())));
    assert_eq!(is_second.try_recv(), Ok(Ok(())));
    assert!(is_third.try_recv().is_err(), "not before its turn");
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "- a");
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "+ a");
    assert_eq!(is_third.try_recv(), Ok(Ok(())));
    assert_eq!(step(&mut subscriptions, Ok(())), None);
    assert_eq!(sorted(subscriptions.wanted()), "a b c");
}

#[test]
fn what_is_subscribed_is_not_asked_for_again() {
    let mut subscriptions = Subscriptions::default();
    for expected in ["+ a", "+ "] {
        let (request, mut answer) = subscribing("a");
        subscriptions.ask([request]);
        assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), expected);
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }
}

#[test]
fn a_failed_request_leaves_nothing_behind_but_what_was_there() {
    let mut subscriptions = Subscriptions::default();
    let (before, _answer) = subscribing("a");
    subscriptions.ask([before]);
    step(&mut subscriptions, Ok(()));

    let refused = Err(RedisError::Refused("NOPERM".into()));
    let (request, mut answer) = subscribing("a b");
    subscriptions.ask([request]);
    assert_eq!(step(&mut subscriptions, refused.clone()).unwrap(), "+ b");
    assert_eq!(answer.try_recv(), Ok(refused));
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "- b"); // some of it may have been done
    assert_eq!(sorted(subscriptions.wanted()), "a");
}

#[test]
fn a_caller_who_gave_up_leaves_nothing_behind() {
    let mut subscriptions = Subscriptions::default();
    let (early, answer) = subscribing("a");
    drop(answer);
    let (request, _answer) = subscribing("b");
    subscriptions.ask([early, request]);
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "+ b");

    let (late, answer) = subscribing("c");
    let (other, _answer) = subscribing("d");
    subscriptions.ask([late, other]);
    let Some(Step::Subscribe { requests, .. }) = subscriptions.next_step() else { panic!("subscribes") };
    drop(answer);
    subscriptions.finish(Done::Subscribed(requests.into_iter().map(|one| (one, Ok(()))).collect()));
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "- c");
    assert_eq!(sorted(subscriptions.wanted()), "b d");
}

#[test]
fn without_a_link_subscribing_fails_and_unsubscribing_is_done() {
    let mut subscriptions = Subscriptions::default();
    let (request, _answer) = subscribing("a b c");
    subscriptions.ask([request]);
    step(&mut subscriptions, Ok(()));

    let (request, mut answer) = subscribing("d");
    subscriptions.ask([unsubscribing("a"), request]);
    subscriptions.refuse_pending();
    assert!(matches!(answer.try_recv(), Ok(Err(RedisError::Unavailable(_)))));
    assert_eq!(sorted(subscriptions.wanted()), "b c");

    let on_the_new_link = subscriptions.wanted();
    subscriptions.refuse(unsubscribing("b")); // while they are being subscribed
    subscriptions.resubscribed(on_the_new_link);
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "- b");
    assert_eq!(step(&mut subscriptions, Ok(())), None);
}

#[test]
fn what_two_callers_could_not_have_is_cleaned_up_once() {
    let mut subscriptions = Subscriptions::default();
    let (first, _is_first) = subscribing("a b b");
    let (second, _is_second) = subscribing("a");
    subscriptions.ask([first, second]);
    let refused = Err(RedisError::Refused("NOPERM".into()));
    assert_eq!(step(&mut subscriptions, refused).unwrap(), "+ a b");
    assert_eq!(step(&mut subscriptions, Ok(())).unwrap(), "- a b");
}
