//! What every broker promises. One suite, run against each: memory, and real servers
//! in every topology.

#[macro_use]
#[path = "support/conformance.rs"]
mod laws;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use support::cluster::{Cluster, MAX_EVENT};
use support::{PATIENCE, event, name, names};
use tidegate_broker::{Broker, GapCause, News, QueueLimits, Shard};
use tidegate_core::{ChannelName, Event, Payload};
use tidegate_protocol::Envelope;
use tidegate_testkit::eventually_async;

conformance! {
    a_channel_keeps_its_order
    a_big_batch_keeps_its_order
    publishers_at_once_are_heard_in_one_order_by_all_nodes
    what_is_published_after_the_confirmation_is_heard
    what_nobody_subscribed_to_is_not_heard
    many_channels_are_subscribed_at_once
    subscribing_twice_is_harmless
    payloads_arrive_as_they_were_published
    who_published_and_when_arrives
    a_channel_keeps_to_one_lane
    lost_events_leave_one_gap_where_they_were
    nothing_may_be_asked_for
    occupied_channels_are_known
}

/// What was heard, channel by channel: the order between channels is nobody's promise.
fn by_channel(heard: impl IntoIterator<Item = impl AsRef<str>>) -> BTreeMap<String, Vec<String>> {
    let mut channels = BTreeMap::<_, Vec<_>>::new();
    for line in heard {
        let (channel, text) = line.as_ref().split_once(' ').expect("channel and text");
        channels.entry(channel.to_owned()).or_default().push(text.to_owned());
    }
    channels
}

async fn a_channel_keeps_its_order(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a", "b", "c"]).await;
    let mut expected = Vec::new();
    for round in 0..100 {
        let batch = ["a", "b", "a", "c"].map(|channel| (channel, format!("{round}")));
        expected.extend(batch.iter().map(|(channel, text)| format!("{channel} {text}")));
        node.publish(batch).await;
    }
    assert_eq!(by_channel(node.hear(expected.len()).await), by_channel(expected));
}

async fn a_big_batch_keeps_its_order(cluster: impl Cluster) {
    let node = cluster.node().await;
    let channels = ["0", "1", "2", "3", "4", "5", "6"];
    node.subscribe(&channels).await;
    let batch = (0..10_000).map(|n| (channels[n % 7], format!("{n} {}", "x".repeat(n % 300))));
    let expected: Vec<String> = batch.clone().map(|(channel, text)| format!("{channel} {text}")).collect();
    node.publish(batch).await;
    assert_eq!(by_channel(node.hear(expected.len()).await), by_channel(expected));
}

async fn publishers_at_once_are_heard_in_one_order_by_all_nodes<C: Cluster>(cluster: C) {
    let mut nodes = Vec::new();
    for _ in 0..C::NODES {
        let node = cluster.node().await;
        node.subscribe(&["a", "b"]).await;
        nodes.push(Arc::new(node));
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let node = Arc::clone(&nodes[publisher % C::NODES]);
        publishers.spawn(async move {
            for n in 0..100 {
                node.publish(["a", "b"].map(|channel| (channel, format!("{publisher} {n}")))).await;
            }
        });
    }
    publishers.join_all().await;

    let first = by_channel(nodes[0].hear(800).await);
    for lines in first.values() {
        for publisher in 0..4 {
            let mine = lines.iter().filter(|line| line.starts_with(&format!("{publisher} ")));
            assert!(mine.eq((0..100).map(|n| format!("{publisher} {n}")).collect::<Vec<_>>().iter()));
        }
    }
    for node in &nodes[1..] {
        assert_eq!(by_channel(node.hear(800).await), first);
    }
}

async fn what_is_published_after_the_confirmation_is_heard<C: Cluster>(cluster: C) {
    let (hearing, publishing) = (cluster.node().await, cluster.node().await);
    // Where nodes do not hear each other, it hears itself.
    let publishing = if C::NODES > 1 { &publishing } else { &hearing };
    for n in 0..200 {
        let channel = format!("channel:{n}");
        hearing.subscribe(&[&channel]).await;
        publishing.publish([(channel.as_str(), "now".to_owned())]).await;
        assert_eq!(hearing.hear(1).await, [format!("{channel} now")]);
    }
}

