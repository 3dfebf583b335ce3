//! Faults of nodes: one killed, one told to stop. Each with a control that the same check must catch. Redis' own are in
//! outages.rs.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use support::backend::{Backend, Book};
use support::listener::{Door, Habit, Listener};
use support::{BINARY, PATIENCE, admin, full, nginx_files, say};
use tidegate_protocol::{ServerFrame, json};
use tidegate_testkit::checker::{Entry, Faults, Log};
use tidegate_testkit::{Nginx, Node, RedisServer, eventually, eventually_async};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// Three ready nodes with the load balancer in front.
struct Cluster {
    nodes: Vec<Node>,
    nginx: Nginx,
    redis: RedisServer,
    book: Book,
    channels: Vec<String>,
}

impl Cluster {
    fn start(config: &str) -> Self {
        let redis = RedisServer::start().expect("redis");
        let start = |n| {
            let node = Node::builder(BINARY).name(&format!("node {n}")).redis(&redis.url()).config(config);
            node.start().expect("a node")
        };
        let nodes: Vec<Node> = (1..=3).map(start).collect();
        for node in &nodes {
            eventually(PATIENCE, "the node is ready", || admin::get(node, "/health/ready").0 == 200);
        }
        let addresses: Vec<_> = nodes.iter().map(Node::public_addr).collect();
        let nginx = Nginx::start(&nginx_files(), &addresses).expect("nginx");
        let channels = (0..10).map(|n| format!("room:{n}")).collect();
        Self { nodes, nginx, redis, book: Book::default(), channels }
    }

    /// `count` listeners of all doors with two channels each.
    async fn listeners(&self, name: &str, count: usize, habit: Habit) -> Vec<Listener> {
        let opening = (0..count).map(|n| {
            let mine = [n, n + 3].map(|k| self.channels[k % self.channels.len()].clone());
            let (book, address) = (Arc::clone(&self.book), self.nginx.addr());
            let (door, name) = (Door::ALL[n % Door::ALL.len()], format!("{name} {n}"));
            async move { Listener::open(&name, door, habit, address, &mine, &book).await }
        });
        join_all(opening).await
    }

    async fn until_done(&self, listeners: &[Listener]) {
        eventually_async(PATIENCE, "every client that is there has heard the last event", async || {
            listeners.iter().all(|listener| listener.is_done(&self.book))
        })
        .await;
    }

    fn check<'a>(&self, listeners: impl IntoIterator<Item = &'a Listener>) -> Faults {
        let logs: Vec<Log> = listeners.into_iter().map(Listener::log).collect();
        self.book.lock().expect("whole").check(&logs)
    }
}

fn was_away(listener: &Listener) -> bool {
    listener.count(|entry| *entry == Entry::Away) > 0
}

/// Whether nobody is away that was.
fn all_back(listeners: &[Listener]) -> bool {
    let back = |entry: &Entry| matches!(entry, Entry::Back { .. });
    listeners.iter().filter(|l| was_away(l)).all(|l| l.count(back) > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_comes_back_on_its_ports_and_its_clients_go_to_others() {
    let mut cluster = Cluster::start("");
    let good = cluster.listeners("good", 60, Habit::ComesBack).await;
    let naive = cluster.listeners("naive", 24, Habit::StaysAway).await;

    // Under load: events go on while the node dies, is away and starts again.
    let seconds = if full() { 15 } else { 4 };
    let mut backend = Backend::connect(&cluster.redis, &cluster.book).await;
    let channels = cluster.channels.clone();
    let load = tokio::spawn(async move { backend.publish_all(&channels, seconds * 500, 500).await });

    let mut victim = cluster.nodes.remove(0);
    let (public, admin_port) = (victim.public_addr(), victim.admin_addr());
    eventually_async(PATIENCE, "events flow", async || good.iter().all(|l| l.count(|_| true) > 10)).await;
    victim.kill9();
    let killed = Instant::now();
    eventually_async(PATIENCE, "its clients are back at other nodes", async || {
        good.iter().any(was_away) && all_back(&good)
    })
    .await;
    let back = killed.elapsed();
    let moved = good.iter().filter(|listener| was_away(listener)).count();
    let restart = Instant::now();
    victim.start_again().expect("it gets its ports at once");
    let restart = restart.elapsed();
    assert_eq!((victim.public_addr(), victim.admin_addr()), (public, admin_port));
    assert!(!load.is_finished(), "all of that happened under load");

    // It takes clients again: the load balancer's 2 s of doubt pass first.
    let mut late = Vec::new();
    let all = ["native", "plain", "sse"];
    eventually_async(PATIENCE, "new clients reach the node that is back", async || {
        let habit = Habit::ComesBack;
        let (address, book) = (cluster.nginx.addr(), &cluster.book);
        late.push(Listener::open("late", Door::Plain, habit, address, &cluster.channels[..1], book).await);
        all.iter().any(|door| admin::connections(&victim, door) > 0)
    })
    .await;
    load.await.expect("published");
    cluster.until_done(&good).await;
    cluster.until_done(&late).await;

    let faults = cluster.check(good.iter().chain(&late));
    say(&format!(
        "kill -9: {moved} of {} clients moved, all back within {back:.1?}; restarted in {restart:.1?}: {faults}",
        good.len()
    ));
    assert!(faults.none(), "{faults}");

    // Controls: clients that stay away, judged by the same checker; and a port that is not free.
    let gone = naive.iter().filter(|listener| was_away(listener)).count();
    let faults = cluster.check(&naive);
    say(&format!("kill -9, control: {gone} of {} clients stayed away: lost {}", naive.len(), faults.lost));
    assert!(gone > 0 && faults.lost > 0 && faults.twice + faults.reordered + faults.foreign == 0, "{faults}");
    let taken = Node::builder(BINARY).listen(&public.to_string()).start();
    let error = format!("{:#}", taken.expect_err("the port is taken"));
    say(&format!("kill -9, control: a second node on a port in use: {}", line_with(&error, "cannot listen")));
    assert!(error.contains("cannot listen at"), "{error}");
}

fn line_with<'a>(text: &'a str, words: &str) -> &'a str {
    text.lines().find(|line| line.contains(words)).unwrap_or_default()
}

