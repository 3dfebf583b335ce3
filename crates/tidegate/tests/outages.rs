//! Redis goes away under traffic and comes back: frozen, killed, behind a link that swallows everything, behind one that is
//! cut. Beside the node, subscribers as redis-rs makes them easy go through the same; the same checker judges them.

#[path = "outages/asking.rs"]
mod asking;
#[path = "outages/naive.rs"]
mod naive;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use asking::{Answer, Raw, get, open_bare};
use futures_util::future::join_all;
use naive::Naive;
use serde_json::Value;
use support::backend::{Backend, Book};
use support::listener::{Door, Habit, Listener};
use support::{BINARY, PATIENCE, admin, full, say};
use tidegate_testkit::checker::{Entry, Faults, Log};
use tidegate_testkit::proxy::{Cut, Fault, Proxy, Way, all, feed};
use tidegate_testkit::{Node, RedisServer, eventually, eventually_async};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Readiness is honest so soon.
const UNREADY: Duration = Duration::from_secs(1);
/// Whoever asks is answered so soon, whatever has happened.
const ANSWERED: Duration = Duration::from_secs(2);
/// Everything goes on so soon after the return.
const BACK: Duration = Duration::from_secs(3);
/// What a frozen machine may add to an answer that takes no time.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Events a second from the backend.
const RATE: u32 = 300;
/// Events that were on their way when Redis went: a third of a second of them.
const IN_FLIGHT: usize = RATE as usize / 3;