async fn what_nobody_subscribed_to_is_not_heard(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a", "b"]).await;
    node.publish([("never", "1".into()), ("a", "1".into()), ("b", "1".into())]).await;
    node.unsubscribe(&["a", "never"]).await;
    node.publish([("a", "2".into()), ("b", "2".into())]).await;
    node.subscribe(&["a"]).await;
    node.publish([("a", "3".into()), ("b", "3".into())]).await;
    assert_eq!(by_channel(node.hear(5).await), by_channel(["a 1", "b 1", "b 2", "a 3", "b 3"]));
}

async fn many_channels_are_subscribed_at_once(cluster: impl Cluster) {
    let node = cluster.node().await;
    let channels: Vec<String> = (0..2000).map(|n| format!("room:{n}")).collect();
    let all: Vec<&str> = channels.iter().map(String::as_str).collect();
    node.subscribe(&all).await;
    node.publish(all.iter().map(|channel| (*channel, "x".to_owned()))).await;
    let expected: Vec<String> = channels.iter().map(|channel| format!("{channel} x")).collect();
    assert_eq!(by_channel(node.hear(2000).await), by_channel(expected));
    node.unsubscribe(&all[..1999]).await;
    node.publish(all.iter().map(|channel| (*channel, "y".to_owned()))).await;
    assert_eq!(node.hear(1).await, ["room:1999 y"]);
}

async fn subscribing_twice_is_harmless(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a", "a", "end"]).await;
    node.subscribe(&["a"]).await;
    node.publish([("a", "1".into()), ("end", "1".into())]).await;
    assert_eq!(node.hear(2).await, ["a 1", "end 1"], "each event once");
    node.unsubscribe(&["a"]).await;
    node.publish([("a", "2".into()), ("end", "2".into())]).await;
    assert_eq!(node.hear(1).await, ["end 2"], "one unsubscribe ends it");
}

async fn payloads_arrive_as_they_were_published(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a"]).await;
    let envelope = Envelope::encode(&Event { from: Some("eve".into()), ..event("inside") });
    let payloads: Vec<Bytes> = vec![
        Bytes::from_static(b"{ \"a\" : 1.50,\r\n\"a\":2}"),
        Bytes::from_static(b"null"),
        Bytes::from_static("gr\u{fc}n \u{1f30a}".as_bytes()),
        Bytes::new(),
        Bytes::from_static(b"\0\xff\xfe\r\n"),
        Bytes::from_static(b"\xc1"),
        Bytes::from_static(b"\xc1\x92\x01\xa4join"),
        envelope[..envelope.len() - 1].to_vec().into(),
        envelope.into(),
        vec![b'x'; MAX_EVENT].into(),
        vec![0xC1; MAX_EVENT].into(),
    ];
    for stamp in [None, Some(1_763_700_000_000_000)] {
        let stamped = |payload: &Bytes| Event { published_us: stamp, ..event(payload.clone()) };
        let batch: Vec<_> = payloads.iter().map(|payload| (name("a"), stamped(payload))).collect();
        for result in node.broker.publish(batch).await {
            assert_eq!(result, Ok(None));
        }
        for payload in &payloads {
            let News::Event(_, event) = node.next().await else { panic!("an event") };
            assert_eq!(event.payload.bytes().len(), payload.len());
            assert_eq!(event.payload, Payload::new(payload.clone()));
            assert_eq!(event.published_us, stamp);
        }
    }
}

async fn who_published_and_when_arrives(cluster: impl Cluster) {
    let node = cluster.node().await;
    node.subscribe(&["a"]).await;
    let base = event("{}");
    for sent in [
        Event { from: Some("00ff".into()), ..base.clone() },
        Event { published_us: Some(7), ..base.clone() },
        Event { key: Some("k-1".into()), ..base.clone() },
        Event { from: Some("".into()), published_us: Some(u64::MAX), key: Some("é".into()), ..base.clone() },
        base,
    ] {
        assert_eq!(node.broker.publish(vec![(name("a"), sent.clone())]).await, [Ok(None)]);
        assert_eq!(node.next().await, News::Event(name("a"), sent));
    }
}

