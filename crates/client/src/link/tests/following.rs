//! Channels with history: each event once, in order, over all connections, or a word that some are missing.

use super::*;

const E1: &str = "1763700000000000001";
const E2: &str = "1763700000000000002";

/// A client that is at 5 of the first epoch of `a`; its next request is the third.
fn following() -> Script {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    let reply =
        format!(r#"{{"type":"subscribed","id":2,"channel":"a","epoch":"{E1}","offset":5,"events":[]}}"#);
    assert_eq!(script.hears(&reply), ["sub ok"]);
    script
}

impl Script {
    fn subscribe_from(&mut self, start: Start, reply: &'static str) -> Vec<String> {
        self.step(Input::Command(Command::Subscribe(channel("a"), start, reply)))
    }

    /// An event of `a`, whose payload is its offset.
    fn event(&mut self, offset: u64) {
        assert!(
            self.hears(&format!(r#"{{"type":"event","channel":"a","offset":{offset},"data":{offset}}}"#))
                .is_empty()
        );
    }

    fn keyed(&mut self, offset: u64, key: &str) {
        let event =
            format!(r#"{{"type":"event","channel":"a","offset":{offset},"data":{offset},"key":"{key}"}}"#);
        assert!(self.hears(&event).is_empty());
    }

    /// The reply to `subscribe`: the position behind its events, and what they are.
    fn subscribed(
        &mut self,
        id: u64,
        (epoch, offset): (&str, u64),
        recovered: bool,
        events: &[u64],
    ) -> Vec<String> {
        let events: Vec<String> = events.iter().map(|n| format!(r#"{{"offset":{n},"data":{n}}}"#)).collect();
        let events = events.join(",");
        self.hears(&format!(
            r#"{{"type":"subscribed","id":{id},"channel":"a","epoch":"{epoch}","offset":{offset},"recovered":{recovered},"events":[{events}]}}"#
        ))
    }
}

#[test]
fn it_comes_back_with_the_position_of_the_last_event_that_was_handed_over() {
    let mut script = following();
    script.event(6);
    script.event(7);
    assert_eq!(script.takes(), ["event a 6", "event a 7"]);
    script.event(8); // waits, and nobody takes it before the connection ends
    assert_eq!(
        script.comes_back(3),
        [format!(
            r#"send {{"type":"subscribe","id":4,"channel":"a","since":{{"epoch":"{E1}","offset":7}}}}"#
        )]
    );
    assert!(script.takes().is_empty(), "8 comes again, and would be there twice");
    assert_eq!(script.subscribed(4, (E1, 9), true, &[8, 9]), ["resubscribed a"]);
    script.event(9); // one too many: dropped
    script.event(10);
    assert_eq!(script.takes(), ["event a 8", "event a 9", "event a 10"]);
}

#[test]
fn handled_is_what_the_application_is_done_with() {
    let mut script = following();
    assert_eq!(script.position(), format!("{E1}-5"));
    script.event(6);
    script.takes();
    assert_eq!(script.position(), format!("{E1}-5"), "it was given 6 and has not asked for more");
    script.followers.lock().handled();
    assert_eq!(script.position(), format!("{E1}-6"));
}

#[test]
fn an_event_in_the_applications_hands_does_not_come_again() {
    let mut script = following();
    script.event(6);
    assert_eq!(script.takes(), ["event a 6"]);
    let back = script.comes_back(3);
    assert!(back[0].contains(r#""offset":6"#), "{back:?}");
    assert_eq!(script.position(), format!("{E1}-5"), "but a crash now would need it again");
}

#[test]
fn what_subscribe_promised_is_not_missed_though_nothing_was_taken() {
    let mut script = following();
    let back = script.comes_back(3);
    assert_eq!(
        back,
        [format!(
            r#"send {{"type":"subscribe","id":4,"channel":"a","since":{{"epoch":"{E1}","offset":5}}}}"#
        )]
    );
}

#[test]
fn it_begins_where_the_application_says() {
    let mut script = Script::connected();
    let since: Position = format!("{E1}-3").parse().unwrap();
    assert_eq!(
        script.subscribe_from(Start::Since(since), "sub"),
        [format!(
            r#"send {{"type":"subscribe","id":2,"channel":"a","since":{{"epoch":"{E1}","offset":3}}}}"#
        )]
    );
    assert_eq!(script.position(), format!("{E1}-3"));
    assert_eq!(script.subscribed(2, (E1, 5), true, &[4, 5]), ["sub ok"]);
    assert_eq!(script.takes(), ["event a 4", "event a 5"]);

    let mut script = Script::connected();
    assert_eq!(
        script.subscribe_from(Start::Last(2), "sub"),
        [r#"send {"type":"subscribe","id":2,"channel":"a","last":2}"#]
    );
    script.hears(&format!(
        r#"{{"type":"subscribed","id":2,"channel":"a","epoch":"{E1}","offset":5,"events":[{{"offset":4,"data":4}},{{"offset":5,"data":5}}]}}"#
    ));
    let back = script.comes_back(3);
    assert!(
        back[0].contains(r#""since""#) && back[0].contains(r#""offset":3"#),
        "not `last` again: {back:?}"
    );
    script.subscribed(4, (E1, 5), true, &[4, 5]);
    assert_eq!(script.takes(), ["event a 4", "event a 5"]);
}

#[test]
fn what_is_missing_is_told_in_its_place() {
    let mut script = following();
    script.event(6);
    script.hears(&format!(r#"{{"type":"gap","channel":"a","epoch":"{E1}","offset":90,"reason":"why"}}"#));
    script.event(91);
    assert_eq!(script.takes(), ["event a 6", "gap a why", "event a 91"]);
    script.comes_back(3);
    script.subscribed(4, (E2, 7), false, &[7]);
    assert_eq!(script.takes(), ["gap a the history no longer holds what followed", "event a 7"]);
    script.followers.lock().handled();
    assert_eq!(script.position(), format!("{E2}-7"));
}

#[test]
fn a_word_of_a_gap_that_was_not_taken_is_not_lost_with_its_connection() {
    let mut script = following();
    script.hears(&format!(r#"{{"type":"gap","channel":"a","epoch":"{E1}","offset":90,"reason":"why"}}"#));
    let back = script.comes_back(3);
    assert!(back[0].contains(r#""offset":5"#), "from where the application is: {back:?}");
    script.subscribed(4, (E1, 91), false, &[91]);
    assert_eq!(script.takes().len(), 2, "the gap and 91");
}

#[test]
fn who_was_asked_with_a_position_and_does_not_say_recovered_has_not() {
    let mut script = following();
    script.comes_back(3);
    script.hears(&format!(
        r#"{{"type":"subscribed","id":4,"channel":"a","epoch":"{E1}","offset":9,"events":[]}}"#
    ));
    assert_eq!(script.takes(), ["gap a the history no longer holds what followed"]);
}

#[test]
fn an_event_that_died_and_is_published_again_comes_once() {
    let mut script = following();
    script.keyed(6, "k6");
    script.keyed(7, "k7");
    assert_eq!(script.takes(), ["event a 6", "event a 7"]);
    script.hears(&format!(r#"{{"type":"position","channel":"a","epoch":"{E2}","offset":5}}"#));
    script.event(6); // another event, under the same offset of a later epoch
    script.keyed(7, "k7"); // its publisher tries again
    script.keyed(8, "k8");
    assert_eq!(script.takes(), ["event a 6", "event a 8"]);
}

#[test]
fn a_hole_is_a_fault_of_the_gateway_and_is_subscribed_over() {
    let mut script = following();
    script.event(6);
    script.event(8);
    script.event(9);
    assert_eq!(script.takes(), ["event a 6"]);
    assert_eq!(script.step(Input::Look), [r#"send {"type":"unsubscribe","id":3,"channel":"a"}"#]);
    script.event(10);
    assert!(script.takes().is_empty());
    assert!(script.hears(r#"{"type":"ok","id":3}"#).is_empty());
    assert_eq!(
        script.after(2000),
        [format!(
            r#"send {{"type":"subscribe","id":4,"channel":"a","since":{{"epoch":"{E1}","offset":6}}}}"#
        )]
    );
    assert_eq!(script.subscribed(4, (E1, 10), true, &[7, 8, 9, 10]), ["resubscribed a"]);
    assert_eq!(script.takes(), ["event a 7", "event a 8", "event a 9", "event a 10"]);
}

#[test]
fn behind_waits_for_the_server_with_the_same_position() {
    let mut script = Script::connected();
    let since: Position = format!("{E2}-3").parse().unwrap();
    let asked = |id| {
        format!(
            r#"send {{"type":"subscribe","id":{id},"channel":"a","since":{{"epoch":"{E2}","offset":3}}}}"#
        )
    };
    assert_eq!(script.subscribe_from(Start::Since(since), "sub"), [asked(2)]);
    for id in 2..5 {
        let behind = format!(r#"{{"type":"error","id":{id},"code":"behind","message":"old","retry":true}}"#);
        assert!(script.hears(&behind).is_empty());
        assert_eq!(script.after(2000), [asked(id + 1)]);
    }
    assert_eq!(script.subscribed(5, (E2, 3), true, &[]), ["sub ok"]);
}

#[test]
fn live_events_have_no_place_and_are_handed_over_as_they_come() {
    let mut script = following();
    assert_eq!(script.hears(r#"{"type":"event","channel":"a","data":"live"}"#), [r#"event a "live""#]);
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#);
    assert_eq!(script.position(), "none");
    assert_eq!(script.comes_back(3), [r#"send {"type":"subscribe","id":4,"channel":"a"}"#]);
    assert!(script.followers.lock().position(&channel("a")).is_none());
}

#[test]
fn a_history_that_is_gone_is_told() {
    let mut script = following();
    script.comes_back(3);
    let out = script.hears(r#"{"type":"subscribed","id":4,"channel":"a"}"#);
    assert_eq!(out[0], "resubscribed a");
    assert!(out[1].starts_with("gap a ") && out.len() == 2, "{out:?}");
    assert_eq!(script.position(), "none");
}

#[test]
fn unsubscribe_ends_it_and_what_waits_is_not_handed_over() {
    let mut script = following();
    script.event(6);
    script.unsubscribe("a", "unsub");
    assert!(script.takes().is_empty());
    script.hears(r#"{"type":"ok","id":3}"#);
    // The next one begins anew.
    assert_eq!(script.subscribe("a", "sub"), [r#"send {"type":"subscribe","id":4,"channel":"a"}"#]);
    // In the middle of leaving because of a fault, too.
    let mut script = following();
    script.event(9);
    script.takes();
    script.step(Input::Look);
    assert!(script.unsubscribe("a", "unsub").is_empty());
    assert_eq!(script.hears(r#"{"type":"ok","id":3}"#), ["unsub ok"]);
    assert!(script.link.wanted.is_empty());
}

#[test]
fn what_came_before_the_server_ended_it_is_handed_over() {
    let mut script = following();
    script.event(6);
    let out = script.hears(r#"{"type":"unsubscribed","channel":"a","code":"forbidden"}"#);
    assert!(out[0].starts_with("ended a"));
    assert_eq!(script.takes(), ["event a 6"]);
    script.followers.lock().ended(&channel("a"));
    assert_eq!(script.position(), "none");
}

#[test]
fn a_late_reply_decides_nothing() {
    let mut script = following();
    script.comes_back(3);
    assert!(script.after(10_000).is_empty(), "given up, and asked again in a while");
    assert_eq!(
        script.subscribed(4, (E1, 9), true, &[6, 7, 8, 9]),
        [r#"send {"type":"unsubscribe","id":5,"channel":"a"}"#]
    );
    script.hears(r#"{"type":"ok","id":5}"#);
    let again = script.after(2000);
    assert!(again[0].contains(r#""offset":5"#), "{again:?}");
    assert!(script.takes().is_empty());
}

#[test]
fn histories_are_asked_for() {
    let mut script = Script::new();
    let ask = |limit| Input::Command(Command::History(channel("a"), None, limit, "his"));
    assert_eq!(script.step(ask(None)), ["his there is no connection"]);
    let mut script = Script::connected();
    assert_eq!(script.step(ask(Some(2))), [r#"send {"type":"history","id":2,"channel":"a","limit":2}"#]);
    let reply = format!(
        r#"{{"type":"history","id":2,"channel":"a","epoch":"{E1}","offset":5,"events":[{{"offset":4,"data":1}},{{"offset":5,"data":2}}]}}"#
    );
    assert_eq!(script.hears(&reply), [format!("his history [4, 5] up to {E1}-5")]);
    script.step(ask(None));
    assert_eq!(script.cut(None)[0], "his the connection ended before the answer");
}