fn outage() -> Duration {
    Duration::from_secs(if full() { 30 } else { 6 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_frozen() {
    // Its sockets look healthy; only its silence tells.
    let control = through("Redis frozen", |r, _| r.process().freeze(), |r, _| r.process().thaw()).await;
    // What was sent to it arrives after all, so the naive lose nothing: they only never know.
    assert_eq!((control.stream.noticed, control.manager.noticed), (None, None));
    let almost = outage() - Duration::from_millis(500);
    assert!(control.slowest_publish >= almost, "{:?}", control.slowest_publish);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed() {
    let back = |redis: &mut RedisServer, _: &Proxy| redis.start_again().expect("redis");
    let control = through("Redis killed", |redis, _| redis.stop(), back).await;
    assert!(control.stream.faults.lost > 0, "the stream has ended");
    assert!(!full() || control.manager.faults.lost > 0, "it gave up after six attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_to_redis_swallows_everything() {
    let go = |_: &mut RedisServer, proxy: &Proxy| proxy.set(all, Fault::Swallow(Way::Both));
    let control = through("link blackholed", go, |_, proxy| proxy.heal()).await;
    assert!(control.stream.faults.lost > 0 && control.stream.noticed.is_none(), "deaf for ever");
    assert!(control.manager.faults.lost > 0 && control.manager.noticed.is_none(), "deaf for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_to_redis_is_cut_and_refused() {
    let go = |_: &mut RedisServer, proxy: &Proxy| {
        proxy.refuse();
        assert!(proxy.cut(all, Cut::Reset) >= 4, "feed, publisher, and the two naive ones");
    };
    let control = through("link cut", go, |_, proxy| proxy.heal()).await;
    assert!(control.stream.faults.lost > 0, "the stream has ended");
    assert!(!full() || control.manager.faults.lost > 0, "it gave up after six attempts");
}

/// What became of the naive.
struct Control {
    stream: Judged,
    manager: Judged,
    /// The longest that a publisher without a deadline waited.
    slowest_publish: Duration,
}

struct Judged {
    faults: Faults,
    /// How long after the fault it learned of it.
    noticed: Option<Duration>,
}

/// One outage, from before to after.
async fn through(
    what: &str,
    go: impl Fn(&mut RedisServer, &Proxy),
    come: impl Fn(&mut RedisServer, &Proxy),
) -> Control {
    let mut redis = RedisServer::start().expect("redis");
    let proxy = Proxy::start(redis.port());
    let config = "[namespaces.default]\npublish = \"anyone\"\n";
    let node = Node::builder(BINARY).redis(&proxy.redis_url()).config(config).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);

    let book = Book::default();
    let rooms: Vec<String> = (0..5).map(|n| format!("room:{n}")).collect();
    let (busy, idle) = clients(&node, &rooms, &book).await;
    let mut native = Raw::native(&node).await;
    let mut plain = Raw::plain(&node, "own:plain").await;
    let stream = Naive::stream(&proxy.redis_url(), &rooms, &book).await;
    let manager = Naive::manager(&proxy.redis_url(), &rooms, &book).await;

    let traffic = Traffic::start(&redis, &rooms, Duration::from_secs(1) * 5 / RATE, &book);
    let ready = asking::watch_ready(&node, &book);
    let http = asking::publish_http(&node, "http:0", &book);
    let heard = |listener: &Listener| listener.count(|_| true);
    eventually_async(PATIENCE, "events flow", async || busy.iter().all(|l| heard(l) > 50)).await;
    assert!(idle.iter().all(|listener| heard(listener) == 0), "nobody publishes there yet");

    let place = || book.lock().expect("whole").count();
    let before = place().saturating_sub(IN_FLIGHT);
    let gone = Instant::now();
    block_in_place(|| go(&mut redis, &proxy));

    // Asked at the very moment, when nobody can know yet, and again when it is known.
    let mut slowest = ask_everything(&node, &mut native, &mut plain, "first").await;
    slowest = slowest.max(ask_everything(&node, &mut native, &mut plain, "second").await);
    sleep(outage().saturating_sub(gone.elapsed() + Duration::from_secs(1))).await;
    let late = ask_everything(&node, &mut native, &mut plain, "third").await;
    sleep(outage().saturating_sub(gone.elapsed())).await;
    let had: Vec<usize> = busy.iter().chain(&idle).map(heard).collect();

    let returning = Instant::now();
    block_in_place(|| come(&mut redis, &proxy));
    let returned = Instant::now();
    let quiet: Vec<String> = idle.iter().flat_map(|listener| listener.log().channels).collect();
    let quiet = Traffic::start(&redis, &quiet, Duration::from_millis(50), &book);
    eventually_async(PATIENCE, "every client hears again", async || {
        busy.iter().chain(&idle).zip(&had).all(|(listener, had)| heard(listener) > *had)
    })
    .await;
    let back = returned.elapsed();
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    let ready_again = returned.elapsed();
    sleep(Duration::from_secs(1)).await; // some more of all that goes on
    quiet.stop().await;
    let (ready, http) = block_in_place(|| (ready.stop(), http.stop()));
    let slowest_publish = traffic.stop().await;
    works_again(&node, &mut native, &mut plain).await;

    // Who has heard the last of each channel has heard all it will.
    let everywhere = || busy.iter().chain(&idle).flat_map(|listener| listener.log().channels);
    let channels: std::collections::BTreeSet<String> = everywhere().collect();
    Backend::connect(&redis, &book).await.publish(&channels).await;
    eventually_async(PATIENCE, "every client has heard the last event", async || {
        busy.iter().chain(&idle).all(|listener| listener.is_done(&book))
    })
    .await;

    // Readiness: soon, honest in between, and only when all is subscribed again.
    let unready = ready.iter().position(|(answer, _)| answer.status == 503 && answer.asked >= gone);
    let unready = unready.expect("it was not ready");
    let not_ready_after = (ready[unready].0.asked + ready[unready].0.took).duration_since(gone);
    assert!(not_ready_after <= UNREADY, "not ready after {not_ready_after:?}");
    let after = &ready[unready..];
    let during = after.iter().take_while(|(answer, _)| answer.asked + answer.took < returning);
    for (answer, _) in during {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.text.contains(r#""reason":"the broker is not heard""#), "{}", answer.text);
    }
    let (_, ready_place) = after.iter().find(|(answer, _)| answer.status == 200).expect("ready again");
    let asks = times(ready.iter().map(|(answer, _)| answer));
    assert!(asks.median <= AT_ONCE, "/health/ready answers at once: {:?}", asks.median);

    // Publishing over HTTP: in time, and 200 is true.
    let refused = check_http(&http);
    assert!(refused > 0 && slowest.max(late) <= ANSWERED, "{slowest:?} {late:?}");
    assert!(back <= BACK && ready_again <= BACK, "heard {back:?}, ready {ready_again:?} after the return");
    let told: Vec<usize> = http.iter().filter(|(a, _)| a.status == 200).map(|(_, place)| *place).collect();
    let excused = |place: &usize| !told.contains(place);
    let false_word = http.iter().rev().find(|(answer, _)| answer.status == 503).map(|(_, place)| *place);
    let mut believed = book.lock().expect("whole").clone();
    believed.excuse((before..*ready_place).filter(|place| excused(place) && Some(*place) != false_word));
    book.lock().expect("whole").excuse((before..*ready_place).filter(excused));
    let logs: Vec<Log> = busy.iter().chain(&idle).map(Listener::log).collect();
    let stayed =
        |log: &&Log| !log.entries.iter().any(|entry| matches!(entry, Entry::Away | Entry::Back { .. }));
    let faults = book.lock().expect("whole").check(&logs);
    let sockets = logs.iter().filter(stayed).count();
    let http_times = times(http.iter().map(|(answer, _)| answer));
    say(&format!(
        "{what} for {}s: {sockets} of {} sockets stayed; not ready after {not_ready_after:.0?}, ready again {ready_again:.0?} \
         and all hear {back:.0?} after the return; asked meanwhile {} times, answered in {:.1?} (median), {:.0?} (longest); \
         HTTP publish: {} times 200, {refused} times 503, longest {:.2?}; subscribe, publish, open: refused within {:.2?}, \
         later within {late:.2?}; {faults}",
        outage().as_secs(),
        logs.len(),
        ready.len(),
        asks.median,
        asks.longest,
        told.len(),
        http_times.longest,
        slowest,
    ));
    assert_eq!(sockets, logs.len(), "every socket stays");
    assert!(faults.none(), "{faults}");

    // The last refusal, taken for a 200: nobody has heard that event.
    let found = believed.check(&logs);
    say(&format!("{what}, control: one refused publish taken for a 200: lost {}", found.lost));
    assert_eq!(found.lost, busy.len(), "{found}");

    // The naive, by the same checker: what was published after the node was ready again is due to them too.
    let judge = |naive: &Naive| {
        let noticed = naive.noticed().map(|at| at.saturating_duration_since(gone));
        Judged { faults: book.lock().expect("whole").check([&naive.log()]), noticed }
    };
    let control = Control { stream: judge(&stream), manager: judge(&manager), slowest_publish };
    for (name, judged) in [("PubSub stream", &control.stream), ("ConnectionManager", &control.manager)] {
        let noticed = judged.noticed.map_or("never noticed".to_owned(), |t| format!("noticed after {t:.0?}"));
        say(&format!("{what}, control: redis-rs {name}: {noticed}, lost {}", judged.faults.lost));
    }
    say(&format!("{what}, control: a PUBLISH without a deadline waited {:.1?}", control.slowest_publish));
    control
}

/// Clients of every door: some hear traffic, some sit in channels where nothing happens.
async fn clients(node: &Node, rooms: &[String], book: &Book) -> (Vec<Listener>, Vec<Listener>) {
    let open = |name: String, n: usize, channels: Vec<String>| {
        let (address, book) = (node.public_addr(), Arc::clone(book));
        async move {
            let (door, habit) = (Door::ALL[n % Door::ALL.len()], Habit::ComesBack);
            Listener::open(&name, door, habit, address, &channels, &book).await
        }
    };
    let busy = (0..20).map(|n| {
        let mine = vec![rooms[n % rooms.len()].clone(), "http:0".to_owned()];
        open(format!("busy {n}"), n, mine)
    });
    let idle = (0..20).map(|n| {
        let mine = (0..10).map(|k| format!("quiet:{n}-{k}")).collect();
        open(format!("idle {n}"), n, mine)
    });
    (join_all(busy).await, join_all(idle).await)
}

/// A backend that publishes one event into each of its channels again and again, straight to Redis and without a deadline,
/// and connects again when it must.
struct Traffic {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Duration>,
}

impl Traffic {
    fn start(redis: &RedisServer, channels: &[String], every: Duration, book: &Book) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, channels, book) = (Arc::clone(&stop), channels.to_vec(), Arc::clone(book));
        let port = redis.port();
        let task = tokio::spawn(async move {
            let mut backend = None;
            let mut slowest = Duration::ZERO;
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let Some(there) = &mut backend else {
                    backend = Backend::try_connect(port, &book).await.ok();
                    continue;
                };
                let since = Instant::now();
                if there.try_publish(&channels).await.is_err() {
                    backend = None;
                }
                slowest = slowest.max(since.elapsed());
            }
            slowest
        });
        Self { stop, task }
    }

    /// How long its longest publish took.
    async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it ran")
    }
}

/// Everything a client may ask while Redis is away; returns how long the slowest answer took.
async fn ask_everything(node: &Node, native: &mut Raw, plain: &mut Raw, when: &str) -> Duration {
    let public = node.public_addr();
    let bare = |path: String| tokio::task::spawn_blocking(move || open_bare(public, &path));
    let (by_plain, by_sse) = (
        bare(format!("/plain?channel=new:{when}-plain&channel=room:0")),
        bare(format!("/sse?channel=new:{when}-sse")),
    );
    let newcomer = async {
        let since = Instant::now();
        let mut newcomer = Raw::native(node).await;
        let connected = since.elapsed();
        let (answer, took) = newcomer.ask(&format!(r#""type":"subscribe","channel":"new:{when}""#)).await;
        expect_unavailable(&answer);
        connected.max(took)
    };
    let old = async {
        let (answer, subscribe) = native.ask(&format!(r#""type":"subscribe","channel":"own:{when}""#)).await;
        expect_unavailable(&answer);
        let (answer, publish) = native.ask(r#""type":"publish","channel":"own:x","data":1"#).await;
        expect_unavailable(&answer);
        subscribe.max(publish)
    };
    // Nobody answers a plain client; that it is still there is seen at the end.
    plain.say(&format!(r#""{when}""#)).await;
    let (newcomer, old) = tokio::join!(newcomer, old);
    let mut slowest = newcomer.max(old);
    for answer in [by_plain.await, by_sse.await] {
        let answer = answer.expect("it ran");
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.retry_after(), "{}", answer.text);
        slowest = slowest.max(answer.took);
    }
    assert_eq!(get(node.admin_addr(), "/health/live").status, 200);
    slowest
}

fn expect_unavailable(answer: &Value) {
    assert_eq!((&answer["code"], &answer["retry"]), (&"unavailable".into(), &true.into()), "{answer}");
}

/// The very sockets that were refused before get what they ask for.
async fn works_again(node: &Node, native: &mut Raw, plain: &mut Raw) {
    let (answer, _) = native.ask(r#""type":"subscribe","channel":"own:again""#).await;
    assert_eq!(answer["type"], "subscribed", "{answer}");
    let (answer, _) = native.ask(r#""type":"publish","channel":"own:again","data":1"#).await;
    assert_eq!(answer["type"], "ok", "{answer}");
    plain.say(r#""again""#).await;
    // What it said in the outage may have been late only: unavailable means unknown.
    while plain.hear().await != r#""again""# {}
    assert!(
        admin::metric(node, r#"tidegate_errors_total{code="unavailable"}"#) >= 3,
        "lost words are counted"
    );
}

/// Every answer came in time and says what it must; returns how many were refusals.
fn check_http(answers: &[(Answer, usize)]) -> usize {
    for (answer, _) in answers {
        assert!(answer.took <= ANSWERED, "{:?}: {}", answer.took, answer.text);
        match answer.status {
            200 => {}
            503 => {
                assert!(answer.retry_after(), "{}", answer.text);
                assert!(answer.text.contains(r#""code":"unavailable""#), "{}", answer.text);
            }
            _ => panic!("{}", answer.text),
        }
    }
    answers.iter().filter(|(answer, _)| answer.status == 503).count()
}

struct Times {
    median: Duration,
    longest: Duration,
}

fn times<'a>(answers: impl Iterator<Item = &'a Answer>) -> Times {
    let mut all: Vec<Duration> = answers.map(|answer| answer.took).collect();
    all.sort();
    Times { median: all[all.len() / 2], longest: all[all.len() - 1] }
}

/// Only the feed is deaf: publishing would work, and who published would believe that it was heard here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_feed_alone_is_known_within_a_second_and_replaced() {
    let redis = RedisServer::start().expect("redis");
    let proxy = Proxy::start(redis.port());
    let node = Node::builder(BINARY).redis(&proxy.redis_url()).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    let book = Book::default();
    let (address, channels) = (node.public_addr(), ["http:0".to_owned()]);
    let opening =
        Door::ALL.map(|door| Listener::open("one", door, Habit::ComesBack, address, &channels, &book));
    let listeners = join_all(opening).await;
    let ready = asking::watch_ready(&node, &book);
    let http = asking::publish_http(&node, "http:0", &book);
    let heard = |listener: &Listener| listener.count(|_| true);
    eventually_async(PATIENCE, "events flow", async || listeners.iter().all(|l| heard(l) > 10)).await;
    assert_eq!(proxy.open(feed), 1);

    let gone = Instant::now();
    proxy.set(feed, Fault::Swallow(Way::ToClient));
    eventually_async(PATIENCE, "not ready", async || admin::get(&node, "/health/ready").0 == 503).await;
    let had: Vec<usize> = listeners.iter().map(heard).collect();
    proxy.heal();
    eventually_async(PATIENCE, "heard again", async || {
        listeners.iter().zip(&had).all(|(l, had)| heard(l) > *had)
    })
    .await;
    eventually_async(PATIENCE, "ready", async || admin::get(&node, "/health/ready").0 == 200).await;
    let back = gone.elapsed();
    let (ready, http) = block_in_place(|| (ready.stop(), http.stop()));
    check_http(&http);
    let (unready, _) = ready.iter().find(|(a, _)| a.asked >= gone && a.status == 503).expect("not ready");
    let known = (unready.asked + unready.took).duration_since(gone);
    assert!(known <= UNREADY, "{known:?}");

    Backend::connect(&redis, &book).await.publish(&channels).await;
    let done = async || listeners.iter().all(|listener| listener.is_done(&book));
    eventually_async(PATIENCE, "the last event is heard", done).await;
    // Until it is known nobody can help it; from then on what is said to be published is heard.
    let unknown = |answer: &Answer| answer.asked + answer.took >= gone && answer.asked <= gone + known;
    let places = |which: &dyn Fn(&Answer) -> bool| -> Vec<usize> {
        http.iter().filter(|(answer, _)| which(answer)).map(|(_, place)| *place).collect()
    };
    let believed = http.iter().filter(|(a, _)| a.status == 200 && unknown(a)).count();
    let mut without_refusing = book.lock().expect("whole").clone();
    without_refusing.excuse(places(&unknown));
    book.lock().expect("whole").excuse(places(&|answer| answer.status == 503 || unknown(answer)));
    let logs: Vec<Log> = listeners.iter().map(Listener::log).collect();
    let faults = book.lock().expect("whole").check(&logs);
    assert!(!logs.iter().any(|log| log.entries.contains(&Entry::Away)), "every socket stays");
    say(&format!(
        "feed deaf: not ready after {known:.0?}, replaced and ready again {back:.1?} after it; {believed} publishes said 200 \
         before it was known; afterwards {faults}"
    ));
    assert!(faults.none(), "{faults}");
    let found = without_refusing.check(&logs);
    say(&format!("feed deaf, control: every refused publish taken for a 200: lost {}", found.lost));
    assert!(found.lost > 0, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_started_without_its_redis_runs_and_never_gives_up() {
    let mut redis = RedisServer::start().expect("redis");
    redis.stop();
    let proxy = Proxy::start(redis.port());
    let node = Node::builder(BINARY).redis(&proxy.redis_url()).start().expect("it runs all the same");
    assert_eq!(get(node.admin_addr(), "/health/live").status, 200);
    let ready = get(node.admin_addr(), "/health/ready");
    assert!(ready.status == 503 && ready.text.contains("the broker is not heard"), "{}", ready.text);
    expect_unavailable(&Raw::native(&node).await.ask(r#""type":"subscribe","channel":"a""#).await.0);

    // The control, with a proxy of its own so that its attempts are its own: redis-rs' own way, as it comes.
    let control = Proxy::start(redis.port());
    let client = redis::Client::open(control.redis_url()).expect("an address");
    let trying = tokio::spawn(async move {
        let since = Instant::now();
        let outcome = redis::aio::ConnectionManager::new(client).await;
        (outcome.err(), since.elapsed())
    });

    let since = Instant::now();
    let (mut last, mut attempts, mut pause) = (Instant::now(), proxy.counts().accepted, Duration::ZERO);
    while since.elapsed() < outage() || !trying.is_finished() {
        let now = proxy.counts().accepted;
        if now != attempts {
            pause = pause.max(last.elapsed());
            (last, attempts) = (Instant::now(), now);
        }
        assert!(since.elapsed() < PATIENCE * 3, "the control tries for ever?");
        sleep(Duration::from_millis(5)).await;
    }
    let waited = since.elapsed();
    let (error, gave_up) = trying.await.expect("it ran");
    block_in_place(|| redis.start_again().expect("redis"));
    let returned = Instant::now();
    eventually_async(BACK, "it is ready", async || get(node.admin_addr(), "/health/ready").status == 200)
        .await;
    say(&format!(
        "started without Redis: {attempts} attempts in {waited:.1?}, at most {pause:.2?} between two; ready {:.0?} after Redis came",
        returned.elapsed()
    ));
    let error = error.expect("it has given up");
    say(&format!(
        "started without Redis, control: redis-rs ConnectionManager: {} attempts, gave up after {gave_up:.1?}: {error}",
        control.counts().accepted
    ));
    // Two connections, each at most a second apart; half a second for a busy machine.
    assert!(pause <= Duration::from_millis(1500), "{pause:?}");
}

#[test]
fn what_redis_refuses_to_publish_is_told_in_the_log_once_a_minute() {
    let redis = RedisServer::start().expect("redis");
    let rights = ["ACL", "SETUSER", "node", "on", ">secret", "~*", "resetchannels", "&tg:{ok*", "+@all"];
    redis.cli(&rights).expect("redis-cli");
    let url = redis.url().replace("//", "//node:secret@");
    let node = Node::builder(BINARY).redis(&url).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || admin::get(&node, "/health/ready").0 == 200);
    assert_eq!(admin::publish(node.admin_addr(), "ok", "1").0, 200);
    for _ in 0..5 {
        let (status, body) = admin::publish(node.admin_addr(), "forbidden", "1");
        assert!(status == 500 && body.contains(r#""code":"internal""#), "{body}");
    }
    let log = node.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("the broker refuses events")).collect();
    assert!(matches!(&lines[..], [line] if line.contains("NOPERM")), "{log}");
}
