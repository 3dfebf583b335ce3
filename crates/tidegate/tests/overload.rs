//! More than clients can take: some that stand still among many that read, and a flood that nobody keeps up with. Memory
//! stays within what the bounds add up to, every loss is counted and said, and others do not notice.

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::backend::{Backend, Book};
use support::peer::{UPGRADE, dial_small, last_words, mib, percentile, plain, tally};
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_testkit::checker::{Entry, Faults, Log};
use tidegate_testkit::{Node, RedisServer, Usage, eventually, eventually_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

/// A channel that everybody hears.
const ROOM: &str = "room:1";

fn ready(redis: &RedisServer, name: &str, config: &str) -> Node {
    let node = Node::builder(BINARY).name(name).redis(&redis.url()).config(config).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    node
}

/// A client that reads what comes, and when.
struct Reader {
    log: Arc<Mutex<Log>>,
    /// Microseconds from publishing to hearing, for each event of the room.
    delays: Arc<Mutex<Vec<u64>>>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    async fn open(n: usize, address: SocketAddr, channels: Vec<String>, start: Instant) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let mut stream = plain(stream, &channels).await.expect("the door");
        let log = Log {
            client: format!("reader {n}"),
            channels: vec![ROOM.to_owned()],
            from: 0,
            entries: Vec::new(),
        };
        let (log, delays) = (Arc::new(Mutex::new(log)), Arc::new(Mutex::new(Vec::new())));
        let (to_log, to_delays) = (Arc::clone(&log), Arc::clone(&delays));
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Message::Text(text) = message else { continue };
                let Some(published) = text.strip_prefix(r#"{"us":"#).and_then(|rest| rest.split(',').next())
                else {
                    continue; // of its bulk channel
                };
                let published: u64 = published.parse().expect("a number");
                let now = u64::try_from(start.elapsed().as_micros()).expect("soon");
                to_delays.lock().expect("whole").push(now - published);
                let event = Entry::Event { channel: ROOM.to_owned(), payload: text.as_str().to_owned() };
                to_log.lock().expect("whole").entries.push(event);
            }
            to_log.lock().expect("whole").entries.push(Entry::Away);
        });
        Self { log, delays, task }
    }

    fn has_heard(&self, last: Option<&str>) -> bool {
        let log = self.log.lock().expect("whole");
        matches!(log.entries.last(), Some(Entry::Event { payload, .. }) if Some(payload.as_str()) == last)
    }
}

/// Publishes into the room at `rate` for `time`, and writes it down.
async fn talk(redis: &RedisServer, book: &Book, start: Instant, rate: u32, time: Duration) {
    let mut backend = Backend::connect(redis, book).await;
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..rate * u32::try_from(time.as_secs()).expect("short") {
        ticks.tick().await;
        let payload =
            format!(r#"{{"us":{},"n":{n},"text":"{}"}}"#, start.elapsed().as_micros(), "x".repeat(200));
        book.lock().expect("whole").push(ROOM, &payload);
        backend.publish_raw([(ROOM, payload.as_str())]).await;
    }
}

/// Waits until every reader has heard the last event of the room.
async fn until_heard(readers: &[Reader], book: &Book) {
    let last = book.lock().expect("whole").last(ROOM).map(str::to_owned);
    let all = async || readers.iter().all(|reader| reader.has_heard(last.as_deref()));
    eventually_async(PATIENCE, "every reader has heard the last event", all).await;
}

fn judge(readers: &[Reader], book: &Book) -> (Faults, [u64; 2]) {
    let logs: Vec<Log> = readers.iter().map(|reader| reader.log.lock().expect("whole").clone()).collect();
    let mut delays: Vec<u64> =
        readers.iter().flat_map(|reader| reader.delays.lock().expect("whole").clone()).collect();
    let faults = book.lock().expect("whole").check(&logs);
    (faults, [50, 99].map(|percent| percentile(&mut delays, percent)))
}

/// Looks at a node every few milliseconds from a thread of its own, until it is asked.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Watch {
    /// `cut` is told when outboxes that were full have been emptied because their clients are too slow.
    fn start(node: &Node, cut: watch::Sender<bool>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, pid, admin) = (Arc::clone(&stop), node.pid(), node.admin_addr());
        let thread = std::thread::spawn(move || {
            let (before, mut peak) = (Usage::memory(pid), 0);
            for turn in 0.. {
                peak = peak.max(Usage::memory(pid));
                if turn % 20 == 0 && !*cut.borrow() && has_cut(admin) {
                    cut.send_replace(true);
                }
                if asked.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            cut.send_replace(true);
            peak.saturating_sub(before)
        });
        Self { stop, thread }
    }

    /// By how much the node's memory had grown, at most.
    fn grown(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it looked")
    }
}

