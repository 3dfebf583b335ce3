//! File descriptors run out: clients may take what is theirs, and nothing else. With the control of a node that does
//! not know how few there are.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::backend::{Backend, Book};
use support::listener::{Door, Habit, Listener};
use support::peer::UPGRADE;
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_testkit::{Node, RedisServer, eventually, eventually_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Descriptors of the node.
const FILES: u32 = 256;
/// Dials at once.
const DIALS: usize = 1000;
/// How long until a client is let in once the flood is over.
const RECOVERY: Duration = Duration::from_secs(2);

/// A thousand peers that dial, hold what they get, and dial again when they lose it, until they are told to stop.
struct Flood {
    on: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    peers: Vec<JoinHandle<()>>,
}

impl Flood {
    fn start(address: SocketAddr) -> Self {
        let (on, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let peer = |n: usize| {
            let (on, refused) = (Arc::clone(&on), Arc::clone(&refused));
            tokio::spawn(async move {
                while on.load(Ordering::Relaxed) {
                    if let Ok(mut stream) = TcpStream::connect(address).await {
                        let said = hold(&mut stream, n).await;
                        refused.fetch_add(usize::from(said.contains(" 503 ")), Ordering::Relaxed);
                    }
                    // What a careless client does, `Retry-After` or not.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            })
        };
        let peers = (0..DIALS).map(peer).collect();
        Self { on, refused, peers }
    }

    /// Ends it: every socket is closed.
    async fn stop(self) -> usize {
        self.on.store(false, Ordering::Relaxed);
        self.peers.iter().for_each(JoinHandle::abort);
        join_all(self.peers).await;
        self.refused.load(Ordering::Relaxed)
    }
}

/// A third opens a door, a third asks for nothing at all, a third begins a request and leaves it. Then each waits for its end.
async fn hold(stream: &mut TcpStream, n: usize) -> String {
    let request = match n % 3 {
        0 => format!("GET /plain?channel=other HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}"),
        1 => String::new(),
        _ => "GET /ws HTTP/1.1\r\n".to_owned(),
    };
    let mut said = Vec::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let _ = stream.read_to_end(&mut said).await; // a reset is an end too
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// What was seen of a node under the flood.
#[derive(Debug, Default)]
struct Seen {
    asked: usize,
    answered: usize,
    slowest: Duration,
    cpu_percent: u128,
    recovery: Option<Duration>,
    heard_all: bool,
    refused: usize,
    most_files: usize,
}

impl Seen {
    fn is_fine(&self) -> bool {
        self.answered == self.asked
            && self.cpu_percent <= 20
            && self.recovery.is_some_and(|time| time <= RECOVERY)
            && self.heard_all
    }
}

/// Whether a client is let in and hears that it is.
async fn is_let_in(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let request = format!("GET /plain?channel=other HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}");
    let mut piece = [0; 64];
    stream.write_all(request.as_bytes()).await.is_ok()
        && matches!(stream.read(&mut piece).await, Ok(12..) if piece.starts_with(b"HTTP/1.1 101"))
}

/// Ten clients, then the flood for `time`; what the admin port says meanwhile, each question within 2 s.
async fn flood(node: &Node, redis: &RedisServer, time: Duration) -> Seen {
    let (book, channel) = (Book::default(), "room:1".to_owned());
    let address = node.public_addr();
    let own = std::slice::from_ref(&channel);
    let opening =
        (0..10).map(|n| Listener::open("there", Door::ALL[n % 4], Habit::StaysAway, address, own, &book));
    let listeners = join_all(opening).await;

    let crowd = Flood::start(address);
    let (start, before) = (Instant::now(), node.usage().cpu);
    let mut backend = Backend::connect(redis, &book).await;
    let mut seen = Seen::default();
    let mut next_kill = time / 4;
    while start.elapsed() < time {
        backend.publish([&channel]).await;
        for path in ["/health/ready", "/metrics"] {
            let (admin, asked) = (node.admin_addr(), Instant::now());
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = tokio::task::spawn_blocking(move || admin::ask(admin, &request));
            let answer = tokio::time::timeout(Duration::from_secs(2), answer).await;
            let answered = matches!(answer, Ok(Ok(Ok((200, _)))));
            // Between the loss of Redis and its return the node says that it is not ready: an answer too.
            let answered = answered || matches!(answer, Ok(Ok(Ok((503, _)))));
            seen.asked += 1;
            seen.answered += usize::from(answered);
            seen.slowest = seen.slowest.max(asked.elapsed());
        }
        if start.elapsed() > next_kill {
            // Reconnecting needs descriptors: those that were kept. Events of the gap would be lost; none is published in it.
            next_kill = time * 2;
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).expect("killed");
            redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("killed");
            backend = Backend::connect(redis, &book).await;
            let heard = || {
                redis.cli(&["PUBSUB", "NUMSUB", "tg:{room:1}"]).is_ok_and(|text| text.trim().ends_with('1'))
            };
            let since = Instant::now();
            while !heard() && since.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        seen.most_files = seen.most_files.max(node.usage().files);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen.cpu_percent = (node.usage().cpu - before).as_millis() * 100 / start.elapsed().as_millis();
    seen.refused = crowd.stop().await;
    let over = Instant::now();
    while seen.recovery.is_none() && over.elapsed() < RECOVERY * 3 {
        let patience = RECOVERY * 3;
        if tokio::time::timeout(patience, is_let_in(address)).await.unwrap_or(false) {
            seen.recovery = Some(over.elapsed());
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    backend.publish([&channel]).await;
    let since = Instant::now();
    while since.elapsed() < RECOVERY && !listeners.iter().all(|listener| listener.is_done(&book)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let logs: Vec<_> = listeners.iter().map(Listener::log).collect();
    let faults = book.lock().expect("whole").check(&logs);
    seen.heard_all = faults.none();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dials_at_256_descriptors_starve_nobody() {
    let time = Duration::from_secs(if full() { 30 } else { 6 });
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).redis(&redis.url()).files(FILES).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    let seen = flood(&node, &redis, time).await;
    let counted = |reason: &str| {
        admin::metric(&node, &format!("tidegate_connections_refused_total{{reason=\"{reason}\"}}"))
    };
    say(&format!(
        "{FILES} descriptors, {DIALS} dials for {time:?}: {} of {} questions to the admin port answered, the slowest after {:.0?}; \
         node {} % of a core, at most {} descriptors; {} refusals read, {} counted; let in {:.0?} after the flood; \
         clients that were there heard all: {}",
        seen.answered,
        seen.asked,
        seen.slowest,
        seen.cpu_percent,
        seen.most_files,
        seen.refused,
        counted("full"),
        seen.recovery.unwrap_or(Duration::MAX),
        seen.heard_all,
    ));
    assert!(seen.is_fine(), "{seen:?}");
    assert!(seen.refused > 0 && counted("full") >= seen.refused as u64, "{seen:?}");
    assert!(seen.most_files < FILES as usize, "some are always left: {seen:?}");
    assert_eq!(counted("files"), 0, "clients alone never take the last one");
    assert!(node.log().matches("connections refused").count() <= 1 + usize::from(full()), "{}", node.log());

    // Control: the limit is lowered behind the node's back, so that nothing is kept.
    let node = Node::builder(BINARY).redis(&redis.url()).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    limit_files(&node, FILES);
    let unkept = flood(&node, &redis, Duration::from_secs(4)).await;
    say(&format!(
        "{FILES} descriptors, control: with none kept {} of {} questions answered, clients heard all: {}",
        unkept.answered, unkept.asked, unkept.heard_all
    ));
    assert!(!unkept.is_fine(), "{unkept:?}");
}

fn limit_files(node: &Node, most: u32) {
    let pid = Pid::from_raw(i32::try_from(node.pid()).expect("a pid"));
    let limit = Rlimit { current: Some(most.into()), maximum: Some(most.into()) };
    prlimit(pid, Resource::Nofile, limit).expect("our own process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_descriptor_accepting_rests_says_so_and_goes_on() {
    let node = Node::builder(BINARY).start().expect("a node");
    admin::get(&node, "/metrics"); // whatever is opened late is open now
    let few = u32::try_from(node.usage().files).expect("few") + 20;
    limit_files(&node, few);
    let address = node.public_addr();
    let crowd = Flood::start(address);
    let start = Instant::now();
    eventually(PATIENCE, "its descriptors are gone", || node.usage().files + 1 >= few as usize);
    let (before, since) = (node.usage().cpu, Instant::now());
    eventually_async(PATIENCE, "it goes on like that for 3 s", async || {
        since.elapsed() > Duration::from_secs(3)
    })
    .await;
    let cpu = (node.usage().cpu - before).as_millis() * 100 / since.elapsed().as_millis();
    let refused = crowd.stop().await;
    let over = Instant::now();
    eventually_async(RECOVERY, "clients are let in", async || is_let_in(address).await).await;
    let recovery = over.elapsed();
    let counted = admin::metric(&node, "tidegate_connections_refused_total{reason=\"files\"}");
    let lines = node.log().matches("cannot accept").count();
    say(&format!(
        "no descriptor left for {:.1?}: node {cpu} % of a core, {lines} line in its log, {counted} refused, {refused} read why; \
         let in {recovery:.0?} after the flood",
        over - start
    ));
    assert!(cpu <= 20, "{cpu} %");
    assert!(counted > 0 && refused > 0, "{counted} {refused}");
    assert_eq!(lines, 1, "{}", node.log());
}
