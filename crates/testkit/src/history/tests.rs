//! Every fault, planted in what one client was told, and found; and what is none, left alone.
//!
//! Positions are written `A3`: a letter for the epoch, and the offset. A client's words: `S@A0` subscribed there;
//! `S@A2?A3+` the same, since A3, and told that nothing is missing (`-`: something is); `4=7` event 7 under offset 4
//! (`4=7k` with its key); `P@B2` position; `G@B5` gap; `X` closed; `L` left.

use std::collections::BTreeMap;

use tidegate_core::{Epoch, Position};

use super::*;

fn at(text: &str) -> Position {
    let (letter, offset) = text.split_at(1);
    let epoch = Epoch::new(u64::from(letter.as_bytes()[0]), 1);
    Position { epoch, offset: offset.parse().expect("an offset") }
}

fn told(word: &str) -> Told {
    let channel = 0;
    if let Some((offset, number)) = word.split_once('=') {
        let keyed = number.ends_with('k');
        let number = number.trim_end_matches('k').parse().ok();
        return Told::Event { channel, offset: offset.parse().ok(), number, keyed: Some(keyed) };
    }
    match word.split_once('@') {
        Some(("S", rest)) => match rest.split_once('?') {
            None => Told::Subscribed { channel, since: None, start: at(rest), recovered: None },
            Some((start, since)) => {
                let recovered = since.ends_with(['+', '-']).then(|| since.ends_with('+'));
                let since = Some(at(since.trim_end_matches(['+', '-'])));
                Told::Subscribed { channel, since, start: at(start), recovered }
            }
        },
        Some(("P", rest)) => Told::Position { channel, at: at(rest) },
        Some(("G", rest)) => Told::Gap { channel, at: at(rest) },
        _ if word == "X" => Told::Closed(None),
        _ if word == "L" => Told::Left { channel },
        _ => panic!("{word:?} is no word"),
    }
}

/// A run: events 0, 1, 2 … acknowledged at these positions (`A1/B1` twice; `?` never; `k` in front: with a key), the history
/// that is left (`B5 A2` for top B5, after A ended at 2), and what clients were told.
fn run(acknowledged: &str, left: &str, clients: &[&str]) -> Verdict {
    let mut ledger = Ledger::default();
    for words in acknowledged.split_whitespace() {
        let number = ledger.publish("a", words.starts_with('k'));
        for word in words.trim_start_matches('k').split('/').filter(|word| *word != "?") {
            ledger.acknowledge(number, at(word));
        }
    }
    ledger.publish("b", false);
    let mut left = left.split_whitespace().map(at);
    let top = left.next().expect("a top");
    let lineage = Lineage { top, former: left.map(|at| (at.epoch, at.offset)).collect() };
    let logs = clients.iter().map(|words| {
        let mut log = Log::new("client", &["a".to_owned()]);
        words.split_whitespace().for_each(|word| log.write(told(word)));
        log
    });
    let logs: Vec<Log> = logs.collect();
    let verdict = judge(&ledger, &BTreeMap::from([("a".to_owned(), lineage)]), &logs);
    assert_eq!(verdict.none(), verdict.examples.is_empty(), "{verdict}");
    verdict
}

/// As [`run`] with one client: the faults that were found, by name.
fn found(acknowledged: &str, left: &str, client: &str) -> String {
    words(&run(acknowledged, left, &[client]))
}

