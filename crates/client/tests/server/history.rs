//! Channels with history, over real sockets that are cut at random: each event once, and each publish once.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_client::{Logged, Position, Start};
use tokio::sync::watch;

use super::*;

const EPOCH: &str = "1763700000000000001";
const EVENTS: u64 = 300;

fn at(offset: u64) -> Position {
    format!("{EPOCH}-{offset}").parse().unwrap()
}

fn numbered(offset: u64) -> EventFrame {
    EventFrame { offset: Some(offset), ..event("chat:1", &offset.to_string()) }
}

/// The events behind an offset, at most `page`.
fn page(behind: u64, page: u64) -> Vec<Logged> {
    let logged = |offset| {
        let EventFrame { payload, from, key, .. } = numbered(offset);
        Logged { offset, payload, from, key }
    };
    (behind + 1..=EVENTS.min(behind + page)).map(logged).collect()
}

/// One connection of this test.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Events in the reply to `subscribe`.
    page: u64,
    /// Events after it.
    live: u64,
    /// How many of them the application takes while this is the connection; the others still wait when the
    /// client is back on the next one.
    taken: u64,
    /// Whether it ends without a close frame.
    cut: bool,
}

/// Serves the channel, a connection for each part, and at last one that gives all there is. Says how many were
/// subscribed on. `forgetful` is the control: it goes on where the last connection ended, whatever it is asked.
async fn serve(server: Server, parts: Vec<Part>, forgetful: bool, subscribed: watch::Sender<usize>) -> Peer {
    let mut sent = 0;
    let last = Part { page: 7, live: EVENTS, taken: 0, cut: false };
    for (number, part) in parts.iter().chain([&last]).enumerate() {
        let mut peer = server.accept().await;
        let ClientFrame::Subscribe { id, since: Some(since), .. } = peer.hear().await else {
            panic!("no `since`")
        };
        subscribed.send_replace(number + 1);
        let behind = if forgetful { sent } else { since.offset };
        let events = page(behind, part.page);
        sent = behind + events.len() as u64;
        let (position, recovered) = (Some(at(sent)), Some(true));
        let reply =
            ServerFrame::Subscribed { id: id.get(), channel: "chat:1".into(), position, recovered, events };
        peer.say(reply).await;
        for offset in (sent + 1..=EVENTS).take(part.live as usize) {
            peer.say(ServerFrame::Event(numbered(offset))).await;
            sent = offset;
        }
        if number == parts.len() {
            return peer;
        } else if !part.cut {
            let frame = CloseFrame { code: 4200.into(), reason: "draining".into() };
            peer.stream.close(Some(frame)).await.unwrap();
        }
    }
    unreachable!("the last part returns")
}

/// What an application was given, until the last event, through all these connections.
async fn given(codec: Codec, parts: Vec<Part>, forgetful: bool) -> Vec<u64> {
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).codec(codec).connect().unwrap();
    let (sender, mut subscribed) = watch::channel(0);
    let serving = tokio::spawn(serve(server, parts.clone(), forgetful, sender));
    client.subscribe_from("chat:1", Start::Since(at(0))).await.unwrap();
    let mut given = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        for _ in 0..part.taken.min(part.page + part.live) {
            given.push(take(&client, &mut incoming).await);
        }
        timeout(PATIENCE, subscribed.wait_for(|on| *on > number + 1)).await.unwrap().unwrap();
    }
    while given.last() != Some(&EVENTS) {
        given.push(take(&client, &mut incoming).await);
    }
    drop(serving.await.unwrap());
    client.close().await;
    given
}

async fn take(client: &Client, incoming: &mut Incoming) -> u64 {
    let event = timeout(PATIENCE, incoming.next_event()).await.expect("an event comes").unwrap();
    let offset = event.offset.unwrap();
    assert_eq!(client.position("chat:1"), Some(at(offset - 1)), "it is not handled yet");
    incoming.handled();
    assert_eq!(client.position("chat:1"), Some(at(offset)));
    offset
}

#[test]
fn through_any_cuts_each_event_comes_once_and_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let whole: Vec<u64> = (1..=EVENTS).collect();
    let part = (0u64..20, 0u64..60, 0u64..80, any::<bool>());
    let part = part.prop_map(|(page, live, taken, cut)| Part { page, live, taken, cut });
    let parts = (prop_oneof![Just(Codec::Json), Just(Codec::MessagePack)], prop::collection::vec(part, 1..4));
    let mut runner = TestRunner::new(Config { cases: 10, failure_persistence: None, ..Config::default() });
    let run = |(codec, parts)| {
        let given = runtime.block_on(given(codec, parts, false));
        prop_assert_eq!(&given, &whole);
        Ok(())
    };
    runner.run(&parts, run).unwrap();
    // Control: from a server that forgets where the client was, the same checker finds that some are missing.
    let parts = vec![Part { page: 10, live: 60, taken: 5, cut: true }];
    let given = runtime.block_on(given(Codec::Json, parts, true));
    assert_eq!(given, [1, 2, 3, 4, 5].into_iter().chain(71..=EVENTS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_program_goes_on_after_a_crash_where_it_had_stored_its_position() {
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).connect().unwrap();
    let (sender, _subscribed) = watch::channel(0);
    let serving = tokio::spawn(serve(server, Vec::new(), false, sender));
    client.subscribe_from("chat:1", Start::Since(at(290))).await.unwrap();
    let stored = loop {
        let offset = take(&client, &mut incoming).await;
        if offset == 295 {
            break incoming.position("chat:1").unwrap().to_string();
        }
    };
    drop((client, incoming, serving.await.unwrap()));
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).connect().unwrap();
    let (sender, _subscribed) = watch::channel(0);
    let serving = tokio::spawn(serve(server, Vec::new(), false, sender));
    client.subscribe_from("chat:1", Start::Since(stored.parse().unwrap())).await.unwrap();
    assert_eq!(take(&client, &mut incoming).await, 296);
    drop(serving.await.unwrap());
    client.close().await;
}