async fn a_channel_keeps_to_one_lane<C: Cluster>(cluster: C) {
    let node = cluster.node_with(2, QueueLimits::default()).await;
    let channels: Vec<String> = (0..64).map(|n| format!("c{n}")).collect();
    let all: Vec<&str> = channels.iter().map(String::as_str).collect();
    node.subscribe(&all).await;
    for round in 0..20 {
        node.publish(all.iter().map(|channel| (*channel, round.to_string()))).await;
    }
    let mut heard: Vec<BTreeMap<ChannelName, Vec<String>>> = vec![BTreeMap::new(), BTreeMap::new()];
    for _ in 0..64 * 20 {
        let (lane, news) = tokio::select! {
            news = node.next_on(0) => (0, news),
            news = node.next_on(1) => (1, news),
        };
        let News::Event(channel, event) = news else { panic!("{news:?}") };
        let (said, shard) = C::seat(&node.broker, &channel);
        assert_eq!(said, lane, "the lane of {channel} is known beforehand");
        assert!(shard.is_some_and(|Shard(number)| usize::from(number) < cluster.shards()), "{shard:?}");
        heard[lane].entry(channel).or_default().push(event.payload.text().expect("text").to_owned());
    }
    let expected: Vec<String> = (0..20).map(|round| round.to_string()).collect();
    for lane in &heard {
        assert!(!lane.is_empty(), "64 channels use both lanes");
        assert!(lane.values().all(|texts| *texts == expected), "whole channels in their order: {lane:?}");
    }
}

async fn lost_events_leave_one_gap_where_they_were(cluster: impl Cluster) {
    let node = cluster.node_with(1, QueueLimits { events: 100, ..QueueLimits::default() }).await;
    // In a Cluster of three both are the same shard's, so that what came first is heard first.
    node.subscribe(&["a", "d"]).await;
    node.publish((0..150).map(|n| ("a", n.to_string()))).await;
    node.publish([("d", "0".into()), ("a", "150".into())]).await;
    let all_are_there = async || node.lanes[0].dropped() == 52;
    eventually_async(PATIENCE, "52 events dropped", all_are_there).await;
    let expected: Vec<String> = (0..100).map(|n| format!("a {n}")).collect();
    assert_eq!(node.hear(100).await, expected);
    node.publish([("a", "151".into()), ("d", "1".into())]).await;
    assert_eq!(node.next().await, News::Gap(name("a"), GapCause::Overflowed));
    assert_eq!(node.next().await, News::Gap(name("d"), GapCause::Overflowed));
    assert_eq!(node.hear(2).await, ["a 151", "d 1"]);
    assert_eq!(node.lanes[0].dropped(), 52);
}

async fn nothing_may_be_asked_for(cluster: impl Cluster) {
    let node = cluster.node().await;
    assert_eq!(node.broker.publish(Vec::new()).await, []);
    assert_eq!(node.broker.subscribe(Vec::new()).await, Ok(()));
    node.broker.unsubscribe(Vec::new()).await;
    node.subscribe(&["a"]).await;
    node.publish([("a", "1".into())]).await;
    assert_eq!(node.hear(1).await, ["a 1"]);
}

async fn occupied_channels_are_known<C: Cluster>(cluster: C) {
    let mut nodes = Vec::new();
    for n in 0..C::NODES {
        let node = cluster.node().await;
        node.subscribe(&["shared", &format!("own:{n}")]).await;
        node.broker
            .subscribe(vec![ChannelName::parse_any("~ours").expect("a name")])
            .await
            .expect("subscribed");
        nodes.push(node);
    }
    let mut expected: HashSet<ChannelName> = (0..C::NODES).map(|n| name(&format!("own:{n}"))).collect();
    expected.extend(names(&["shared"]));
    let occupied = C::occupied(&nodes[0].broker, 100).await.expect("channels");
    assert_eq!(occupied.len(), expected.len(), "each once");
    assert_eq!(occupied.into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(C::occupied(&nodes[0].broker, 1).await.expect("channels").len(), 1);
}
