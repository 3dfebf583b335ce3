//! What every history promises. One suite, run against each: memory, and real servers in every topology.

#[macro_use]
#[path = "support/conformance.rs"]
mod laws;
mod support;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use support::cluster::{Cluster, MAX_EVENT};
use support::{Node, PATIENCE, name};
use tidegate_broker::{
    Appended, Broker, Durable, History, HistoryError, MAX_KEY, MAX_PAGE, News, PAGE_BYTES, Query, Read, Since,
};
use tidegate_core::{ChannelName, Epoch, Payload, Position};
use tidegate_testkit::eventually_async;

conformance! {
    events_are_numbered_and_read_back
    every_line_of_the_since_table_that_one_writer_can_reach
    the_last_events_are_read_without_a_loss
    long_histories_are_read_in_pages
    pages_end_with_their_bytes
    a_trimmed_log_says_what_is_lost
    a_log_that_expired_says_so_and_numbers_go_on
    a_position_that_expired_is_followed_by_another_epoch
    to_begin_gives_an_epoch_and_renews_it
    nothing_there_is_missing
    a_repeated_key_answers_the_first_position
    a_key_guards_its_window_and_no_longer
    a_key_works_without_history
    keys_are_each_channels_own
    publishers_at_once_leave_no_hole
    an_epoch_never_comes_back
    payloads_arrive_and_stay_as_they_were
    who_published_is_heard_and_kept
    what_cannot_be_is_refused_by_name
    many_requests_go_together
    nothing_may_be_asked_for
}

fn durable(channel: &str, payload: impl Into<Bytes>) -> Durable {
    Durable { channel: name(channel), payload: payload.into(), key: None, from: None, replicated: false }
}

fn keyed(channel: &str, key: &str, payload: &str) -> Durable {
    Durable { key: Some(key.into()), ..durable(channel, payload.to_owned()) }
}