/// Answers publishes as a server that knows keys does, and ends the connection now and then instead of answering.
async fn publish_into(server: Server, wanted: usize) -> HashMap<Arc<str>, Bytes> {
    let mut published: HashMap<Arc<str>, Bytes> = HashMap::new();
    let mut answered = 0;
    loop {
        let mut peer = server.accept().await;
        for heard in 1.. {
            let ClientFrame::Publish { id, data, key: Some(key), .. } = peer.hear().await else {
                panic!("a publish with a key")
            };
            assert_eq!(published.entry(key).or_insert_with(|| data.clone()), &data, "a key, one payload");
            if heard % 7 == 0 {
                break; // it happened, and nobody is told
            }
            peer.say(ServerFrame::Ok { id: id.get(), position: None }).await;
            answered += 1;
            if answered == wanted {
                return published;
            }
        }
    }
}

#[tokio::test]
async fn each_publish_happens_once_though_answers_are_lost() {
    const PUBLISHES: usize = 12;
    let server = Server::start().await;
    let (client, _incoming) = Client::builder(server.url()).connect().unwrap();
    // Made before there is a connection: they wait.
    let publishes = (0..PUBLISHES).map(|n| client.publish_once("chat:1", n.to_string(), None));
    let publishes = futures_util::future::join_all(publishes);
    let (answers, published) = tokio::join!(timeout(PATIENCE, publishes), publish_into(server, PUBLISHES));
    assert_eq!(answers.unwrap(), vec![Ok(None); PUBLISHES]);
    let mut payloads: Vec<usize> =
        published.values().map(|data| std::str::from_utf8(data).unwrap().parse().unwrap()).collect();
    payloads.sort_unstable();
    assert_eq!(payloads, (0..PUBLISHES).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_keys_are_checked() {
    let server = Server::start().await;
    let (client, _incoming) = Client::builder(server.url()).offline(1, 4096).connect().unwrap();
    let first = client.publish_once("chat:1", "1", Some("k"));
    let second = async {
        tokio::task::yield_now().await;
        client.publish_once("chat:1", "2", None).await
    };
    let second = tokio::select! {
        biased;
        _ = first => panic!("nobody has answered it"),
        second = second => second,
    };
    assert_eq!(second, Err(Error::Full { count: 1, bytes: 4096 }));
    for key in ["", &"k".repeat(129)] {
        let Err(Error::Refused { code, message, .. }) = client.publish_once("chat:1", "1", Some(key)).await
        else {
            panic!("{} bytes", key.len())
        };
        assert!(code == "bad_request" && message.contains(&key.len().to_string()), "{message}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_crowd_of_subscriptions_comes_back_in_one_message() {
    const CHANNELS: usize = 100;
    let server = Server::start().await;
    let (client, _incoming) = Client::builder(server.url()).connect().unwrap();
    let mut peer = server.accept().await;
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("chat:{n}")).collect();
    let subscribing = futures_util::future::join_all(names.iter().map(|name| client.subscribe(name)));
    let confirming = async {
        for _ in 0..CHANNELS {
            peer.confirm().await;
        }
    };
    let (subscribed, ()) = tokio::join!(subscribing, confirming);
    assert!(subscribed.iter().all(Result::is_ok));
    drop(peer);
    let mut peer = server.accept().await;
    for _ in 0..CHANNELS {
        peer.confirm().await;
    }
    assert_eq!(peer.messages, 2, "`connect`, and all the others");
    client.close().await;
}

#[tokio::test]
async fn histories_are_asked_for() {
    let server = Server::start().await;
    let (client, _incoming) = Client::builder(server.url()).connect().unwrap();
    let mut peer = server.accept().await;
    client.connected().await.unwrap();
    let answer = async {
        let ClientFrame::History { id, since, limit, .. } = peer.hear().await else { panic!("no `history`") };
        assert_eq!((since, limit), (Some(at(290)), Some(3)));
        let (position, recovered) = (at(EVENTS), Some(true));
        let events = page(290, 3);
        peer.say(ServerFrame::History {
            id: id.get(),
            channel: "chat:1".into(),
            position,
            recovered,
            events,
        })
        .await;
    };
    let (history, ()) = tokio::join!(client.history("chat:1", Some(at(290)), Some(3)), answer);
    let history = history.unwrap();
    assert_eq!((history.position, history.recovered), (at(EVENTS), Some(true)));
    assert_eq!(history.events.iter().map(|event| event.offset).collect::<Vec<_>>(), [291, 292, 293]);
    client.close().await;
}
