//! The soak: clients connect, subscribe, publish, unsubscribe, resume and leave, by all doors, while events go on. Laws: nothing is
//! lost, and nothing is left behind: memory and descriptors of the nodes stay level, Redis holds what lives and no more. Beside
//! it runs a node whose clients never leave, and clients that stay behind: the same checks must find them.

#[path = "soak/hoard.rs"]
mod hoard;
#[path = "soak/holdings.rs"]
mod holdings;
#[path = "soak/laws.rs"]
mod laws;
#[allow(dead_code, reason = "this test uses its part")]
#[path = "nothing_lost/publisher.rs"]
mod publisher;
#[path = "soak/residents.rs"]
mod residents;
#[allow(dead_code, reason = "this test uses its part")]
#[path = "nothing_lost/stage.rs"]
mod stage;
mod support;
#[path = "soak/visits.rs"]
mod visits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use holdings::Holdings;
use laws::{Sample, bound, kib, not_flat, trends};
use publisher::Publisher;
use residents::{Presses, listeners, unrest};
use stage::{Stage, disturbed, heard, resumes, troubles};
use support::backend::{Backend, Book};
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_testkit::checker::{Entry, Log};
use tidegate_testkit::history::Told;
use tidegate_testkit::witness::{Habit, Witness};
use tidegate_testkit::{Node, RedisServer, Usage, eventually_async};
use tokio::time::sleep;
use visits::{AT_ONCE, BRIEF, EVERY, OWN, Place, Visits};

/// `visit` remembers nothing, `brief` for moments: within a shortened run, too, all that it had must be gone.
const NAMESPACES: &str = r#"
[namespaces.visit]
publish = "anyone"
[namespaces.brief]
publish = "anyone"
dedupe_ttl = "2s"
position_ttl = "15s"
history = { size = 10, ttl = "2s" }
"#;
/// Nodes keep a channel so long after its last subscriber, without and with history.
const LINGER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// `position_ttl`: so long after its last use Redis forgets a channel.
const KEYS_LIVE: Duration = Duration::from_secs(15);
/// How long a visit may take, and how late a machine that builds something else meanwhile may be.
const LATE: Duration = Duration::from_secs(5);
/// Descriptors that a node may have more than before its first client: connections to Redis that open when needed.
const SPARE: usize = 4;
/// Clients on the control's node.
const HOARD: usize = 3000;
/// Clients of each node that stay behind at the end, until they are found.
const KEPT: usize = 8;

/// 20 minutes, or as many seconds as `TIDEGATE_SOAK_SECONDS` says; shortened, what shows that the test itself works.
fn length() -> Duration {
    let asked = std::env::var("TIDEGATE_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(if full() { 20 * 60 } else { 8 }))
}

/// What is there that should not be, once all clients are gone.
fn left_behind(
    nodes: &[Node],
    before: &[usize],
    redis: &RedisServer,
    excused: &[(&str, usize, usize)],
) -> Vec<String> {
    let mut left = Vec::new();
    for (node, before) in nodes.iter().zip(before) {
        let files = node.usage().files;
        if files > before + SPARE {
            left.push(format!("descriptors: {files}, {before} before the first client"));
        }
    }
    let holdings = Holdings::of(redis);
    for namespace in ["room", "visit", "brief", "news"] {
        let excused = excused.iter().find(|(name, ..)| *name == namespace);
        let (channels, keys) = excused.map_or((0, 0), |(_, channels, keys)| (*channels, *keys));
        if holdings.channels(namespace) > channels {
            left.push(format!("subscriptions: {} of {namespace}", holdings.channels(namespace)));
        }
        if holdings.keys(namespace) > keys {
            left.push(format!("keys: {} of {namespace}", holdings.keys(namespace)));
        }
    }
    left
}

/// Takes the use of these processes now and then, and what Redis holds, until `on` is false.
async fn watch(
    pids: &[u32],
    redis: &RedisServer,
    length: Duration,
    on: &AtomicBool,
) -> (Vec<Vec<Sample>>, Vec<Holdings>) {
    let start = Instant::now();
    let (mut samples, mut holdings) = (vec![Vec::new(); pids.len()], Vec::new());
    let (pause, mut next) = ((length / 400).min(Duration::from_secs(2)), Duration::ZERO);
    while on.load(Ordering::Relaxed) {
        for (pid, samples) in pids.iter().zip(&mut samples) {
            let usage = Usage::of(*pid);
            samples.push(Sample { at: start.elapsed(), memory: usage.memory, files: usage.files });
        }
        if start.elapsed() >= next {
            holdings.push(Holdings::of(redis));
            next = start.elapsed() + (length / 50).max(Duration::from_secs(1));
        }
        sleep(pause).await;
    }
    (samples, holdings)
}

/// Logs of clients without history: whether none lost anything, and whether the same check finds a delivery that is taken out.
fn judge_listeners(book: &Book, mut logs: Vec<Log>) {
    let book = book.lock().expect("whole");
    let faults = book.check(&logs);
    let events: usize = logs.iter().map(|log| log.entries.len()).sum();
    let away = logs.iter().flat_map(|log| &log.entries).filter(|entry| matches!(entry, Entry::Away)).count();
    let middle = logs[1].entries.len() / 2;
    logs[1].entries.remove(middle);
    let control = book.check(&logs);
    say(&format!(
        "soak, {} listeners at all doors: {events} deliveries, {away} cut off: {faults}; control: a delivery taken out: lost {}",
        logs.len(),
        control.lost
    ));
    assert!(faults.none() && faults.told + away == 0, "{faults}");
    assert_eq!(control.lost, 1);
}

async fn judge_witnesses(stage: &Stage, witnesses: &[Witness], redis: &RedisServer, orders: usize) {
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let deadline = Instant::now() + PATIENCE;
    let verdict = loop {
        let verdict = stage.judge(witnesses, &lineages);
        let is_over = witnesses.iter().all(Witness::is_there) && verdict.behind == 0;
        if is_over || Instant::now() > deadline {
            break verdict;
        }
        sleep(Duration::from_millis(100)).await;
    };
    let mut logs: Vec<_> = witnesses.iter().map(Witness::log).collect();
    let is_event = |told: &Told| matches!(told, Told::Event { .. });
    let middle = logs[0].lines.len() / 2;
    let at = (middle..logs[0].lines.len()).find(|at| is_event(&logs[0].lines[*at].told)).expect("one");
    logs[0].lines.remove(at);
    let control = stage.judge_logs(&logs, &lineages);
    let (moves, [half, most, _]) = resumes(witnesses);
    say(&format!(
        "soak, {} witnesses in channels with history: {} deliveries, {orders} orders to go, leave and return, {moves} resumes, \
         p50 {half:.0?}, p99 {most:.0?}: {verdict}; control: a delivery taken out: lost {}",
        witnesses.len(),
        heard(witnesses),
        control.lost
    ));
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(witnesses));
    assert!(moves > 0 && disturbed(witnesses).1 == 0, "{:?}", troubles(witnesses));
    assert_eq!(control.lost, 1, "{control}");
}