/// Whether events were dropped for slow clients, and little waits for anybody now.
fn has_cut(admin: SocketAddr) -> bool {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let Ok((200, text)) = admin::ask(admin, request) else { return false };
    let value = |line: &str| {
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    value("tidegate_events_dropped_total{reason=\"slow\"}") > 0 && value("tidegate_outbox_bytes") < 4 << 20
}

/// What a crowd of clients with some that stand still did to a node.
struct Crowd {
    grown: u64,
    faults: Faults,
    delays: [u64; 2],
    slow: u64,
    codes: Vec<Option<u16>>,
}

/// What 50 stalled readers may cost: an outbox of 1 MiB each, and 10 MB for the rest.
const STALLED_MAY_COST: u64 = 60_000_000;

/// `readers` clients in the room and `others` more, each with a channel of its own into which 2 MiB are published within
/// 3 s; these read, or stand still.
async fn crowd(readers: usize, others: usize, stand_still: bool, config: &str) -> Crowd {
    let is_bounded = config.is_empty();
    let redis = RedisServer::start().expect("redis");
    let node = ready(&redis, "node", config);
    let (address, start, book) = (node.public_addr(), Instant::now(), Book::default());
    let own = |n: usize| [ROOM.to_owned(), format!("bulk:{n}")];
    let mut reading: Vec<Reader> =
        join_all((0..readers).map(|n| Reader::open(n, address, vec![ROOM.to_owned()], start))).await;
    let (wake, woken) = watch::channel(false);
    let mut standing = Vec::new();
    for n in 0..others {
        if !stand_still {
            reading.push(Reader::open(readers + n, address, own(n).to_vec(), start).await);
            continue;
        }
        let stream = dial_small(address).await.expect("it listens");
        let mut stream = plain(stream, &own(n)).await.expect("the door");
        let mut woken = woken.clone();
        standing.push(tokio::spawn(async move {
            woken.wait_for(|woken| *woken).await.expect("woken");
            last_words(&mut stream).await
        }));
    }
    let watch = Watch::start(&node, wake);
    let bulk = format!("\"{}\"", "x".repeat(64 << 10));
    let channels: Vec<String> = (0..others).map(|n| format!("bulk:{n}")).collect();
    let pouring = async {
        let mut backend = Backend::connect(&redis, &Book::default()).await;
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..32 {
            ticks.tick().await;
            backend.publish_raw(channels.iter().map(|channel| (channel.as_str(), bulk.as_str()))).await;
        }
    };
    let seconds = Duration::from_secs(if full() { 15 } else { 4 });
    tokio::join!(talk(&redis, &book, start, 100, seconds), pouring);
    until_heard(&reading, &book).await;
    let grown = watch.grown();
    let mut codes = Vec::new();
    if is_bounded {
        codes = join_all(standing).await.into_iter().map(|code| code.expect("it ran")).collect();
    } else {
        standing.iter().for_each(JoinHandle::abort); // nobody closes them now that they read
    }
    let slow = || admin::metric(&node, "tidegate_connections_closed_total{door=\"plain\",reason=\"slow\"}");
    if stand_still && is_bounded {
        eventually(PATIENCE, "those who stood still are counted", || slow() == others as u64);
        assert_eq!(node.log().matches("their clients read too slowly").count(), 1, "{}", node.log());
    }
    let (faults, delays) = judge(&reading, &book);
    Crowd { grown, faults, delays, slow: slow(), codes }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_that_stand_still_among_five_hundred_cost_their_outboxes_and_nobody_else_anything() {
    let none = crowd(450, 50, false, "").await;
    let some = crowd(450, 50, true, "").await;
    let told = tally(some.codes.iter().map(|code| code.unwrap_or(0)));
    for (what, crowd) in [("all read", &none), ("50 stand still", &some)] {
        say(&format!(
            "stalled readers, {what}: node's memory +{}; delivery to the others p50 {} µs, p99 {} µs; closed as slow: {}; {}",
            mib(crowd.grown),
            crowd.delays[0],
            crowd.delays[1],
            crowd.slow,
            crowd.faults
        ));
    }
    say(&format!(
        "stalled readers: what they read when they woke, by code of the close (0: none in time): {told:?}"
    ));
    assert!(none.faults.none() && some.faults.none(), "{} {}", none.faults, some.faults);
    assert!(some.grown <= STALLED_MAY_COST, "{}", some.grown);
    assert_eq!((none.slow, some.slow), (0, 50));
    assert!(told.contains_key(&4100) && told.keys().all(|code| [0, 4100].contains(code)), "{told:?}");

    // Control: outboxes without a bound worth the name.
    let unbounded = "[limits]\noutbox = \"1GiB\"\noutbox_entries = 1000000\n";
    let control = crowd(20, 50, true, unbounded).await;
    say(&format!("stalled readers, control: with outboxes of 1 GiB node's memory +{}", mib(control.grown)));
    assert!(control.grown > STALLED_MAY_COST, "{}", control.grown);
}

/// The channel of the flood.
const FLOOD: &str = "flood:1";

/// Every event of the flood is as long as every other: `{"n":00000001,"pad":"xxx…"}`, 1 KiB of it.
fn drop_of_flood(number: u64) -> String {
    format!(r#"{{"n":{number:08},"pad":"{}"}}"#, "x".repeat(1024 - 23))
}

/// Bytes of one as a frame: four of header.
const DROP: usize = 1024 + 4;

/// A client of the flooded channel that reads as fast as it can, and comes back when it is closed.
struct Swimmer {
    heard: Arc<AtomicU64>,
    closes: Arc<Mutex<Vec<Option<u16>>>>,
    task: JoinHandle<()>,
}

impl Drop for Swimmer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Swimmer {
    /// `stroke`: how much it reads at once, and how long it rests then.
    async fn open(address: SocketAddr, small: bool, stroke: (usize, Duration)) -> Self {
        let (heard, closes) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (to_heard, to_closes) = (Arc::clone(&heard), Arc::clone(&closes));
        let mut dived = dive(address, small).await;
        let task = tokio::spawn(async move {
            loop {
                let code = swim(dived, &to_heard, stroke).await;
                to_closes.lock().expect("whole").push(code);
                dived = dive(address, small).await;
            }
        });
        Self { heard, closes, task }
    }

    fn closes(&self) -> Vec<Option<u16>> {
        self.closes.lock().expect("whole").clone()
    }
}

/// Opens the plain door; what was read behind the answer belongs to the flood.
async fn dive(address: SocketAddr, small: bool) -> (TcpStream, BytesMut) {
    let stream = if small { dial_small(address).await } else { TcpStream::connect(address).await };
    let mut stream = stream.expect("it listens");
    let request = format!("GET /plain?channel={FLOOD} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = BytesMut::new();
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await.expect("in time");
        assert!(read.expect("read") > 0, "closed: {bytes:?}");
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            assert!(bytes.starts_with(b"HTTP/1.1 101 "), "{bytes:?}");
            bytes.advance(end + 4);
            return (stream, bytes);
        }
    }
}

/// Reads to the end; no more work for a frame than a look at its number, so that it is not the test that is slow.
/// Numbers only rise: what was dropped is a hole, never a jump back.
async fn swim(dived: (TcpStream, BytesMut), heard: &AtomicU64, stroke: (usize, Duration)) -> Option<u16> {
    let ((mut stream, mut bytes), (most, rest), mut highest) = (dived, stroke, 0);
    loop {
        while bytes.len() >= DROP && bytes[..2] == [0x81, 126] {
            let number = std::str::from_utf8(&bytes[9..17]).expect("ASCII").parse().expect("a number");
            assert!(number > highest, "{number} after {highest}");
            highest = number;
            bytes.advance(DROP);
            heard.fetch_add(1, Ordering::Relaxed);
        }
        bytes.reserve(most);
        let Ok(1..) = (&mut stream).take(most as u64).read_buf(&mut bytes).await else { break };
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
    // What is no event is the close: two bytes of header, the code, the reason.
    (bytes.len() >= 4 && bytes[0] == 0x88).then(|| u16::from_be_bytes([bytes[2], bytes[3]]))
}

/// What a flood did.
#[derive(Debug)]
struct Flooded {
    grown: u64,
    published: u64,
    received: u64,
    queue_full: u64,
    slow_events: u64,
    /// Swimmers that were never closed, and whether each heard all that was not dropped.
    whole: usize,
    whole_heard: bool,
    codes: Vec<Option<u16>>,
    reconnects: u64,
    redis_peak: u64,
    flooding: Duration,
}

/// Clients of the flooded node: some read as fast as they can, some 80 KB a second, as on a bad telephone.
const SWIMMERS: usize = 12;
const SINKING: usize = 16;
/// What a flood may cost: a lane's queue, an outbox for each client, and 32 MiB for Redis' bytes on their way, a batch
/// and its frames, and what the allocator keeps.
const FLOOD_MAY_COST: u64 = (64 + (SWIMMERS + SINKING) as u64 + 32) << 20;

async fn flood(node: &Node, redis: &RedisServer, count: u64, is_bounded: bool) -> Flooded {
    let address = node.public_addr();
    let fast = (1 << 20, Duration::ZERO);
    let swimmers = join_all((0..SWIMMERS).map(|_| Swimmer::open(address, false, fast))).await;
    let slowly = (8192, Duration::from_millis(100));
    let sinking = join_all((0..SINKING).map(|_| Swimmer::open(address, true, slowly))).await;
    let watch = Watch::start(node, watch::channel(false).0);

    let metric = |line: &str| admin::metric(node, line);
    let start = Instant::now();
    let mut backend = Backend::connect(redis, &Book::default()).await;
    let mut published = 0;
    while published < count {
        let batch: Vec<String> = (1..=200).map(|n| drop_of_flood(published + n)).collect();
        backend.publish_raw(batch.iter().map(|payload| (FLOOD, payload.as_str()))).await;
        published += 200;
    }
    let flooding = start.elapsed();
    // Whatever waits is worked off when all that was published was either taken or dropped.
    let received = || metric("tidegate_events_received_total{source=\"redis\"}");
    let queue_full = || metric("tidegate_events_dropped_total{reason=\"queue_full\"}");
    let settled = async || received() + queue_full() >= published;
    eventually_async(PATIENCE * 3, "every event was taken or counted as dropped", settled).await;
    let grown = watch.grown();

    let dropped = queue_full();
    let whole: Vec<&Swimmer> = swimmers.iter().filter(|swimmer| swimmer.closes().is_empty()).collect();
    let all = || whole.iter().all(|s| s.heard.load(Ordering::Relaxed) == published - dropped);
    let since = Instant::now();
    while !all() && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let info = redis.cli(&["INFO", "memory"]).expect("it answers");
    let peak = info.lines().find_map(|line| line.strip_prefix("used_memory_peak:")?.trim().parse().ok());
    let flooded = Flooded {
        grown,
        published,
        received: received(),
        queue_full: dropped,
        slow_events: metric("tidegate_events_dropped_total{reason=\"slow\"}"),
        whole: whole.len(),
        whole_heard: all(),
        codes: Vec::new(),
        reconnects: metric("tidegate_redis_reconnects_total{shard=\"0\"}"),
        redis_peak: peak.expect("a figure"),
        flooding,
    };
    if is_bounded {
        let told = async || sinking.iter().all(|swimmer| !swimmer.closes().is_empty());
        eventually_async(PATIENCE, "who cannot keep up is closed", told).await;
    }
    Flooded { codes: swimmers.iter().chain(&sinking).flat_map(Swimmer::closes).collect(), ..flooded }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_above_what_clients_can_take_is_bounded_counted_and_said() {
    let count = if full() { 400_000 } else { 150_000 };
    let redis = RedisServer::start().expect("redis");
    // As docs/redis.md has it: on a busy machine the stock limit is a few hundred milliseconds of this flood.
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 128mb 32mb 30"];
    redis.cli(&limit).expect("set");
    let (node, calm) = (ready(&redis, "flooded", ""), ready(&redis, "calm", ""));
    let (start, book) = (Instant::now(), Book::default());
    let readers: Vec<Reader> =
        join_all((0..20).map(|n| Reader::open(n, calm.public_addr(), vec![ROOM.to_owned()], start))).await;
    let seconds = Duration::from_secs(if full() { 20 } else { 5 });
    let (flooded, ()) =
        tokio::join!(flood(&node, &redis, count, true), talk(&redis, &book, start, 50, seconds));
    until_heard(&readers, &book).await;
    let (faults, delays) = judge(&readers, &book);
    say(&format!(
        "flood of {} × 1 KiB in {:.1?}: node's memory +{} (bound +{}); {} taken, {} dropped as queue_full, {} for slow clients; \
         {} closed as slow; {} of {SWIMMERS} readers never closed, heard all the rest: {}; Redis' memory at most {}, {} reconnects",
        flooded.published,
        flooded.flooding,
        mib(flooded.grown),
        mib(FLOOD_MAY_COST),
        flooded.received,
        flooded.queue_full,
        flooded.slow_events,
        flooded.codes.len(),
        flooded.whole,
        flooded.whole_heard,
        mib(flooded.redis_peak),
        flooded.reconnects,
    ));
    say(&format!("flood, the other node: {faults}; delivery p50 {} µs, p99 {} µs", delays[0], delays[1]));
    assert!(faults.none(), "{faults}");
    assert!(flooded.grown <= FLOOD_MAY_COST, "{flooded:?}");
    assert_eq!(
        flooded.received + flooded.queue_full,
        flooded.published,
        "every event is accounted for: {flooded:?}"
    );
    assert!(flooded.whole_heard && flooded.slow_events > 0, "{flooded:?}");
    // Who did not read fast enough to hear why in 5 s was cut; nobody hears another reason.
    assert!(flooded.codes.contains(&Some(4100)), "{flooded:?}");
    assert!(flooded.codes.iter().all(|code| [None, Some(4100)].contains(code)), "{flooded:?}");
    assert_eq!(flooded.reconnects + admin::metric(&calm, "tidegate_redis_reconnects_total{shard=\"0\"}"), 0);
    assert!(flooded.redis_peak < 130 << 20, "{flooded:?}");
    let log = node.log();
    assert_eq!(log.matches("events dropped").count(), usize::from(flooded.queue_full > 0), "{log}");
    assert!(log.contains("their clients read too slowly"), "{log}");
    assert!(
        log.lines().count() < 20,
        "a flood of events is no flood of lines: {} lines",
        log.lines().count()
    );

    // Control: outboxes without a bound worth the name.
    drop(node);
    let unbounded = "[limits]\noutbox = \"4GiB\"\noutbox_entries = 100000000\n";
    let control = flood(&ready(&redis, "unbounded", unbounded), &redis, count, false).await;
    say(&format!("flood, control: with outboxes of 4 GiB node's memory +{}", mib(control.grown)));
    assert!(control.grown > FLOOD_MAY_COST, "{control:?}");
}
