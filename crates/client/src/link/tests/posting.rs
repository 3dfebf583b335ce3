//! Publishes with keys: once each, however often they are sent.

use super::*;

impl Script {
    fn post(&mut self, data: &'static str, key: &str, reply: &'static str) -> Vec<String> {
        self.step(Input::Command(Command::Post(channel("a"), data.into(), key.into(), reply)))
    }
}

fn sent(id: u64, data: u64, key: &str) -> String {
    format!(r#"{{"type":"publish","id":{id},"channel":"a","data":{data},"key":"{key}"}}"#)
}

#[test]
fn they_wait_for_a_connection_in_order() {
    let mut script = Script::new();
    assert!(script.post("1", "k1", "one").is_empty());
    assert!(script.post("2", "k2", "two").is_empty());
    script.tick();
    script.step(Input::Opened);
    assert_eq!(
        script.hears(CONNECTED),
        [
            "connected s1".to_owned(),
            format!("send {}", sent(2, 1, "k1")),
            format!("send {}", sent(3, 2, "k2"))
        ]
    );
    assert_eq!(
        script.hears(r#"{"type":"ok","id":3,"epoch":"1700000000000000001","offset":7}"#),
        ["two ok 1700000000000000001-7"]
    );
    assert_eq!(script.hears(r#"{"type":"ok","id":2}"#), ["one ok"]);
}

#[test]
fn what_has_no_answer_is_sent_again_under_its_key() {
    let mut script = Script::connected();
    assert_eq!(script.post("1", "k1", "one"), [format!("send {}", sent(2, 1, "k1"))]);
    assert_eq!(script.comes_back(3), [format!("send {}", sent(4, 1, "k1"))]);
    assert_eq!(script.after(10_000), [format!("send {}", sent(5, 1, "k1"))], "nor was it answered there");
    assert!(script.hears(r#"{"type":"ok","id":4}"#).is_empty(), "too late");
    assert_eq!(script.hears(r#"{"type":"ok","id":5}"#), ["one ok"]);
    assert!(script.comes_back(6).is_empty(), "once answered it is not sent again");
}

#[test]
fn what_may_be_forgotten_is_not_sent_again() {
    let mut script = Script::connected();
    script.post("1", "k1", "one");
    script.cut(None);
    // The server remembers for 60 s; an attempt must arrive before that.
    script.now += Duration::from_secs(40);
    let out = script.tick();
    assert!(out.contains(&"one the connection ended before the answer".to_owned()), "{out:?}");
    // What was never sent waits for as long as it takes.
    let mut script = Script::new();
    script.post("1", "k1", "one");
    script.now += Duration::from_secs(3600);
    assert_eq!(script.tick(), ["connecting", "dial"]);
}

#[test]
fn more_than_may_wait_is_refused_at_once() {
    let mut script = Script::new();
    script.post("1", "k1", "one");
    script.post("2", "k2", "two");
    let full = "2 publishes of at most 300 bytes may wait for an answer, no more";
    assert_eq!(script.post("3", "k3", "three"), [format!("three {full}")]);
    let mut script = Script::new();
    assert_eq!(script.post("x".repeat(200).leak(), "k1", "one"), [format!("one {full}")]);
    // An answer makes room, for bytes as well.
    let mut script = Script::connected();
    for id in 2..9 {
        assert_eq!(script.post("1", "k1", "one").len(), 1);
        assert_eq!(script.hears(&format!(r#"{{"type":"ok","id":{id}}}"#)), ["one ok"]);
    }
}

#[test]
fn a_refusal_that_may_be_over_is_tried_again_each_time_a_little_later() {
    let mut script = Script::connected();
    script.post("1", "k1", "one");
    let refusal = |id: u64, code: &str, retry: bool| {
        format!(r#"{{"type":"error","id":{id},"code":"{code}","message":"no","retry":{retry}}}"#)
    };
    assert!(script.hears(&refusal(2, "unavailable", true)).is_empty());
    assert_eq!(script.after(2000), [format!("send {}", sent(3, 1, "k1"))]);
    assert!(script.hears(&refusal(3, "not_replicated", true)).is_empty());
    assert_eq!(script.after(4000), [format!("send {}", sent(4, 1, "k1"))]);
    assert_eq!(script.hears(&refusal(4, "key_reused", false)), ["one no (key_reused)"]);
    // Until the server may have forgotten the key.
    script.post("1", "k1", "one");
    script.now += Duration::from_secs(39);
    assert_eq!(script.hears(&refusal(5, "unavailable", true)), ["one no (unavailable)"]);
}

#[test]
fn what_the_server_does_not_take_is_told() {
    let mut script = Script::new();
    script.post("x".repeat(100).leak(), "k1", "one");
    script.tick();
    script.step(Input::Opened);
    let out = script.hears(CONNECTED);
    assert_eq!(out[1], "one the message has 160 bytes, the server takes at most 100");
    assert_eq!(script.link.requests.len(), 0);
}

#[test]
fn a_planned_move_takes_them_along() {
    let mut script = Script::connected();
    script.post("1", "k1", "one");
    script.hears(r#"{"type":"reconnect","after_ms":0}"#);
    assert_eq!(script.after(2000), ["hang 1000 asked to reconnect", "connecting", "dial"]);
    script.step(Input::Opened);
    let out = script.hears(&CONNECTED.replace(r#""id":1,"#, r#""id":3,"#));
    assert_eq!(out[1], format!("send {}", sent(4, 1, "k1")));
    assert_eq!(script.step(Input::Close)[1], "one the client is closed: closed here (1000)");
}