/// Redis never held more than what lived: visits of so many seconds, at the rate that visitors can reach at most.
fn judge_holdings(holdings: &[Holdings]) {
    let a_second = AT_ONCE as f64 / EVERY.as_secs_f64();
    let most = |rate: f64, time: Duration| (rate * (time + LATE).as_secs_f64()) as usize + AT_ONCE;
    let brief = a_second / BRIEF as f64;
    // A node that keeps a channel keeps its position from running out; log and idempotency keys end by themselves.
    let hashes = most(brief, LINGER[1] + KEYS_LIVE);
    let peak = |of: &dyn Fn(&Holdings) -> usize| holdings.iter().map(of).max().unwrap_or(0);
    let rows = [
        ("channels without history", peak(&|h| h.channels("visit")), most(a_second, LINGER[0])),
        ("channels with history", peak(&|h| h.channels("brief")), most(brief, LINGER[1])),
        ("keys of these", peak(&|h| h.keys("brief")), hashes + most(brief * (1 + OWN) as f64, KEYS_LIVE)),
    ];
    let told = rows.map(|(what, peak, bound)| format!("{what} {peak} (bound {bound})"));
    say(&format!("soak, Redis held at most: {}", told.join(", ")));
    for (what, peak, bound) in rows {
        assert!(peak > 0 && peak <= bound, "{what}: {peak}, bound {bound}");
    }
}

