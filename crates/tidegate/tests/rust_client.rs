//! The Rust client against a node with history, while the ways of both a subscriber and a publisher are cut: nothing
//! is lost, nothing comes twice, nothing out of order.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use support::{BINARY, PATIENCE, say};
use tidegate_client::{Client, Error, Event, Incoming, News, Start, State};
use tidegate_testkit::Node;
use tidegate_testkit::proxy::{Cut, Proxy, all};
use tokio::time::timeout;

const CONFIG: &str = "[namespaces.chat]\nhistory = { size = 1000 }\npublish = \"anyone\"\n";
const CHANNELS: [&str; 3] = ["chat:1", "chat:2", "chat:3"];
const EVENTS: usize = 600;
/// Answered publishes between two cuts, of the subscriber's and the publisher's way in turn.
const BETWEEN: usize = 100;
/// Publishes under way at once.
const AT_ONCE: usize = 16;

/// What is switched for the control.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Ours,
    /// Comes back without a position, and repeats what was not answered without a key.
    Naive,
}

/// What the checker found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    lost: usize,
    twice: usize,
    reordered: usize,
}

fn client(proxy: &Proxy) -> (Client, Incoming) {
    Client::builder(format!("ws://127.0.0.1:{}/ws", proxy.port())).connect().expect("a URL")
}

async fn subscribed(proxy: &Proxy) -> (Client, Incoming) {
    let (client, incoming) = client(proxy);
    for channel in CHANNELS {
        client.subscribe_from(channel, Start::Now).await.expect("subscribed");
    }
    (client, incoming)
}

/// Publishes number `n` and returns once it is answered.
async fn publish(client: &Client, n: usize, which: Kind) {
    let (channel, data) = (CHANNELS[n % CHANNELS.len()], n.to_string());
    match which {
        Kind::Ours => drop(client.publish_once(channel, data, None).await.expect("published")),
        Kind::Naive => {
            while let Err(error) = client.publish(channel, data.clone()).await {
                assert!(matches!(error, Error::Cut | Error::NotConnected), "{error}");
                client.connected().await.expect("it comes back");
            }
        }
    }
}

/// Hears until every number was there, or nothing has come for a while.
async fn hear(proxy: Arc<Proxy>, which: Kind, (mut client, mut incoming): (Client, Incoming)) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut missing = EVENTS;
    let patience = if which == Kind::Ours { PATIENCE } else { PATIENCE / 4 };
    while missing > 0 {
        match timeout(patience, incoming.next()).await {
            Ok(Some(News::Event(event))) => {
                missing -= usize::from(!events.iter().any(|e| e.payload == event.payload));
                events.push(event);
            }
            Ok(Some(News::State(State::Waiting { until, .. }))) if which == Kind::Naive => {
                client.close().await;
                tokio::time::sleep_until(until.into()).await; // it backs off as ours does
                (client, incoming) = subscribed(&proxy).await;
            }
            Ok(Some(News::Gap { channel, reason })) => panic!("{channel}: {reason}"),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    client.close().await;
    events
}

fn judge(events: &[Event]) -> Found {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = Found::default();
    for event in events {
        *times.entry(event.payload.text().expect("a number")).or_default() += 1;
        let (before, offset) =
            (last.get(&*event.channel).copied().unwrap_or(0), event.offset.expect("durable"));
        found.reordered += usize::from(offset <= before);
        last.insert(&event.channel, offset);
    }
    found.twice = times.values().filter(|times| **times > 1).count();
    found.lost = EVENTS - times.len();
    found
}

/// One run: what was found, and how many links were cut while somebody used them.
async fn run(which: Kind) -> (Found, usize) {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let way = || Arc::new(Proxy::start(node.public_addr().port()));
    let (inbound, outbound) = (way(), way());
    let subscriber = subscribed(&inbound).await;
    let hearing = tokio::spawn(hear(Arc::clone(&inbound), which, subscriber));
    let (publisher, _) = client(&outbound);
    publisher.connected().await.expect("connected");
    let (answered, cut) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let publishing = stream::iter(0..EVENTS).map(|n| publish(&publisher, n, which));
    publishing
        .buffer_unordered(AT_ONCE)
        .for_each(|()| {
            let answered = answered.fetch_add(1, Ordering::Relaxed) + 1;
            if answered.is_multiple_of(BETWEEN) && answered < EVENTS {
                let way = if answered.is_multiple_of(2 * BETWEEN) { &outbound } else { &inbound };
                cut.fetch_add(way.cut(all, Cut::Reset), Ordering::Relaxed);
            }
            std::future::ready(())
        })
        .await;
    let events = hearing.await.expect("it hears");
    publisher.close().await;
    (judge(&events), cut.into_inner())
}

#[test]
fn through_cuts_on_both_ways_each_event_is_published_once_and_heard_once() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (ours, cuts) = runtime.block_on(run(Kind::Ours));
    let (naive, naive_cuts) = runtime.block_on(run(Kind::Naive));
    say(&format!(
        "the Rust client, {EVENTS} events, {cuts} cuts: {ours:?}; control, without positions and keys, {naive_cuts} cuts: {naive:?}"
    ));
    // The subscriber may still be on its way back at its second and third; the others surely hit.
    assert!(cuts >= 3, "cuts of ways that were in use: {cuts}");
    assert_eq!(ours, Found::default());
    assert!(naive.lost > 0, "the control loses events: {naive:?}");
}