fn words(verdict: &Verdict) -> String {
    let Verdict { lost, twice, reordered, foreign, wrong, skips, holes, behind, .. } = verdict;
    let all = [
        ("lost", lost),
        ("twice", twice),
        ("reordered", reordered),
        ("foreign", foreign),
        ("wrong", wrong),
        ("skips", skips),
        ("holes", holes),
        ("behind", behind),
        ("told", &verdict.told),
        ("died", &verdict.died),
        ("repeated", &verdict.repeated),
    ];
    let some = all.iter().filter(|(_, count)| **count > 0);
    some.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

const FIVE: &str = "A1 A2 A3 A4 A5";

#[test]
fn all_of_it_in_order_is_no_fault() {
    for client in [
        "S@A0 1=0 2=1 3=2 4=3 5=4",
        "S@A3 4=3 5=4",
        "S@A0 1=0 2=1 X S@A2?A2+ 3=2 4=3 5=4",
        "S@A0 1=0 2=1 L S@A4 5=4", // it had left: nothing was promised
        "S@A0 1=0 2=1 L",
        "S@A0 1=0 L S@A1?A1+ 2=1 3=2 4=3 5=4",
        "",
    ] {
        assert_eq!(found(FIVE, "A5", client), "", "{client}");
    }
}

#[test]
fn planted_faults_are_found() {
    for (client, faults) in [
        ("S@A0 1=0 2=1 4=3 5=4", "lost 1, skips 1"),
        ("S@A0 1=0 2=1 3=2 4=3", "lost 1, behind 1"),
        ("S@A0 1=0 2=1 3=3 4=4", "lost 1, wrong 2, behind 1"),
        ("S@A0 1=0 2=1 2=1 3=2 4=3 5=4", "twice 1"),
        ("S@A0 1=0 3=2 2=1 4=3 5=4", "reordered 1, skips 1"),
        ("S@A0 1=0 2=1 3=9 3=2 4=3 5=4", "foreign 1"),
        ("S@A0 1=0 2=1 3=5 3=2 4=3 5=4", "foreign 1"), // event 5 is of channel b
        ("S@A0 1=0 2=1 3=x 3=2 4=3 5=4", "foreign 1"),
        ("1=0 S@A1 2=1 3=2 4=3 5=4", "foreign 1"),
        ("S@A0 1=0 2=1k 3=2 4=3 5=4", "wrong 1"),
        // Coming back.
        ("S@A0 1=0 X", "lost 4, behind 1"),
        ("S@A0 1=0 X S@A3?A1+ 4=3 5=4", "lost 2, skips 1"),
        ("S@A0 1=0 X S@A3?A1 4=3 5=4", "lost 2, skips 1"),
        ("S@A0 1=0 X S@A3 4=3 5=4", "lost 2, skips 1"), // subscribed anew, as if nothing had been promised
        ("S@A0 1=0 2=1 X S@A1?A2+ 2=1 3=2 4=3 5=4", "twice 1"),
        ("S@A0 1=0 P@A3 4=3 5=4", "lost 2, skips 1"),
    ] {
        assert_eq!(found(FIVE, "A5", client), faults, "{client}");
    }
}

#[test]
fn what_a_client_was_told_is_not_lost() {
    for (client, faults) in [
        ("S@A0 1=0 G@A3 4=3 5=4", "told 2"),
        ("S@A0 1=0 X S@A3?A1- 4=3 5=4", "told 2"),
        ("S@A0 1=0 X S@A3?A1- 5=4", "lost 1, skips 1, told 2"),
        ("S@A0 1=0 G@A3 4=3", "lost 1, behind 1, told 2"),
    ] {
        assert_eq!(found(FIVE, "A5", client), faults, "{client}");
    }
}

/// A ended at 3 in a snapshot; events 3 and 4 died at A4 and A5; B goes on with 5 and 6.
const DIED: &str = "A1 A2 A3 A4 A5 B4 B5";

#[test]
fn events_may_die_with_their_server_if_those_who_saw_them_are_told() {
    for (client, faults) in [
        ("S@A0 1=0 2=1 3=2 4=3 5=4 P@B3 4=5 5=6", "died 2"),
        ("S@A0 1=0 2=1 3=2 4=3 5=4 X S@B3?A5+ 4=5 5=6", "died 2"),
        ("S@A0 1=0 2=1 P@B2 3=2 4=5 5=6", "died 2"), // (B, 3) is (A, 3)
        ("S@A5 P@B3 4=5 5=6", "died 2"),
        ("S@A0 1=0 2=1 3=2 4=3 5=4 G@B4 5=6", "told 1, died 2"),
        // It takes the new events for those that it has: what a reused epoch does to clients.
        ("S@A0 1=0 2=1 3=2 4=3 5=4 P@B5", "lost 2, died 2"),
        ("S@A0 1=0 2=1 3=2 4=3 5=4 X S@B5?A5+", "lost 2, died 2"),
        ("S@A0 1=0 2=1 3=2 4=3 5=4", "lost 2, behind 1, died 2"),
        ("S@A0 1=0 2=1 3=2 4=3 5=4 P@B4 5=6", "lost 1, died 2"),
        ("S@A0 1=0 2=1 3=2 P@B3 4=6 5=6", "lost 1, twice 1, wrong 1, died 2"),
    ] {
        assert_eq!(found(DIED, "B5 A3", client), faults, "{client}");
    }
}

#[test]
fn a_position_that_means_two_events_is_found_whoever_was_told() {
    // An epoch that is used again after the snapshot: two publishers.
    let verdict = run("A1 A2 A3 A4 A4 A5", "A5", &[]);
    assert_eq!(words(&verdict), "wrong 1, died 1");
    // Who heard the first under it has lost the second.
    let verdict = run("A1 A2 A2 A3", "A3", &["S@A0 1=0 2=1 3=3"]);
    assert_eq!(words(&verdict), "lost 1, wrong 2, died 1");
    // Publisher and client; two clients, of an event whose publisher was told nothing.
    assert_eq!(found("A1 ? A2", "A2", "S@A0 1=0 2=1"), "lost 1, wrong 1");
    let verdict = run("A1 ? ?", "A2", &["S@A0 1=0 2=1", "S@A0 1=0 2=2"]);
    assert_eq!(words(&verdict), "lost 1, wrong 1");
    // Two names of one event are known as such.
    assert_eq!(found("A1 A2 B3", "B3 A2", "S@B0 1=1 2=0 3=2"), "wrong 2");
    // A name of an event that died.
    assert_eq!(words(&run(DIED, "B5 A3", &["S@A3 4=4 P@B3 4=5 5=6"])), "wrong 1, died 2");
}

#[test]
fn a_retry_of_an_event_that_died_is_known_by_its_key() {
    let acknowledged = "A1 kA2/B2";
    assert_eq!(found(acknowledged, "B2 A1", "S@A0 1=0 2=1k P@B1 2=1k"), "repeated 1");
    // Without the word that it died it came twice.
    assert_eq!(found(acknowledged, "B2 A1", "S@A0 1=0 2=1k P@B2 3=1k"), "twice 1, behind 1");
    // A retry that was numbered again though the first lives.
    let verdict = run("A1 kA2/A3", "A3", &["S@A0 1=0 2=1k 3=1k"]);
    assert_eq!(words(&verdict), "twice 2");
}

#[test]
fn an_event_that_nobody_knows_is_a_hole() {
    assert_eq!(found("A1 ? A3", "A3", ""), "holes 1");
    assert_eq!(found("A1 ? A3", "A3", "S@A0 1=0 2=1 3=2"), "");
    // It was never acknowledged, and it stands in the history: everybody is to hear it.
    let verdict = run("A1 ? A3", "A3", &["S@A0 1=0 2=1 3=2", "S@A0 1=0 3=2"]);
    assert_eq!(words(&verdict), "lost 1, skips 1");
}

#[test]
fn a_lineage_is_read_from_a_top() {
    let epoch = |n| format!("000000000000000000{n}");
    let chain = format!("{}:4,{}:9", epoch(1), epoch(2));
    let mut late = Lineage::parse(&epoch(3), "12", &chain).expect("a lineage");
    let name = |n: u64, offset| Position { epoch: epoch(n).parse().expect("an epoch"), offset };
    assert_eq!((late.offset(name(1, 4)), late.offset(name(1, 5))), (Some(4), None));
    assert_eq!((late.offset(name(3, 2)), late.offset(name(3, 13))), (Some(2), None));
    assert_eq!((late.reached(name(2, 11)), late.reached(name(7, 1))), (Some(9), None));
    // What fell out of the chain comes back, if it is the same history.
    let early = Lineage::parse(&epoch(2), "8", &format!("{}:2,{}:4", epoch(0), epoch(1))).expect("a lineage");
    late.remember(&early);
    assert_eq!(late.former.len(), 3);
    assert_eq!(late.offset(name(0, 2)), Some(2));
    late.remember(&Lineage::of(name(9, 1)));
    assert_eq!(late.former.len(), 3);
    assert!(Lineage::parse("1", "2", "").is_none() && Lineage::parse(&epoch(1), "x", "").is_none());
}

#[test]
fn the_time_until_all_channels_are_back_is_measured() {
    let mut log = Log::new("client", &["a".to_owned(), "b".to_owned()]);
    let subscribed = |channel| Told::Subscribed { channel, since: None, start: at("A0"), recovered: None };
    log.write(subscribed(0));
    log.write(subscribed(1));
    log.write(Told::Closed(None));
    log.write(subscribed(1));
    assert!(log.resumes().is_empty(), "one is missing");
    log.write(Told::Closed(Some(4200)));
    log.write(subscribed(1));
    log.write(subscribed(0));
    assert_eq!(log.resumes().len(), 1);
    assert!(log.resumes()[0] >= log.lines[6].at - log.lines[2].at);
}