/// How long the drain of these tests takes at most. Its last tenth is for the last goodbyes, on a machine that is busy.
const DRAIN: Duration = Duration::from_secs(6);

/// Whether clients were told to leave one after another: no quarter of the drain time saw more than two
/// thirds of them, though this process reads late when the machine stalls.
fn is_spaced(times: &[Duration]) -> bool {
    let quarter = DRAIN / 4;
    let crowd = |start: &Duration| times.iter().filter(|t| *t >= start && **t < *start + quarter).count();
    times.len() >= 10 && times.iter().map(crowd).max().unwrap_or(0) * 3 <= times.len() * 2
}

/// A native client that ignores hints: when it was hinted, and how it was closed, since `start`.
async fn unmoved(node: std::net::SocketAddr, start: impl Fn() -> Instant) -> (Option<Duration>, Option<u16>) {
    let stream = tokio::net::TcpStream::connect(node).await.expect("the node");
    let (mut socket, _) = client_async(format!("ws://{node}/ws"), stream).await.expect("the door");
    socket.send(Message::text(r#"{"type":"connect","id":1}"#)).await.expect("open");
    let (mut hinted, mut closed) = (None, None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let frames = json::decode_server(text.as_bytes()).expect("frames");
                if frames.iter().any(|frame| matches!(frame, ServerFrame::Reconnect { .. })) {
                    hinted = Some(start().elapsed());
                }
            }
            Message::Close(frame) => closed = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    (hinted, closed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_sends_clients_away_one_after_another_and_none_loses_an_event_unknowingly() {
    let mut cluster = Cluster::start(&format!("[server]\ndrain = \"{}s\"\n", DRAIN.as_secs()));
    let good = cluster.listeners("good", 60, Habit::ComesBack).await;
    let mut node = cluster.nodes.remove(0);

    let started = Arc::new(std::sync::OnceLock::<Instant>::new());
    let clock = Arc::clone(&started);
    let (address, at) = (node.public_addr(), move || clock.get().copied().unwrap_or_else(Instant::now));
    let unmoved: Vec<_> = (0..40).map(|_| tokio::spawn(unmoved(address, at.clone()))).collect();
    eventually(PATIENCE, "they are there", || admin::connections(&node, "native") >= 40);

    let mut backend = Backend::connect(&cluster.redis, &cluster.book).await;
    let channels = cluster.channels.clone();
    let load = tokio::spawn(async move { backend.publish_all(&channels, 3500, 500).await });
    eventually_async(PATIENCE, "events flow", async || good.iter().all(|l| l.count(|_| true) > 10)).await;

    started.set(Instant::now()).expect("once");
    let moving = Instant::now();
    node.term();
    eventually(Duration::from_secs(1), "it is not ready", || admin::get(&node, "/health/ready").0 != 200);
    let status = tokio::task::block_in_place(|| node.wait(DRAIN + Duration::from_secs(1)));
    let drained = moving.elapsed();
    assert_eq!(status.expect("within the drain time").code(), Some(0));

    let ends = join_all(unmoved).await.into_iter().map(|end| end.expect("it ran")).collect::<Vec<_>>();
    let hints: Vec<Duration> = ends.iter().filter_map(|(hinted, _)| *hinted).collect();
    load.await.expect("published");
    eventually_async(PATIENCE, "who was sent away is back", async || all_back(&good)).await;
    cluster.until_done(&good).await;
    let faults = cluster.check(&good);
    let moved = good.iter().filter(|listener| was_away(listener)).count();
    let spread =
        hints.iter().max().copied().unwrap_or_default() - hints.iter().min().copied().unwrap_or_default();
    say(&format!(
        "SIGTERM: exit 0 after {drained:.1?}; {} hints over {spread:.1?}; {moved} of {} clients moved: {faults}",
        hints.len(),
        good.len()
    ));
    assert_eq!(hints.len(), ends.len(), "every native client is hinted");
    assert!(ends.iter().all(|(_, code)| *code == Some(4200)), "{ends:?}\n{}", node.log());
    assert!(is_spaced(&hints), "{hints:?}");
    assert!(moved > 0 && all_back(&good) && faults.none(), "{faults}");

    // Control: everybody told at once.
    let herd = vec![hints[0]; hints.len()];
    say(&format!("SIGTERM, control: {} hints at once are found unspaced: {}", herd.len(), !is_spaced(&herd)));
    assert!(!is_spaced(&herd));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_drain_at_once() {
    let mut node = Node::builder(BINARY).config("[server]\ndrain = \"30s\"\n").start().expect("a node");
    let start = Instant::now();
    let client = tokio::spawn(unmoved(node.public_addr(), move || start));
    // Two, since the first is sent away when the drain begins.
    let second = tokio::spawn(unmoved(node.public_addr(), move || start));
    eventually(PATIENCE, "they are there", || admin::connections(&node, "native") == 2);
    node.term();
    eventually(PATIENCE, "it drains", || node.log().contains("draining"));
    let again = Instant::now();
    node.term();
    let status = tokio::task::block_in_place(|| node.wait(Duration::from_secs(2))).expect("at once");
    say(&format!("second SIGTERM: ended after {:.0?} with {:?}", again.elapsed(), status.code()));
    assert_eq!(status.code(), Some(128 + 15));
    for client in [client, second] {
        client.await.expect("it ran");
    }
}