fn judge_nodes(samples_of: &[Vec<Sample>], visits: usize) {
    for (at, samples) in samples_of.iter().enumerate() {
        // The last one is the control's.
        let is_control = at + 1 == samples_of.len();
        let visits = if is_control { HOARD } else { visits / (samples_of.len() - 1) };
        let (memory, files) = trends(samples);
        let faults = not_flat(samples, visits);
        let who =
            if is_control { "control: clients that never leave".into() } else { format!("node {}", at + 1) };
        say(&format!(
            "soak, {who}: memory {:.0} KiB in the second quarter, {:.0} in the last, slope {:+.0} KiB an hour (rise {:+.0}, bound {:.0}); \
             descriptors {} and {}: {}",
            kib(memory.before),
            kib(memory.after),
            kib(memory.slope * 3600.0),
            kib(memory.rise()),
            kib(bound(visits)),
            files.before,
            files.after,
            if faults.is_empty() { "level".to_owned() } else { format!("found: {}", faults.join("; ")) }
        ));
        match is_control {
            true => assert_eq!(faults.len(), 2, "memory and descriptors: {faults:?}"),
            false => assert!(faults.is_empty(), "{faults:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_left_behind() {
    hoard::raise_file_limit();
    let (length, began) = (length(), Instant::now());
    let redis = RedisServer::start().expect("redis");
    let stage = Stage::start(2, 6, &format!("{}{NAMESPACES}", Stage::redis(&redis.url())));
    let control = Node::builder(BINARY).name("control").start().expect("a node");
    let nodes: Vec<SocketAddr> = stage.nodes.iter().map(Node::public_addr).collect();
    for node in &stage.nodes {
        admin::get(node, "/metrics"); // whatever is opened late is open now
    }
    let before: Vec<usize> = stage.nodes.iter().map(|node| node.usage().files).collect();

    let book = Book::default();
    let backend = Arc::new(tokio::sync::Mutex::new(Backend::connect(&redis, &book).await));
    let news = (0..5).map(|n| format!("news:{n}")).collect();
    let place = Place { nodes: nodes.clone(), news, book: Arc::clone(&book), backend };
    let listeners = listeners(&nodes, &place.news, &book).await;
    let witnesses = stage.witnesses("witness", 12, 2, Habit::Resumes).await;
    let each = |node: &SocketAddr| {
        let node = *node;
        (0..KEPT).map(move |n| async move { hoard::hold(node, &format!("visit:kept-{n}")).await })
    };
    let kept: Vec<hoard::Held> = join_all(nodes.iter().flat_map(each)).await;
    let port = redis.port();
    let flow = Publisher::new(&stage.book, move || Some(port)).flow(&stage.channels, 100);
    let presses = Presses::start(&place, Duration::from_millis(20));

    let (on, pids) = (AtomicBool::new(true), [stage.nodes[0].pid(), stage.nodes[1].pid(), control.pid()]);
    let visits = Visits::begin(&place);
    let hoard = hoard::pile_up(control.public_addr(), HOARD, length);
    let clock = async {
        sleep(length).await;
        on.store(false, Ordering::Relaxed);
    };
    let (orders, (samples, holdings), ()) =
        tokio::join!(unrest(&witnesses, 2, &on), watch(&pids, &redis, length, &on), clock);
    let visits = visits.end().await;
    flow.stop().await;
    presses.stop().await;
    hoard.abort();

    eventually_async(PATIENCE, "listeners hear all", async || listeners.iter().all(|l| l.is_done(&book)))
        .await;
    judge_listeners(&book, listeners.iter().map(support::listener::Listener::log).collect());
    judge_witnesses(&stage, &witnesses, &redis, orders).await;
    let (mut last, until) = visits.last.expect("somebody came");
    last.entries.pop();
    let taken = book.lock().expect("whole").check_stay(&last, until);
    say(&format!(
        "soak, {:.0?} long: {} visits at all doors of 2 nodes, {:.1} a second, {} deliveries to them: {}; control: a delivery taken out: lost {}",
        length,
        visits.visits,
        visits.visits as f64 / length.as_secs_f64(),
        visits.events,
        visits.faults,
        taken.lost
    ));
    assert!(visits.faults.none() && visits.visits > 0, "{}", visits.faults);
    assert_eq!(taken.lost, 1, "{taken}");
    judge_nodes(&samples, visits.visits);
    judge_holdings(&holdings);

    // All go, but some stay behind; and a key is left, as a namespace without an end would leave it.
    drop((listeners, witnesses));
    redis.cli(&["SET", "tg:{visit:kept}", "1"]).expect("redis");
    // Events of rooms are kept for an hour: hash and log. What lingers for 30 s lingers in a shortened run, too.
    let (rooms, all_over) = (stage.channels.len(), length > LINGER[1]);
    let lingering = |count: usize| if all_over { 0 } else { count };
    let brief = lingering(visits.visits);
    let excused = [("room", lingering(rooms), 2 * rooms), ("brief", brief, brief)];
    let left = || left_behind(&stage.nodes, &before, &redis, &excused);
    let kinds = ["descriptors", "subscriptions", "keys"];
    let find = |found: &[String], kind: &str| found.iter().filter(|left| left.starts_with(kind)).count();
    let files = || stage.nodes.iter().map(|node| node.usage().files).sum::<usize>();
    let most = before.iter().sum::<usize>() + kept.len() + SPARE;
    eventually_async(PATIENCE, "all but those are gone", async || files() <= most).await;
    for kind in kinds {
        assert!(find(&left(), kind) > 0, "control: {kind} of who stayed are found");
    }
    let stayed = kept.len();
    drop(kept);
    redis.cli(&["DEL", "tg:{visit:kept}"]).expect("redis");
    let gone = Instant::now();
    let (within, what) = (LINGER[1] + KEYS_LIVE + PATIENCE, "nothing is left behind");
    eventually_async(within, what, async || left().is_empty()).await;
    say(&format!(
        "soak, after the last client: descriptors {:?} (before the first {before:?}), subscriptions and keys of clients gone after \
         {:.0?}; control: {stayed} clients and a key that stayed: found; all in {:.0?}",
        stage.nodes.iter().map(|node| node.usage().files).collect::<Vec<_>>(),
        gone.elapsed(),
        began.elapsed()
    ));
}