async fn append<B: History>(node: &Node<B>, event: Durable) -> Result<Appended, HistoryError> {
    let mut results = node.broker.append(vec![event]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

/// Appends `count` events called by their numbers, and returns the position of the last.
async fn fill<B: History>(node: &Node<B>, channel: &str, count: u64) -> Position {
    let events = (1..=count).map(|n| durable(channel, n.to_string())).collect();
    let results = node.broker.append(events).await;
    let positions: Vec<Position> =
        results.into_iter().map(|result| result.expect("appended").position.expect("a position")).collect();
    *positions.last().expect("some")
}

async fn read<B: History>(
    node: &Node<B>,
    channel: &str,
    since: Since,
    count: u32,
) -> Result<Option<Read>, HistoryError> {
    let mut results = node.broker.read(vec![Query { channel: name(channel), since, count }]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

async fn found<B: History>(node: &Node<B>, channel: &str, since: Since) -> Read {
    read(node, channel, since, 1000).await.expect("answered").expect("an epoch")
}

async fn top<B: History>(node: &Node<B>, channel: &str) -> Option<Position> {
    node.broker.tops(vec![name(channel)]).await.remove(0).expect("answered")
}

fn after(epoch: Epoch, offset: u64) -> Since {
    Since::Position(Position { epoch, offset })
}

/// Offsets and texts of what was read.
fn texts(read: &Read) -> Vec<(u64, String)> {
    let text = |event: &tidegate_core::Event| {
        let position = event.position.expect("what is read has a position");
        assert_eq!(position.epoch, read.epoch, "events are told under one epoch");
        (position.offset, String::from_utf8_lossy(event.payload.bytes()).into_owned())
    };
    read.events.iter().map(text).collect()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    range.map(|n| (n, n.to_string())).collect()
}

/// Everything but the events.
fn place(read: &Read) -> (u64, u64, Option<u64>, bool, bool) {
    (read.offset, read.start, read.end, read.lost, read.ahead)
}

async fn events_are_numbered_and_read_back(cluster: impl Cluster) {
    let node = cluster.node().await;
    let first = append(&node, durable("log:a", "1")).await.expect("appended");
    let epoch = first.position.expect("a position").epoch;
    assert_eq!(first, Appended { position: Some(Position { epoch, offset: 1 }), fresh: true });
    for offset in 2..=5 {
        let next = append(&node, durable("log:a", offset.to_string())).await.expect("appended");
        assert_eq!(next.position, Some(Position { epoch, offset }));
    }
    let read = found(&node, "log:a", after(epoch, 0)).await;
    assert_eq!((read.epoch, texts(&read)), (epoch, numbers(1..=5)));
    assert_eq!(top(&node, "log:a").await, Some(Position { epoch, offset: 5 }));
    let other = append(&node, durable("log:b", "1")).await.expect("appended");
    assert_eq!(other.position.map(|position| position.offset), Some(1), "each channel counts for itself");
}

async fn every_line_of_the_since_table_that_one_writer_can_reach(cluster: impl Cluster) {
    let node = cluster.node().await;
    let epoch = fill(&node, "log:a", 5).await.epoch;
    let none = found(&node, "log:a", Since::Now).await;
    assert_eq!((place(&none), texts(&none)), ((5, 5, Some(5), false, false), Vec::new()));
    for offset in 0..=5 {
        let known = found(&node, "log:a", after(epoch, offset)).await;
        assert_eq!(place(&known), (5, offset, Some(5), false, false));
        assert_eq!(texts(&known), numbers(offset + 1..=5));
    }
    // This server continues the history, so nobody was ever given such a position.
    for offset in [6, 1 << 40, (1 << 53) - 1, 1 << 53, u64::MAX] {
        let never_given = found(&node, "log:a", after(epoch, offset)).await;
        assert_eq!((place(&never_given), texts(&never_given)), ((5, 5, None, true, false), Vec::new()));
    }
    let (earlier, later) = (Epoch::new(1, 1), Epoch::new(9_999_999_999_999, 1));
    for (other, offset) in [(earlier, 0), (earlier, 3), (later, 3), (later, u64::MAX)] {
        let unknown = found(&node, "log:a", after(other, offset)).await;
        assert_eq!((place(&unknown), texts(&unknown)), ((5, 5, None, true, false), Vec::new()));
    }
}

async fn the_last_events_are_read_without_a_loss(cluster: impl Cluster) {
    let node = cluster.node().await;
    fill(&node, "log:a", 5).await;
    for (last, start) in [(0, 5), (1, 4), (5, 0), (6, 0), (u32::MAX, 0)] {
        let read = found(&node, "log:a", Since::Last(last)).await;
        assert_eq!((place(&read), texts(&read)), ((5, start, Some(5), false, false), numbers(start + 1..=5)));
    }
}

async fn long_histories_are_read_in_pages(cluster: impl Cluster) {
    let node = cluster.node().await;
    let Position { epoch, offset: count } = fill(&node, "log:a", 500).await;
    assert_eq!(texts(&found(&node, "log:a", after(epoch, 0)).await), numbers(1..=count));
    for page in [1, 31, 32, 33, 100, 499, 500, 501] {
        let mut position = 0;
        let mut all = Vec::new();
        // With pages of one event a hundred of them are enough.
        let until = if page == 1 { 100 } else { count };
        while position < until {
            let part =
                read(&node, "log:a", after(epoch, position), page).await.expect("read").expect("there");
            assert_eq!(place(&part), (count, position, Some(count), false, false));
            assert_eq!(part.events.len() as u64, u64::from(page).min(count - position));
            all.extend(texts(&part));
            position = all.last().expect("some").0;
        }
        assert_eq!(all, numbers(1..=until));
    }
    let none = read(&node, "log:a", after(epoch, 7), 0).await.expect("read").expect("there");
    assert_eq!((place(&none), none.events.len()), ((count, 7, Some(count), false, false), 0));
}

async fn pages_end_with_their_bytes(cluster: impl Cluster) {
    let node = cluster.node().await;
    let big = Bytes::from(vec![b'x'; MAX_EVENT]);
    let events = (0..10).map(|_| durable("log:a", big.clone())).collect();
    let epoch = node.broker.append(events).await[9].clone().expect("appended").position.expect("some").epoch;
    let full = PAGE_BYTES / MAX_EVENT;
    for (start, expected) in [(0, full), (full, full), (2 * full, 10 - 2 * full)] {
        let read = found(&node, "log:a", after(epoch, start as u64)).await;
        assert_eq!((place(&read), read.events.len()), ((10, start as u64, Some(10), false, false), expected));
    }
}

async fn a_trimmed_log_says_what_is_lost(cluster: impl Cluster) {
    let node = cluster.node().await;
    let epoch = fill(&node, "small:a", 10).await.epoch;
    assert_eq!(texts(&found(&node, "small:a", after(epoch, 0)).await), numbers(1..=10), "so many are kept");
    let count = 400;
    for n in 11..=count {
        append(&node, durable("small:a", n.to_string())).await.expect("appended");
    }
    let read = found(&node, "small:a", after(epoch, 0)).await;
    assert_eq!((read.offset, read.end, read.lost, read.ahead), (count, Some(count), true, false));
    assert!((1..=count - 10).contains(&read.start), "some are lost, at least ten are there: {read:?}");
    assert_eq!(texts(&read), numbers(read.start + 1..=count), "what follows the loss has no hole");
    let held = found(&node, "small:a", after(epoch, count - 10)).await;
    assert_eq!(
        (place(&held), texts(&held)),
        ((count, count - 10, Some(count), false, false), numbers(count - 9..=count))
    );
    // Asked for the last ones, nobody is told of a loss: nothing was promised.
    let last = found(&node, "small:a", Since::Last(1000)).await;
    assert_eq!((last.start, last.lost, texts(&last)), (read.start, false, texts(&read)));
}

async fn a_log_that_expired_says_so_and_numbers_go_on(cluster: impl Cluster) {
    let node = cluster.node().await;
    let epoch = fill(&node, "brief:a", 3).await.epoch;
    eventually_async(PATIENCE, "the log expires", async || {
        found(&node, "brief:a", after(epoch, 1)).await.lost
    })
    .await;
    let read = found(&node, "brief:a", after(epoch, 1)).await;
    assert_eq!((read.epoch, place(&read), texts(&read)), (epoch, (3, 3, Some(3), true, false), Vec::new()));
    let whole = found(&node, "brief:a", after(epoch, 3)).await;
    assert_eq!(place(&whole), (3, 3, Some(3), false, false), "who has all has lost nothing");
    let next = append(&node, durable("brief:a", "4")).await.expect("appended").position;
    assert_eq!(next, Some(Position { epoch, offset: 4 }));
}

async fn a_position_that_expired_is_followed_by_another_epoch(cluster: impl Cluster) {
    let node = cluster.node().await;
    let former = fill(&node, "fleeting:a", 3).await;
    eventually_async(PATIENCE, "the position expires", async || top(&node, "fleeting:a").await.is_none())
        .await;
    assert_eq!(read(&node, "fleeting:a", Since::Position(former), 10).await, Ok(None));
    let next = append(&node, durable("fleeting:a", "x")).await.expect("appended").position.expect("some");
    assert!(next.epoch > former.epoch, "{next:?} after {former:?}");
    assert_eq!(next.offset, 1);
    if let Some(read) = read(&node, "fleeting:a", Since::Position(former), 10).await.expect("answered") {
        assert_eq!((read.start, read.end, read.lost), (1, None, true));
    }
}

async fn to_begin_gives_an_epoch_and_renews_it(cluster: impl Cluster) {
    let node = cluster.node().await;
    assert_eq!(node.broker.begin(vec![name("log:a")]).await, [Ok(())]);
    let begun = top(&node, "log:a").await.expect("an epoch");
    assert_eq!(begun.offset, 0);
    let empty = found(&node, "log:a", Since::Position(begun)).await;
    assert_eq!((empty.epoch, place(&empty)), (begun.epoch, (0, 0, Some(0), false, false)));
    assert_eq!(node.broker.begin(vec![name("log:a")]).await, [Ok(())]);
    assert_eq!(top(&node, "log:a").await, Some(begun), "once");
    let first = append(&node, durable("log:a", "1")).await.expect("appended").position;
    assert_eq!(first, Some(Position { offset: 1, ..begun }), "who waited from the beginning misses nothing");
    assert_eq!(texts(&found(&node, "log:a", Since::Position(begun)).await), numbers(1..=1));
}

async fn nothing_there_is_missing(cluster: impl Cluster) {
    let node = cluster.node().await;
    for since in [Since::Now, Since::Last(5), after(Epoch::new(1, 1), 7)] {
        assert_eq!(read(&node, "log:never", since, 10).await, Ok(None));
    }
    assert_eq!(top(&node, "log:never").await, None);
    assert_eq!(top(&node, "without:history").await, None);
}

async fn a_repeated_key_answers_the_first_position(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["log:a"]).await;
    let first = append(&node, keyed("log:a", "k", "x")).await.expect("appended");
    assert!(first.fresh);
    append(&node, durable("log:a", "between")).await.expect("appended");
    let again = append(&node, keyed("log:a", "k", "x")).await.expect("answered");
    assert_eq!(again, Appended { fresh: false, ..first });
    let who = Durable { from: Some("another".into()), ..keyed("log:a", "k", "x") };
    assert_eq!(append(&node, who).await, Ok(again), "the payload makes the event, not who says it");
    for other in ["y", "", "x "] {
        assert_eq!(append(&node, keyed("log:a", "k", other)).await, Err(HistoryError::KeyReused));
    }
    let batch = vec![keyed("log:a", "j", "1"), keyed("log:a", "j", "1"), keyed("log:a", "j", "2")];
    let results = node.broker.append(batch).await;
    let fresh: Vec<_> = results.into_iter().map(|result| result.map(|appended| appended.fresh)).collect();
    assert_eq!(fresh, [Ok(true), Ok(false), Err(HistoryError::KeyReused)]);
    append(&node, durable("log:a", "end")).await.expect("appended");
    assert_eq!(node.hear(4).await, ["log:a x", "log:a between", "log:a 1", "log:a end"], "each once");
    let read = found(&node, "log:a", Since::Last(10)).await;
    assert_eq!(read.offset, 4, "and once in the history");
}

async fn a_key_guards_its_window_and_no_longer(cluster: impl Cluster) {
    let node = cluster.node().await;
    let first = append(&node, keyed("window:a", "k", "x")).await.expect("appended");
    let second = async || {
        let again = append(&node, keyed("window:a", "k", "x")).await.expect("answered");
        again.fresh && again.position.map(|position| position.offset) == Some(2)
    };
    eventually_async(PATIENCE, "the window ends, and there is a second event", second).await;
    assert_eq!(top(&node, "window:a").await, first.position.map(|first| Position { offset: 2, ..first }));
}

async fn a_key_works_without_history(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a", "live:a"]).await;
    let live = Appended { position: None, fresh: true };
    assert_eq!(append(&node, durable("a", "bare")).await, Ok(live));
    assert_eq!(append(&node, keyed("a", "k", "x")).await, Ok(live));
    assert_eq!(append(&node, keyed("a", "k", "x")).await, Ok(Appended { fresh: false, ..live }));
    assert_eq!(append(&node, keyed("a", "k", "y")).await, Err(HistoryError::KeyReused));
    assert_eq!(append(&node, durable("a", "end")).await, Ok(live));
    for (text, key) in [("bare", None), ("x", Some("k")), ("end", None)] {
        let News::Event(channel, event) = node.next().await else { panic!("an event") };
        assert_eq!((channel, event.payload.text()), (name("a"), Some(text)));
        assert_eq!((event.key.as_deref(), event.position), (key, None));
    }
    assert_eq!(top(&node, "a").await, None, "there is no history");
    assert_eq!(append(&node, keyed("live:a", "k", "x")).await, Ok(live));
    let again = async || append(&node, keyed("live:a", "k", "x")).await == Ok(live);
    eventually_async(PATIENCE, "the window ends without history too", again).await;
}

async fn keys_are_each_channels_own(cluster: impl Cluster) {
    let node = cluster.node().await;
    for channel in ["log:a", "log:b", "a", "b"] {
        assert!(append(&node, keyed(channel, "k", channel)).await.expect("appended").fresh, "{channel}");
    }
    // No key is another's because of what stands in it.
    for key in ["é", "a b", "}", "{", "*", ":", "-", "\n", "k ", " k", &"k".repeat(MAX_KEY)] {
        assert!(append(&node, keyed("log:a", key, "x")).await.expect("appended").fresh, "{key:?}");
        assert!(!append(&node, keyed("log:a", key, "x")).await.expect("answered").fresh, "{key:?}");
    }
}

async fn publishers_at_once_leave_no_hole<C: Cluster>(cluster: C) {
    const EACH: u64 = 100;
    let mut nodes = Vec::new();
    for _ in 0..C::NODES {
        let node = cluster.node().await;
        node.subscribe(&["log:a"]).await;
        nodes.push(Arc::new(node));
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let node = Arc::clone(&nodes[publisher % C::NODES]);
        publishers.spawn(async move {
            let mut given = Vec::new();
            for n in 0..EACH {
                let event = durable("log:a", format!("{publisher} {n}"));
                given.push(append(&node, event).await.expect("appended").position.expect("some"));
            }
            assert!(given.is_sorted_by_key(|position| position.offset), "each publisher's keep their order");
            given
        });
    }
    let given: Vec<Position> = publishers.join_all().await.into_iter().flatten().collect();
    let count = 4 * EACH;
    let offsets: HashSet<u64> = given.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, (1..=count).collect(), "each once, none left out");
    assert!(given.iter().all(|position| position.epoch == given[0].epoch), "one epoch");
    let logged = texts(&found(&nodes[0], "log:a", after(given[0].epoch, 0)).await);
    for node in &nodes {
        for (offset, text) in &logged {
            let News::Event(_, event) = node.next().await else { panic!("an event") };
            let position = Some(Position { epoch: given[0].epoch, offset: *offset });
            assert_eq!(
                (event.position, event.payload.text()),
                (position, Some(text.as_str())),
                "heard as logged"
            );
        }
    }
}

async fn an_epoch_never_comes_back(cluster: impl Cluster) {
    let node = cluster.node().await;
    let channels: Vec<ChannelName> = (0..200).map(|n| name(&format!("log:{n}"))).collect();
    for result in node.broker.begin(channels.clone()).await {
        assert_eq!(result, Ok(()));
    }
    for channel in &channels {
        append(&node, durable(channel.as_str(), "x")).await.expect("appended");
    }
    let tops = node.broker.tops(channels).await;
    let epochs: HashSet<Epoch> =
        tops.into_iter().map(|top| top.expect("answered").expect("an epoch").epoch).collect();
    assert_eq!(epochs.len(), 200, "made within a moment, and yet no two are the same");
}

async fn payloads_arrive_and_stay_as_they_were(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["log:a", "a"]).await;
    let all: Vec<u8> = (0..=255).collect();
    let payloads: Vec<Bytes> = vec![
        all.clone().into(),
        all.repeat(300).into(),
        Bytes::from_static(b"{ \"a\" : 1.50,\r\n\"a\":2}"),
        Bytes::new(),
        Bytes::from_static(b"key"),
        Bytes::from_static(b"\xc1"),
        Bytes::from_static("gr\u{fc}n \u{1f30a}".as_bytes()),
        vec![0xC1; 255].into(),
        vec![0xC1; 256].into(),
        vec![b'x'; 65_535].into(),
        vec![b'x'; 65_536].into(),
        vec![0; MAX_EVENT].into(),
    ];
    for channel in ["log:a", "a"] {
        let events = payloads.iter().map(|payload| durable(channel, payload.clone())).collect();
        for result in node.broker.append(events).await {
            assert!(result.expect("appended").fresh);
        }
        for payload in &payloads {
            let News::Event(_, event) = node.next().await else { panic!("an event") };
            assert_eq!(event.payload, Payload::new(payload.clone()), "{} bytes", payload.len());
        }
    }
    let read = found(&node, "log:a", Since::Last(100)).await;
    assert_eq!(read.events.len(), payloads.len());
    for (event, payload) in read.events.iter().zip(&payloads) {
        assert_eq!(event.payload, Payload::new(payload.clone()), "{} bytes", payload.len());
    }
}

async fn who_published_is_heard_and_kept(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["log:a"]).await;
    let before = now_us();
    let events =
        [(None, None), (Some("00ff"), None), (None, Some("k-1")), (Some("é"), Some("k-2")), (Some(""), None)];
    for (from, key) in events {
        let event = Durable { from: from.map(Arc::from), key: key.map(Arc::from), ..durable("log:a", "{}") };
        append(&node, event).await.expect("appended");
    }
    let read = found(&node, "log:a", Since::Last(10)).await;
    assert_eq!(read.events.len(), events.len());
    for ((from, key), kept) in events.into_iter().zip(read.events) {
        assert_eq!((kept.from.as_deref(), kept.key.as_deref(), kept.published_us), (from, key, None));
        let News::Event(_, heard) = node.next().await else { panic!("an event") };
        let stamp = heard.published_us.expect("a stamp");
        assert!((before..=now_us()).contains(&stamp), "one clock here: {before} {stamp}");
        assert_eq!(tidegate_core::Event { published_us: None, ..heard }, kept);
    }
}

fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_micros()).expect("before 586,000")
}

async fn what_cannot_be_is_refused_by_name(cluster: impl Cluster) {
    let node = cluster.node().await;
    let refusal = async |event: Durable| match append(&node, event).await {
        Err(HistoryError::BadArgument(why)) => why,
        other => panic!("{other:?}"),
    };
    let long = "k".repeat(MAX_KEY + 1);
    for (key, words) in [("", "1 to 128 bytes, this one has 0"), (&long, "1 to 128 bytes, this one has 129")]
    {
        for channel in ["log:a", "a"] {
            let why = refusal(keyed(channel, key, "x")).await;
            assert!(why.starts_with("key ") || why.starts_with("a key "), "{why}");
            assert!(why.contains(words), "{why}");
        }
    }
    let from = Durable { from: Some("f".repeat(256).into()), ..durable("log:a", "x") };
    let why = refusal(from).await;
    assert!(why.contains("from") && why.contains("255") && why.contains("256"), "{why}");
    for channel in ["log:a", "a"] {
        let why = refusal(durable(channel, vec![b'x'; MAX_EVENT + 1])).await;
        assert!(why.contains("at most 262144 bytes, this one has 262145"), "{why}");
    }
    let why = read(&node, "log:a", Since::Now, MAX_PAGE + 1).await;
    assert!(matches!(&why, Err(HistoryError::BadArgument(why)) if why.contains("10000")), "{why:?}");
    for channel in ["a", "live:a"] {
        let why = read(&node, channel, Since::Now, 1).await;
        assert!(matches!(&why, Err(HistoryError::BadArgument(why)) if why.contains("no history")), "{why:?}");
        let why = node.broker.begin(vec![name(channel)]).await.remove(0);
        assert!(matches!(&why, Err(HistoryError::BadArgument(why)) if why.contains("no history")), "{why:?}");
    }
    assert_eq!(top(&node, "log:a").await, None, "nothing of it was done");
}

