//! The Rust client through what befalls nodes and Redis, as subscriber and as publisher with keys: each acknowledged event that
//! did not die with Redis is handed over once and in order, of what died the client is told, and what is published again with
//! its key is not handed over twice. The control is an application that subscribes anew, without its position.

#[path = "rust_client_faults/application.rs"]
mod application;
#[path = "rust_client_faults/judge.rs"]
mod judge;
mod support;

use std::time::{Duration, Instant};

use application::{Ear, Habit, Press};
use judge::{Found, Histories, died, judge};
use support::{BINARY, PATIENCE, admin, full, nginx_files, say};
use tidegate_client::Codec;
use tidegate_testkit::proxy::{Cut, all};
use tidegate_testkit::{Nginx, Node, Proxy, RedisServer, eventually, eventually_async};
use tokio::time::sleep;

const CONFIG: &str = r#"
[server]
drain = "2s"
[namespaces.room]
publish = "anyone"
history = { size = 100000, ttl = "1h" }
"#;
const CODECS: [Codec; 2] = [Codec::Json, Codec::MessagePack];

fn is_ready(node: &Node) -> bool {
    admin::get(node, "/health/ready").0 == 200
}

fn nodes(redis: &RedisServer) -> Vec<Node> {
    let start =
        |n| Node::builder(BINARY).name(&format!("node {n}")).redis(&redis.url()).config(CONFIG).start();
    let nodes: Vec<Node> = (1..=2).map(|n| start(n).expect("a node")).collect();
    nodes.iter().for_each(|node| eventually(PATIENCE, "the node is ready", || is_ready(node)));
    nodes
}

/// Applications, `each` for every URL; returns once they have subscribed.
async fn ears(urls: &[String], each: usize, habit: Habit) -> Vec<Ear> {
    let start = |url: &String| (0..each).map(|n| Ear::start(url, CODECS[n % 2], habit)).collect::<Vec<_>>();
    let ears: Vec<Ear> = urls.iter().flat_map(start).collect();
    until_there(&ears).await;
    ears
}

async fn until_there(ears: &[Ear]) {
    let there = async || ears.iter().all(|ear| ear.look(|notes| notes.is_there));
    eventually_async(PATIENCE, "they have subscribed", there).await;
}

/// Waits until all stand where the histories end.
async fn until_done(redis: &RedisServer, ears: &[Ear]) -> Histories {
    let histories = Histories::read(redis);
    let done = async || ears.iter().all(|ear| ear.look(|notes| histories.are_reached(notes)));
    let wait = eventually_async(PATIENCE * 2, "they are done", done);
    let _ = tokio::time::timeout(PATIENCE, wait).await; // who is not is found behind
    histories
}

fn comebacks(ears: &[Ear]) -> usize {
    ears.iter().map(|ear| ear.look(|notes| notes.comebacks)).sum()
}

/// How a node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// `kill -9`.
    Killed,
    /// SIGTERM: it sends its clients away, and ends.
    Drained,
}

