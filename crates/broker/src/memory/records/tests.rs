//! What is forgotten, and when: with a clock of the test's.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> HistoryRules {
    HistoryRules {
        history: Some(LogRules { size: 3, ttl: 10 * SECOND }),
        position_ttl: 100 * SECOND,
        dedupe_ttl: 5 * SECOND,
        replicated: false,
    }
}

fn records() -> Records {
    Records::new(HistorySettings { default: rules(), ..HistorySettings::default() })
}

/// The time of day stands still: what lives and ends must not look at it.
fn at(at: Instant) -> Now {
    Now { at, unix_us: 1_763_700_000_000_000 }
}

fn name() -> ChannelName {
    "a".parse().unwrap()
}

fn publish(records: &mut Records, text: &str, key: Option<&str>, now: Instant) -> Appended {
    let durable = Durable {
        channel: name(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        key: key.map(Arc::from),
        from: None,
        replicated: false,
    };
    records.append(durable, at(now)).unwrap().0
}

fn read(records: &mut Records, since: Since, now: Instant) -> Option<Read> {
    records.read(&Query { channel: name(), since, count: 100 }, at(now)).unwrap()
}

#[test]
fn the_log_goes_first_then_the_position_then_there_is_another_epoch() {
    let start = Instant::now();
    let mut records = records();
    let first = publish(&mut records, "1", None, start).position.unwrap();
    publish(&mut records, "2", None, start + 9 * SECOND);
    let since = Since::Position(first);
    let found = read(&mut records, since, start + 18 * SECOND).unwrap();
    assert_eq!((found.lost, found.events.len()), (false, 1), "a publish renews the life of the log");

    let found = read(&mut records, since, start + 19 * SECOND).unwrap();
    assert_eq!((found.lost, found.start, found.offset, found.events.len()), (true, 2, 2, 0));
    assert_eq!(publish(&mut records, "3", None, start + 108 * SECOND).position.unwrap().offset, 3);

    assert!(read(&mut records, since, start + 207 * SECOND).is_some());
    assert_eq!(read(&mut records, since, start + 208 * SECOND), None);
    let again = publish(&mut records, "4", None, start + 208 * SECOND).position.unwrap();
    assert!(again.epoch > first.epoch && again.offset == 1, "{again:?} after {first:?}");
    let found = read(&mut records, since, start + 208 * SECOND).unwrap();
    assert_eq!((found.lost, found.end), (true, None));
}

#[test]
fn to_begin_renews_a_position() {
    let start = Instant::now();
    let mut records = records();
    records.begin(name(), at(start)).unwrap();
    let top = records.top(&name(), at(start)).unwrap();
    records.begin(name(), at(start + 99 * SECOND)).unwrap();
    assert_eq!(records.top(&name(), at(start + 198 * SECOND)), Some(top));
    assert_eq!(records.top(&name(), at(start + 199 * SECOND)), None);
}

#[test]
fn a_key_guards_for_its_window_which_a_repeat_does_not_renew() {
    let start = Instant::now();
    let mut records = records();
    let first = publish(&mut records, "x", Some("k"), start);
    let again = publish(&mut records, "x", Some("k"), start + 4 * SECOND);
    assert_eq!(again, Appended { fresh: false, ..first });
    let late = publish(&mut records, "x", Some("k"), start + 5 * SECOND);
    assert_eq!((late.fresh, late.position.unwrap().offset), (true, 2));
}

#[test]
fn nothing_stays_behind() {
    let start = Instant::now();
    let mut records = records();
    for n in 0..100u32 {
        let now = start + SECOND * n;
        publish(&mut records, "x", Some(&n.to_string()), now);
        assert!(records.due.len() <= 7, "one position, one log, keys of 5 s: {:?}", records.due);
    }
    records.forget(start + 200 * SECOND);
    assert!(records.channels.is_empty() && records.keys.is_empty() && records.due.is_empty(), "{records:?}");
}