async fn many_requests_go_together(cluster: impl Cluster) {
    let node = cluster.node().await;
    let channels: Vec<String> = (0..500).map(|n| format!("log:{n}")).collect();
    // A refused one harms no other, and each answer is that of its request.
    let mut events: Vec<Durable> = channels.iter().map(|channel| durable(channel, channel.clone())).collect();
    events.insert(250, durable("log:250", vec![0; MAX_EVENT + 1]));
    let results = node.broker.append(events).await;
    assert_eq!(results.len(), 501);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), at == 250, "{at}: {result:?}");
    }
    let query = |channel: &String| Query { channel: name(channel), since: Since::Last(1), count: 10 };
    let reads = node.broker.read(channels.iter().map(query).collect()).await;
    let tops = node.broker.tops(channels.iter().map(|channel| name(channel)).collect()).await;
    for ((channel, read), top) in channels.iter().zip(reads).zip(tops) {
        let read = read.expect("answered").expect("an epoch");
        assert_eq!(texts(&read), [(1, channel.clone())]);
        assert_eq!(top, Ok(Some(Position { epoch: read.epoch, offset: 1 })));
    }
}

async fn nothing_may_be_asked_for(cluster: impl Cluster) {
    let node = cluster.node().await;
    assert_eq!(node.broker.append(Vec::new()).await, []);
    assert_eq!(node.broker.read(Vec::new()).await, []);
    assert_eq!(node.broker.begin(Vec::new()).await, []);
    assert_eq!(node.broker.tops(Vec::new()).await, []);
    // Live events of a channel with history have no position, and change none.
    let position = fill(&node, "log:a", 1).await;
    node.subscribe(&["log:a"]).await;
    let live = node.broker.publish(vec![(name("log:a"), support::event("live"))]).await;
    assert_eq!(live, [Ok(None)]);
    assert_eq!(node.next().await, News::Event(name("log:a"), support::event("live")));
    assert_eq!(top(&node, "log:a").await, Some(position));
}