/// Nodes go one after the other and come back, under events. Applications are at each node's own address, which refuses
/// meanwhile, and at a load balancer's.
async fn nodes_go(going: Going) {
    let redis = RedisServer::start().expect("redis");
    let mut nodes = nodes(&redis);
    let addresses: Vec<_> = nodes.iter().map(Node::public_addr).collect();
    let nginx = Nginx::start(&nginx_files(), &addresses).expect("nginx");
    let mut urls: Vec<String> = nodes.iter().map(Node::ws_url).collect();
    urls.push(format!("ws://{}/ws", nginx.addr()));
    let ours = ears(&urls, 2, Habit::Resumes).await;
    let naive = ears(&urls, 1, Habit::Forgets).await;
    let press = Press::start(&urls);
    let flow = press.flow();
    let (rounds, every) = if full() { (12, Duration::from_secs(10)) } else { (2, Duration::from_secs(2)) };
    let mut counted = 0;
    for round in 0..rounds {
        let start = Instant::now();
        let node = &mut nodes[round % 2];
        let clients = |node: &Node| admin::connections(node, "native");
        eventually(PATIENCE, "the node is ready and has clients", || is_ready(node) && clients(node) > 0);
        let delivered = |node: &Node| admin::metric(node, "tidegate_deliveries_total{door=\"native\"}");
        let before = delivered(node);
        sleep(Duration::from_millis(100)).await;
        // Events were in flight if they were a moment ago: there is one every 5 ms.
        counted += usize::from(delivered(node) > before);
        match going {
            Going::Killed => node.kill9(),
            Going::Drained => {
                node.term();
                let status = node.wait(PATIENCE).expect("it drains");
                assert_eq!(status.code(), Some(0));
            }
        }
        sleep(Duration::from_millis(200)).await; // so long it is away
        node.start_again().expect("it gets its ports at once");
        sleep(every.saturating_sub(start.elapsed())).await;
    }
    flow.stop().await;
    let histories = until_done(&redis, &ours).await;
    until_there(&naive).await;
    let (found, control) = (judge(&press, &histories, &ours), judge(&press, &histories, &naive));
    let (events, back) = (press.book.lock().expect("whole").len(), comebacks(&ours));
    say(&format!(
        "the Rust client, nodes {going:?}: {rounds} times, {counted} with clients and events in flight, {events} events, {back} times back: \
         {found:?}; control, without positions: {control:?}"
    ));
    assert_eq!(found, Found::default());
    assert_eq!(died(&press, &histories), (0, 0));
    assert!(counted == rounds && back >= rounds * 2, "{counted} with events in flight, {back} times back");
    assert!(control.lost > 0, "{control:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed_and_each_event_is_handed_over_once() {
    nodes_go(Going::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_drain_and_each_event_is_handed_over_once() {
    nodes_go(Going::Drained).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_comes_back_knowing_less_and_no_retry_is_handed_over_twice() {
    let mut redis = RedisServer::start().expect("redis");
    let nodes = nodes(&redis);
    let proxies: Vec<Proxy> = nodes.iter().map(|node| Proxy::start(node.public_addr().port())).collect();
    let steady: Vec<String> = nodes.iter().map(Node::ws_url).collect();
    let cut: Vec<String> =
        proxies.iter().map(|proxy| format!("ws://127.0.0.1:{}/ws", proxy.port())).collect();
    let mut ours = ears(&steady, 1, Habit::Resumes).await;
    ours.extend(ears(&cut, 2, Habit::Resumes).await);
    let naive = ears(&cut, 1, Habit::Forgets).await;
    let press = Press::start(&[steady[0].clone(), cut[1].clone()]);
    let rounds = if full() { 10 } else { 2 };
    for _ in 0..rounds {
        press.publish(press.numbers(30)).await;
        let snapshot = redis.snapshot().expect("saved");
        let doomed = press.numbers(12);
        press.publish(doomed.clone()).await;
        let histories = until_done(&redis, &ours).await;
        let before = judge(&press, &histories, &ours);
        assert_eq!(before, Found::default(), "all of it was handed over");
        until_done(&redis, &naive).await;

        redis.stop();
        assert!(proxies.iter().map(|proxy| proxy.cut(all, Cut::Reset)).sum::<usize>() > 0);
        let meanwhile = press.clone();
        let asked = tokio::spawn(async move { meanwhile.publish(meanwhile.numbers(9)).await });
        redis.start_from(&snapshot).expect("redis");
        asked.await.expect("published");
        until_done(&redis, &ours).await;
        until_there(&naive).await;
        // Two of three are published again; the others stay dead.
        press.publish(doomed.filter(|number| number % 9 < 6)).await;
        press.publish(press.numbers(9)).await;
        until_done(&redis, &naive).await;
    }
    let histories = until_done(&redis, &ours).await;
    let (found, control) = (judge(&press, &histories, &ours), judge(&press, &histories, &naive));
    let (died, again) = died(&press, &histories);
    say(&format!(
        "the Rust client, Redis back from an older snapshot: {rounds} times, {died} events died, {again} were published again, {} times back: \
         {found:?}; control, without positions: {control:?}",
        comebacks(&ours)
    ));
    assert_eq!(found, Found::default());
    assert!(died > 0 && again > 0, "{died} died, {again} were published again");
    assert!(comebacks(&ours) >= rounds * 2, "who is cut comes back");
    assert!(control.twice > 0, "{control:?}");
}
