//! What the function library promises through restarts, evictions, demotions and moving slots. Against real
//! servers; the naive script beside it, which gives positions twice.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Value;
use support::cluster::{MAX_EVENT, history};
use support::{Node, PATIENCE, event, name};
use tidegate_broker::{
    Appended, Durable, EventQueue, History, HistoryError, HistorySettings, LogRules, News, Query,
    QueueLimits, Read, RedisBroker, RedisSettings, Shard, Since, Topology,
};
use tidegate_core::{Epoch, Event, Position};
use tidegate_protocol::Envelope;
use tidegate_testkit::{RedisCluster, RedisServer, eventually_async, say};

type RedisNode = Node<RedisBroker>;

fn redis() -> RedisServer {
    RedisServer::start().expect("redis-server")
}

async fn node_of(topology: Topology, rules: &HistorySettings, shards: usize) -> RedisNode {
    let start = async |lanes: Vec<Arc<EventQueue>>| {
        RedisBroker::with_history(&topology.into(), rules, lanes).expect("valid addresses")
    };
    Node::start(1, QueueLimits::default(), shards, start).await
}

async fn start(server: &RedisServer) -> RedisNode {
    node_of(Topology::Standalone(server.url()), &history(), 1).await
}

fn durable(channel: &str, payload: impl Into<Bytes>) -> Durable {
    Durable { channel: name(channel), payload: payload.into(), key: None, from: None, replicated: false }
}

async fn append(node: &RedisNode, event: Durable) -> Result<Appended, HistoryError> {
    node.broker.append(vec![event]).await.remove(0)
}

async fn ask_to_read(node: &RedisNode, channel: &str, since: Since) -> Result<Option<Read>, HistoryError> {
    node.broker.read(vec![Query { channel: name(channel), since, count: 1000 }]).await.remove(0)
}

async fn found(node: &RedisNode, channel: &str, since: Since) -> Read {
    ask_to_read(node, channel, since).await.expect("answered").expect("an epoch")
}

fn after(epoch: Epoch, offset: u64) -> Since {
    Since::Position(Position { epoch, offset })
}

fn place(read: &Read) -> (u64, u64, Option<u64>, bool, bool) {
    (read.offset, read.start, read.end, read.lost, read.ahead)
}

fn texts(read: &Read) -> Vec<String> {
    read.events.iter().map(|event| event.payload.text().expect("text").to_owned()).collect()
}

/// Who was given which position: no position may name two events, whatever happens to servers.
#[derive(Default)]
struct Given {
    events: HashMap<Position, String>,
    twice: Vec<(Position, String, String)>,
}

impl Given {
    fn note(&mut self, position: Position, text: &str) {
        let named = self.events.entry(position).or_insert_with(|| text.to_owned());
        if named != text {
            self.twice.push((position, named.clone(), text.to_owned()));
        }
    }

    /// Appends until that works, and notes the position.
    async fn append(&mut self, node: &RedisNode, channel: &str, text: &str) -> Position {
        let mut given = None;
        eventually_async(PATIENCE, "an event is taken", async || {
            // A server that is back is not reached at once.
            given = append(node, durable(channel, text.to_owned())).await.ok();
            given.is_some()
        })
        .await;
        let position = given.and_then(|appended| appended.position).expect("a position");
        self.note(position, text);
        position
    }

    fn note_read(&mut self, read: &Read) {
        for event in &read.events {
            self.note(event.position.expect("a position"), event.payload.text().expect("text"));
        }
    }
}

/// Asks Redis behind the broker's back.
fn ask(server: &RedisServer, command: &mut redis::Cmd) -> Value {
    let client = redis::Client::open(server.url()).expect("an address");
    command.query(&mut client.get_connection().expect("connected")).expect("answered")
}

/// The text of the library that a server holds.
fn code(server: &RedisServer) -> String {
    fn longest(value: Value) -> String {
        match value {
            Value::BulkString(bytes) => String::from_utf8(bytes).expect("text"),
            Value::Array(values) => {
                values.into_iter().map(longest).max_by_key(String::len).unwrap_or_default()
            }
            _ => String::new(),
        }
    }
    longest(ask(server, redis::cmd("FUNCTION").arg("LIST").arg("WITHCODE")))
}

/// Makes a server go on with every history as if it had written it: what scripts do that keep a counter and
/// an epoch in a hash. Of a later version than ours, so that it stays.
fn load_naive(server: &RedisServer) {
    let code = code(server);
    let naive = code
        .replace("local FOLLOWS_LINEAGE = true", "local FOLLOWS_LINEAGE = false")
        .replace("CODE_VERSION, SETTINGS_REVISION = 3,", "CODE_VERSION, SETTINGS_REVISION = 999,");
    assert_eq!(naive.len(), code.len() + 3, "both places were found");
    ask(server, redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(naive));
}

/// Five events, a snapshot, three more, a crash; three others. Returns what was given, the last position
/// before the crash, and how many positions named two events.
async fn restart_from_a_snapshot(server: &mut RedisServer, node: &RedisNode) -> (Position, Given) {
    let mut given = Given::default();
    for n in 1..=5 {
        given.append(node, "log:a", &format!("old {n}")).await;
    }
    server.cli(&["SAVE"]).expect("saved");
    let mut last = None;
    for n in 6..=8 {
        last = Some(given.append(node, "log:a", &format!("old {n}")).await);
    }
    server.start_again().expect("redis-server");
    (last.expect("some"), given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_from_an_old_snapshot_starts_a_new_epoch() {
    let mut server = redis();
    let node = start(&server).await;
    let (last, mut given) = restart_from_a_snapshot(&mut server, &node).await;
    let mut ahead = None;
    eventually_async(PATIENCE, "Redis is back", async || {
        ahead = ask_to_read(&node, "log:a", Since::Position(last)).await.ok().flatten();
        ahead.is_some()
    })
    .await;
    let ahead = ahead.expect("some");
    assert_eq!(place(&ahead), (5, 8, Some(5), false, true), "nobody has numbered since");
    assert_eq!((ahead.epoch, ahead.events.len()), (last.epoch, 0));
    // Below what survived there is nothing to doubt.
    let known = found(&node, "log:a", after(last.epoch, 3)).await;
    assert_eq!((place(&known), texts(&known).len()), ((5, 3, Some(5), false, false), 2));

    let mut epoch = last.epoch;
    for n in 6..=8 {
        let position = given.append(&node, "log:a", &format!("new {n}")).await;
        assert_eq!(position.offset, n, "offsets go on");
        epoch = position.epoch;
    }
    assert!(epoch > last.epoch, "{epoch} after {}", last.epoch);
    for (offset, start) in [(8, 5), (6, 5), (5, 5), (4, 4), (0, 0), (u64::MAX >> 12, 5)] {
        let read = found(&node, "log:a", after(last.epoch, offset)).await;
        assert_eq!((read.epoch, place(&read)), (epoch, (8, start, Some(5), false, false)), "since {offset}");
        let old = (start + 1..=5).map(|n| format!("old {n}"));
        let all: Vec<String> = old.chain((6..=8).map(|n| format!("new {n}"))).collect();
        assert_eq!(texts(&read), all, "since {offset}");
        given.note_read(&read);
    }
    say(&format!("Redis back from an older snapshot: {} positions named two events", given.twice.len()));
    assert_eq!(given.twice, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_from_an_old_snapshot_control() {
    let mut server = redis();
    let node = start(&server).await;
    load_naive(&server);
    let (last, mut given) = restart_from_a_snapshot(&mut server, &node).await;
    for n in 6..=8 {
        given.append(&node, "log:a", &format!("new {n}")).await;
    }
    let read = found(&node, "log:a", Since::Position(last)).await;
    say(&format!(
        "Redis back from an older snapshot, control (the epoch is what the hash says): {} positions named \
         two events, a reader is told that it missed {} of 3",
        given.twice.len(),
        read.events.len()
    ));
    assert_eq!(given.twice.len(), 3, "the naive script gives positions twice");
    assert_eq!((read.lost, read.events.len()), (false, 0), "and tells nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_evicted_one_by_one_never_make_a_position_mean_two_events() {
    let server = redis();
    let node = start(&server).await;
    let mut given = Given::default();
    let mut former = Epoch::new(0, 0);
    for round in 0..3 {
        for n in 0..5 {
            former = given.append(&node, "log:a", &format!("{round} {n}")).await.epoch;
        }
        // The top alone: the log knows the rest.
        server.cli(&["DEL", "tg:{log:a}"]).expect("deleted");
        let known = found(&node, "log:a", after(former, round * 5 + 3)).await;
        assert_eq!(
            (place(&known), texts(&known).len()),
            ((round * 5 + 5, round * 5 + 3, Some(round * 5 + 5), false, false), 2)
        );
        let ahead = found(&node, "log:a", after(former, 100)).await;
        assert_eq!((ahead.start, ahead.ahead), (100, true), "nobody has numbered since");
    }
    let next = given.append(&node, "log:a", "after").await;
    assert!(next.epoch > former && next.offset == 16, "{next:?}");
    let all = found(&node, "log:a", after(former, 0)).await;
    assert_eq!((place(&all), all.events.len()), ((16, 0, Some(15), false, false), 16), "across all epochs");
    given.note_read(&all);

    // The log alone: numbers go on, who is not up to date is told.
    server.cli(&["DEL", "tg:{log:a}:log"]).expect("deleted");
    let lost = found(&node, "log:a", after(next.epoch, 10)).await;
    assert_eq!((place(&lost), lost.events.len()), ((16, 16, Some(16), true, false), 0));
    let same = found(&node, "log:a", Since::Position(next)).await;
    assert_eq!(place(&same), (16, 16, Some(16), false, false));
    let position = given.append(&node, "log:a", "after that").await;
    assert_eq!(position, Position { offset: 17, ..next });
    let read = found(&node, "log:a", after(next.epoch, 10)).await;
    assert_eq!(
        (place(&read), texts(&read)),
        ((17, 16, Some(17), true, false), vec!["after that".to_owned()])
    );

    // An entry in the middle, by hand: what follows has no hole.
    for n in 18..=20 {
        given.append(&node, "log:a", &n.to_string()).await;
    }
    server.cli(&["XDEL", "tg:{log:a}:log", &format!("{}-18", next.epoch)]).expect("deleted");
    let hole = found(&node, "log:a", after(next.epoch, 16)).await;
    assert_eq!(
        (place(&hole), texts(&hole)),
        ((20, 18, Some(20), true, false), vec!["19".to_owned(), "20".into()])
    );
    let beyond = found(&node, "log:a", after(next.epoch, 18)).await;
    assert_eq!((place(&beyond), beyond.events.len()), ((20, 18, Some(20), false, false), 2));
    server.cli(&["XDEL", "tg:{log:a}:log", &format!("{}-20", next.epoch)]).expect("deleted");
    let end = found(&node, "log:a", after(next.epoch, 18)).await;
    assert_eq!((place(&end), end.events.len()), ((20, 20, Some(20), true, false), 0), "the last is not held");
    // Even then the log remembers what it gave.
    server.cli(&["DEL", "tg:{log:a}"]).expect("deleted");
    assert_eq!(given.append(&node, "log:a", "21").await.offset, 21);

    // Both: another history.
    server.cli(&["DEL", "tg:{log:a}", "tg:{log:a}:log"]).expect("deleted");
    assert_eq!(ask_to_read(&node, "log:a", Since::Now).await, Ok(None));
    let other = given.append(&node, "log:a", "1").await;
    assert!(other.epoch > next.epoch && other.offset == 1, "{other:?}");
    let lost = found(&node, "log:a", after(next.epoch, 17)).await;
    assert_eq!(place(&lost), (1, 1, None, true, false));
    assert_eq!(given.twice, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_epochs_are_known_up_to_sixteen() {
    let server = redis();
    let node = start(&server).await;
    let mut given = Given::default();
    let mut epochs = Vec::new();
    for n in 1..=20 {
        epochs.push(given.append(&node, "log:a", &n.to_string()).await.epoch);
        // As if another server had numbered it.
        server.cli(&["HSET", "tg:{log:a}", "library", "another", "line", "another"]).expect("set");
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "each later than the one before: {epochs:?}");
    for (at, &epoch) in epochs.iter().enumerate() {
        let offset = at as u64 + 1;
        let read = found(&node, "log:a", after(epoch, 20)).await;
        let expected = match at {
            0..=2 => (20, 20, None, true, false),
            3..=18 => (20, offset, Some(offset), false, false),
            _ => (20, 20, Some(20), false, false),
        };
        assert_eq!(place(&read), expected, "epoch {at}");
        let expected: Vec<String> = (read.start + 1..=20).map(|n| n.to_string()).collect();
        assert_eq!(texts(&read), expected, "epoch {at}");
    }
    // Events of epochs that the chain has forgotten are still read, in order.
    let all = found(&node, "log:a", after(epochs[19], 0)).await;
    assert_eq!(texts(&all), (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
    // The log alone knows as many.
    server.cli(&["DEL", "tg:{log:a}"]).expect("deleted");
    assert_eq!(place(&found(&node, "log:a", after(epochs[3], 20)).await), (20, 4, Some(4), false, false));
    assert!(found(&node, "log:a", after(epochs[2], 20)).await.lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_the_library_gets_it_back() {
    let server = redis();
    let node = start(&server).await;
    let first = append(&node, durable("log:a", "1")).await.expect("appended").position.expect("some");
    let flush = || server.cli(&["FUNCTION", "FLUSH"]).expect("flushed");
    flush();
    let second = append(&node, durable("log:a", "2")).await.expect("appended").position;
    assert_eq!(second, Some(Position { offset: 2, ..first }), "the same server goes on, loaded anew");
    flush();
    assert_eq!(texts(&found(&node, "log:a", after(first.epoch, 0)).await), ["1", "2"]);
    flush();
    assert_eq!(node.broker.begin(vec![name("log:b")]).await, [Ok(())]);
    flush();
    // Many at once miss it at once.
    let mut appending = tokio::task::JoinSet::new();
    let node = Arc::new(node);
    for n in 0..50 {
        let node = Arc::clone(&node);
        appending.spawn(async move { append(&node, durable("log:c", n.to_string())).await });
    }
    let mut offsets: Vec<u64> = Vec::new();
    for result in appending.join_all().await {
        offsets.push(result.expect("appended").position.expect("some").offset);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=50).collect::<Vec<_>>());
}

/// What the first call sets up it sets up wholly, or the next call does: functions run with their caller's rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_caller_without_rights_spoils_nothing_for_others() {
    let (loaded, server) = (redis(), redis());
    let _node = start(&loaded).await;
    ask(&server, redis::cmd("FUNCTION").arg("LOAD").arg(code(&loaded)));
    ask(
        &server,
        redis::cmd("ACL").arg("SETUSER").arg("poor").arg(&["on", "nopass", "~*", "&*", "+@all", "-info"]),
    );
    let publish = ["FCALL", "tg_publish", "1", "tg:{log:a}", "x"];
    let answer = server
        .cli(&[&["--user", "poor", "--pass", "any"], &publish[..]].concat())
        .unwrap_or_else(|why| why.to_string());
    assert!(answer.contains("can't run this command"), "{answer}");
    let answer = server.cli(&publish).expect("answered");
    assert_eq!(answer.lines().nth(1), Some("1"), "{answer}");
    for key in server.cli(&["KEYS", "*"]).expect("answered").lines() {
        assert_ne!(server.cli(&["PTTL", key]).expect("answered").trim(), "-1", "{key} ends some day");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_with_the_higher_revision_stays() {
    let server = redis();
    let rules = |revision, max_event_bytes| HistorySettings { revision, max_event_bytes, ..history() };
    let start = async |rules: &HistorySettings| node_of(Topology::Standalone(server.url()), rules, 1).await;
    let others = |node: &RedisNode| node.broker.counters().library.others.load(Ordering::Relaxed);
    let limit = async |node: &RedisNode| match append(node, durable("log:a", vec![b'x'; 100])).await {
        Err(HistoryError::BadArgument(why)) => why,
        other => panic!("{other:?}"),
    };
    let first = start(&rules(0, 10)).await;
    assert!(limit(&first).await.contains("at most 10 bytes"));
    let equal = start(&rules(0, 20)).await;
    assert!(limit(&equal).await.contains("at most 10 bytes"), "what is there stays");
    assert_eq!((others(&first), others(&equal)), (0, 1), "and is counted");
    let higher = start(&rules(7, 30)).await;
    for node in [&first, &equal, &higher] {
        assert!(limit(node).await.contains("at most 30 bytes"), "the higher revision holds for all");
    }
    let late = start(&rules(1, 40)).await;
    assert!(limit(&late).await.contains("at most 30 bytes"));
    let huge = start(&rules(u64::MAX, 50)).await;
    assert!(limit(&huge).await.contains("at most 50 bytes"));
    let again = start(&rules(u64::MAX - 1, 60)).await;
    assert!(limit(&again).await.contains("at most 50 bytes"), "no revision is rounded");
    assert_eq!(
        (others(&higher), others(&late), others(&again)),
        (0, 0, 0),
        "only equal revisions contradict"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_functions_says_so_and_live_events_work() {
    let server =
        RedisServer::start_with(&["--rename-command", "FCALL", "", "--rename-command", "FUNCTION", ""]);
    let server = server.expect("redis-server");
    let node = start(&server).await;
    node.subscribe(&["a"]).await;
    node.publish([("a", "live".into())]).await;
    assert_eq!(node.hear(1).await, ["a live"]);
    let refused = append(&node, durable("log:a", "x")).await;
    assert!(
        matches!(&refused, Err(HistoryError::Refused(why)) if why.contains("unknown command")),
        "{refused:?}"
    );
    let without = Node {
        broker: RedisBroker::start(&RedisSettings::new(server.url()), node.lanes.clone(), MAX_EVENT)
            .expect("valid"),
        lanes: node.lanes.clone(),
    };
    let refused = append(&without, durable("log:a", "x")).await;
    assert!(
        matches!(&refused, Err(HistoryError::Refused(why)) if why.contains("without histories")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_says_why_and_is_read() {
    let server = redis();
    let node = start(&server).await;
    let epoch = append(&node, durable("log:a", "1")).await.expect("appended").position.expect("some").epoch;
    let set = |name: &str, value: &str| {
        assert_eq!(server.cli(&["CONFIG", "SET", name, value]).expect("set").trim(), "OK")
    };
    set("min-replicas-to-write", "1");
    let refused = append(&node, durable("log:a", "2")).await;
    assert!(matches!(refused, Err(HistoryError::NotReplicated(_))), "{refused:?}");
    assert!(node.broker.begin(vec![name("log:b")]).await[0].is_err(), "there is no empty epoch");
    assert_eq!(texts(&found(&node, "log:a", after(epoch, 0)).await), ["1"]);
    set("min-replicas-to-write", "0");
    set("maxmemory", "1");
    let refused = append(&node, durable("log:a", "2")).await;
    assert!(matches!(&refused, Err(HistoryError::Refused(why)) if why.starts_with("OOM")), "{refused:?}");
    assert_eq!(texts(&found(&node, "log:a", after(epoch, 0)).await), ["1"]);
    set("maxmemory", "0");
    let next = append(&node, durable("log:a", "2")).await.expect("appended").position;
    assert_eq!(next, Some(Position { epoch, offset: 2 }), "a refused event took no number");
}

/// What cannot be written gives its key back: nobody hears "published" of an event that is nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_free_again_when_its_event_could_not_be_written() {
    let server = redis();
    let node = start(&server).await;
    let keyed = || Durable { key: Some("k".into()), ..durable("log:a", "x") };
    server.cli(&["SET", "tg:{log:a}:log", "no log"]).expect("set");
    let refused = append(&node, keyed()).await;
    assert!(matches!(&refused, Err(HistoryError::Refused(why)) if why.contains("WRONGTYPE")), "{refused:?}");
    server.cli(&["DEL", "tg:{log:a}:log"]).expect("deleted");
    let first = append(&node, keyed()).await.expect("appended");
    assert!(first.fresh, "the key was not used");
    let again = append(&node, keyed()).await.expect("answered");
    assert_eq!((again.position, again.fresh), (first.position, false));
}

/// Lives are not renewed with every event, and yet none ends while events come; nor does a log live for ever that was
/// evicted and is made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_are_renewed_while_events_come() {
    let server = redis();
    let mut rules = history();
    let life = Duration::from_millis(1500);
    for own in rules.namespaces.values_mut() {
        own.history = own.history.map(|log| LogRules { ttl: life, ..log });
    }
    let node = node_of(Topology::Standalone(server.url()), &rules, 1).await;
    let left = |key: &str| -> i64 {
        server.cli(&["PTTL", key]).expect("told").trim().parse().expect("milliseconds")
    };
    let start = Instant::now();
    let mut events = 0;
    while start.elapsed() < 2 * life {
        append(&node, durable("log:a", "x")).await.expect("appended");
        events += 1;
        let left = left("tg:{log:a}:log");
        assert!((1000..=1524).contains(&left), "{left} ms of 1500 right after an event");
    }
    let held = server.cli(&["XLEN", "tg:{log:a}:log"]).expect("told");
    assert_eq!(held.trim().parse(), Ok(events.min(1000)), "none ran out");
    let renewals = server.cli(&["INFO", "commandstats"]).expect("told");
    let renewals = renewals.lines().find_map(|line| line.strip_prefix("cmdstat_pexpire:calls="));
    let renewals: u64 =
        renewals.and_then(|rest| rest.split(',').next()).and_then(|n| n.parse().ok()).expect("some");
    assert!(
        renewals <= 2 * 2 * 65 + 4,
        "{renewals} for {events} events, each life at most 64 times in its length"
    );
    server.cli(&["DEL", "tg:{log:a}:log"]).expect("evicted");
    append(&node, durable("log:a", "x")).await.expect("appended");
    assert!(left("tg:{log:a}:log") > 0, "a log made anew has a life");
}

/// Redis behind the address becomes a replica, and a master again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_refuses_and_a_promoted_one_starts_an_epoch() {
    let server = redis();
    let other = redis();
    let node = start(&server).await;
    let mut given = Given::default();
    let mut last = None;
    for n in 1..=5 {
        last = Some(given.append(&node, "log:a", &format!("old {n}")).await);
    }
    let last = last.expect("some");
    let port = server.port().to_string();
    other.cli(&["REPLICAOF", "127.0.0.1", &port]).expect("a replica");
    let in_step =
        async || other.cli(&["INFO", "replication"]).expect("told").contains("master_link_status:up");
    eventually_async(PATIENCE, "the replica is in step", in_step).await;
    for function in
        [&["FCALL", "tg_read", "1", "tg:{log:a}", "10"][..], &["FCALL", "tg_publish", "1", "tg:{log:a}", "x"]]
    {
        let told = other.cli(function).expect("told");
        assert!(told.starts_with("READONLY"), "{told}");
    }
    // A node that was sent there.
    let misled = start(&other).await;
    let refused = append(&misled, durable("log:a", "x")).await;
    assert!(matches!(refused, Err(HistoryError::Behind(_))), "{refused:?}");
    let mut answers = Vec::new();
    eventually_async(PATIENCE, "tops are refused by a replica", async || {
        // The connection was dropped, and is made anew.
        answers = misled.broker.tops(vec![name("log:a")]).await;
        matches!(answers[..], [Err(HistoryError::Behind(_))])
    })
    .await;
    let mut refused = Ok(None);
    eventually_async(PATIENCE, "reads are refused by a replica", async || {
        refused = ask_to_read(&misled, "log:a", Since::Now).await;
        matches!(refused, Err(HistoryError::Behind(_)))
    })
    .await;

    other.cli(&["REPLICAOF", "NO", "ONE"]).expect("promoted");
    let mut first = None;
    eventually_async(PATIENCE, "the promoted server takes events", async || {
        first = append(&misled, durable("log:a", "new 6")).await.ok();
        first.is_some()
    })
    .await;
    let first = first.and_then(|appended| appended.position).expect("a position");
    given.note(first, "new 6");
    assert!(first.epoch > last.epoch && first.offset == 6, "{first:?} after {last:?}");
    // Two masters for a while: each numbers its own.
    let split = given.append(&node, "log:a", "old 6").await;
    assert_eq!(split, Position { offset: 6, ..last });
    let told = found(&misled, "log:a", Since::Position(split)).await;
    assert_eq!((place(&told), texts(&told)), ((6, 5, Some(5), false, false), vec!["new 6".to_owned()]));
    assert_eq!(given.twice, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_slot_moves_a_channel_is_never_called_empty() {
    let cluster = RedisCluster::start().expect("a Redis Cluster");
    let node = node_of(Topology::Cluster(cluster.urls()), &history(), 3).await;
    let top = "tg:{log:a}";
    let slot = cluster.slot(top).expect("a slot");
    let from = cluster.master_of(slot).expect("a master");
    let to = (from + 1) % 3;
    let mut given = Given::default();
    let mut last = None;
    for n in 1..=3 {
        last = Some(given.append(&node, "log:a", &n.to_string()).await);
    }
    let last = last.expect("some");
    let keyed = |text: &str| Durable { key: Some("k".into()), ..durable("log:a", text.to_owned()) };
    let key = append(&node, keyed("4")).await.expect("appended");

    let id = |at: usize| cluster.nodes[at].cli(&["CLUSTER", "MYID"]).expect("an id").trim().to_owned();
    let set = |at: usize, words: &[&str]| {
        let answer = cluster.nodes[at].cli(&[&["CLUSTER", "SETSLOT", &slot.to_string()], words].concat());
        assert_eq!(answer.expect("told").trim(), "OK");
    };
    let port = cluster.nodes[to].port().to_string();
    let migrate = |key: &str| {
        let answer = cluster.nodes[from].cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert_eq!(answer.expect("told").trim(), "OK", "{key}");
    };
    let try_again = async |what: &str| {
        let asked = append(&node, durable("log:a", "x")).await;
        assert!(matches!(asked, Err(HistoryError::TryAgain(_))), "{what}: publish: {asked:?}");
        let asked = ask_to_read(&node, "log:a", after(last.epoch, 0)).await;
        assert!(matches!(asked, Err(HistoryError::TryAgain(_))), "{what}: read: {asked:?}");
    };
    set(to, &["IMPORTING", &id(from)]);
    set(from, &["MIGRATING", &id(to)]);
    // All is still here: only what is new may be on the other side.
    let position = given.append(&node, "log:a", "5").await;
    assert_eq!(position, Position { offset: 5, ..last });
    let asked = append(&node, Durable { key: Some("new".into()), ..durable("log:a", "x") }).await;
    assert!(matches!(asked, Err(HistoryError::TryAgain(_))), "a new key: {asked:?}");
    assert_eq!(append(&node, keyed("4")).await, Ok(Appended { fresh: false, ..key }));

    migrate("tg:{log:a}:log");
    try_again("the log has moved").await;
    migrate(top);
    // What is asked follows: the node there starts an epoch of its own.
    let position = given.append(&node, "log:a", "6").await;
    assert!(position.epoch > last.epoch && position.offset == 6, "{position:?}");
    let read_there = found(&node, "log:a", after(last.epoch, 0)).await;
    assert_eq!((place(&read_there), texts(&read_there).len()), ((6, 0, Some(5), false, false), 6));
    given.note_read(&read_there);
    assert_eq!(node.broker.tops(vec![name("log:a")]).await, [Ok(Some(position))]);
    let asked = append(&node, keyed("4")).await;
    assert!(matches!(asked, Err(HistoryError::TryAgain(_))), "its key is on the other side: {asked:?}");
    migrate("tg:{log:a}:id:k");
    assert_eq!(append(&node, keyed("4")).await, Ok(Appended { fresh: false, ..key }));

    // Of a channel with nothing nobody can say whether it is empty.
    let nothing = (0..).map(|n| format!("log:{n}")).find(|channel| {
        cluster
            .slot(&format!("tg:{{{channel}}}"))
            .is_ok_and(|of| cluster.master_of(of).is_ok_and(|at| at == from))
    });
    let nothing = nothing.expect("one of many");
    let nothing_slot = cluster.slot(&format!("tg:{{{nothing}}}")).expect("a slot").to_string();
    cluster.nodes[to].cli(&["CLUSTER", "SETSLOT", &nothing_slot, "IMPORTING", &id(from)]).expect("told");
    cluster.nodes[from].cli(&["CLUSTER", "SETSLOT", &nothing_slot, "MIGRATING", &id(to)]).expect("told");
    let asked = ask_to_read(&node, &nothing, Since::Now).await;
    assert!(matches!(asked, Err(HistoryError::TryAgain(_))), "{asked:?}");
    let asked = node.broker.begin(vec![name(&nothing)]).await;
    assert!(matches!(asked[..], [Err(HistoryError::TryAgain(_))]), "{asked:?}");

    set(to, &["NODE", &id(to)]);
    set(from, &["NODE", &id(to)]);
    let position = given.append(&node, "log:a", "7").await;
    assert_eq!(position.offset, 7);
    let all = found(&node, "log:a", after(last.epoch, 0)).await;
    assert_eq!(texts(&all), ["1", "2", "3", "4", "5", "6", "7"]);
    given.note_read(&all);
    assert_eq!(given.twice, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_words_of_redis_cli() {
    let server = redis();
    let node = start(&server).await;
    node.subscribe(&["log:42"]).await;
    let call = |words: &[&str]| {
        let told = server.cli(&[&["FCALL", "tg_publish", "1"], words].concat()).expect("told");
        told.trim_end().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = call(&["tg:{log:42}", "hello", "key", "k-1", "from", "cron"]);
    let epoch = first[0].clone();
    assert_eq!(first, [epoch.as_str(), "1", "1"]);
    let expected = Event {
        position: Some(format!("{epoch}-1").parse().expect("a position")),
        from: Some("cron".into()),
        key: Some("k-1".into()),
        ..event("hello")
    };
    let News::Event(channel, heard) = node.next().await else { panic!("an event") };
    assert_eq!((channel, Event { published_us: None, ..heard }), (name("log:42"), expected));
    assert_eq!(call(&["tg:{log:42}", "hello", "from", "cron", "key", "k-1"]), [epoch.as_str(), "1", "0"]);
    assert_eq!(call(&["tg:{log:42}", "again"]), [epoch.as_str(), "2", "1"]);
    assert_eq!(call(&["tg:{a}", "live", "key", "k"]), ["", "", "1"], "without history there is no position");
    assert_eq!(call(&["tg:{a}", "live", "key", "k"]), ["", "", "0"]);
    let long = "k".repeat(129);
    let name_256 = format!("tg:{{{}}}", "n".repeat(256));
    for (words, code, part) in [
        (&["tg:{log:42}", "other", "key", "k-1"][..], "TGKEY", "another payload"),
        (&["tg:{log:42}"], "TGARG", "a payload is expected"),
        (&["tg:{log:42}", "x", "key"], "TGARG", "after key"),
        (&["tg:{log:42}", "x", "key", ""], "TGARG", "1 to 128 bytes, this one has 0"),
        (&["tg:{log:42}", "x", "key", &long], "TGARG", "this one has 129"),
        (&["tg:{log:42}", "x", "key", "a", "key", "b"], "TGARG", "one value is expected after key"),
        (&["tg:{log:42}", "x", "id", "a"], "TGARG", "\"id\""),
        (&["log:42", "x"], "TGARG", "tg:{channel}"),
        (&["tg:{}", "x"], "TGARG", "tg:{channel}"),
        (&["tg:{~own}", "x"], "TGARG", "no name"),
        (&["tg:{a b}", "x"], "TGARG", "no name"),
        (&["tg:{a}b}", "x"], "TGARG", "no name"),
        (&[&name_256, "x"], "TGARG", "no name"),
    ] {
        let told = call(words).join(" ");
        assert!(told.starts_with(code) && told.contains(part), "{words:?}: {told}");
    }
    let two = server.cli(&["FCALL", "tg_publish", "2", "tg:{a}", "tg:{b}", "x"]).expect("told");
    assert!(two.starts_with("TGARG one key"), "{two}");
    // What is no text would not be an envelope that anybody understands.
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82"] {
        let client = redis::Client::open(server.url()).expect("an address");
        let mut connection = client.get_connection().expect("connected");
        for name in ["key", "from"] {
            let mut command = redis::cmd("FCALL");
            command.arg("tg_publish").arg(1).arg("tg:{log:42}").arg("x").arg(name).arg(bad);
            let told = command.query::<Value>(&mut connection).expect_err("refused").to_string();
            assert!(told.contains("is not UTF-8"), "{bad:?}: {told}");
        }
    }
    for words in [
        &["tg:{log:42}"][..],
        &["tg:{log:42}", "-1"],
        &["tg:{log:42}", "10001"],
        &["tg:{log:42}", "1e3"],
        &["tg:{log:42}", "10", "since", "1", "1"],
        &["tg:{log:42}", "10", "since", &epoch],
        &["tg:{log:42}", "10", "since", &epoch, "-1"],
        &["tg:{log:42}", "10", "last", "x"],
        &["tg:{log:42}", "10", "first", "1"],
    ] {
        let told = server.cli(&[&["FCALL", "tg_read", "1"], words].concat()).expect("told");
        assert!(told.starts_with("TGARG"), "{words:?}: {told}");
    }
    // Key and publisher are empty lines at the end.
    let read = server.cli(&["FCALL", "tg_read", "1", "tg:{log:42}", "10", "last", "1"]).expect("told");
    assert_eq!(read.trim_end().lines().collect::<Vec<_>>(), [&epoch, "2", "1", "2", "0", "0", "2", "again"]);
    let unknown =
        server.cli(&["FCALL", "tg_read", "1", "tg:{log:42}", "10", "since", "", "1"]).expect("told");
    assert_eq!(
        unknown.trim_end().lines().collect::<Vec<_>>(),
        [&epoch, "2", "2", "", "1", "0"],
        "an empty epoch is unknown"
    );
}

/// The envelope is written twice, in Rust and in Lua: the same bytes for the same event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_envelope_is_the_one_of_rust() {
    let server = redis();
    let _library = start(&server).await;
    let client = redis::Client::open(server.url()).expect("an address");
    let mut listening = client.get_connection().expect("connected");
    let mut listening = listening.as_pubsub();
    listening.subscribe(&["tg:{log:a}", "tg:{a}"]).expect("subscribed");
    listening.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut calling = client.get_connection().expect("connected");
    let mut publish = |channel: &str, payload: &[u8], key: Option<&str>, from: Option<&str>| {
        let mut command = redis::cmd("FCALL");
        command.arg("tg_publish").arg(1).arg(channel).arg(payload);
        for (name, value) in [("key", key), ("from", from)] {
            if let Some(value) = value {
                command.arg(name).arg(value);
            }
        }
        command.query::<Value>(&mut calling).expect("published");
        let bytes: Vec<u8> = listening.get_message().expect("heard").get_payload().expect("bytes");
        let Envelope::Event(event) = Envelope::decode(bytes.clone().into()) else { panic!("{bytes:?}") };
        assert_eq!(event.payload.bytes(), payload, "what was published");
        assert_eq!((event.key.as_deref(), event.from.as_deref()), (key, from));
        assert!(event.published_us.is_some());
        assert_eq!(Envelope::encode(&event), bytes, "the same bytes");
        event
    };
    let texts: Vec<String> = [1, 31, 32, 127, 128].map(|length| "k".repeat(length)).into();
    for channel in ["tg:{log:a}", "tg:{a}"] {
        for size in [0, 1, 255, 256, 65_535, 65_536, MAX_EVENT] {
            publish(channel, &vec![0xFE; size], None, None);
        }
        for text in &texts {
            publish(channel, b"x", Some(text), None);
            publish(channel, b"x", None, Some(&text.repeat(2)[..255.min(2 * text.len())]));
        }
        publish(channel, b"x", Some("é\0\u{1f30a}"), Some(""));
    }
    // Offsets around every size of a number, up to the last that a double holds.
    let mut connection = client.get_connection().expect("connected");
    for offset in [126u64, 254, 65_534, (1 << 32) - 2, 1 << 52, (1 << 53) - 3] {
        let mut set = redis::cmd("HSET");
        set.arg("tg:{log:a}").arg("offset").arg(offset);
        set.query::<Value>(&mut connection).expect("set");
        for next in [offset + 1, offset + 2] {
            let event = publish("tg:{log:a}", b"x", None, None);
            assert_eq!(event.position.map(|position| position.offset), Some(next));
        }
    }
    let told = server.cli(&["FCALL", "tg_publish", "1", "tg:{log:a}", "x"]).expect("told");
    assert!(told.contains("no offsets left"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_has_its_own_functions() {
    let server = redis();
    let settings = RedisSettings {
        prefix: "other".to_owned().try_into().expect("a prefix"),
        ..RedisSettings::new(server.url())
    };
    let ours = start(&server).await;
    let lanes = vec![Arc::new(EventQueue::new(QueueLimits::default()))];
    let broker = RedisBroker::with_history(&settings, &history(), lanes.clone()).expect("valid");
    let other = Node { broker, lanes };
    assert_eq!(other.next().await, News::Up(Shard(0)));
    for _ in 0..2 {
        append(&ours, durable("log:a", "x")).await.expect("appended");
    }
    let first = append(&other, durable("log:a", "x")).await.expect("appended").position;
    assert_eq!(first.map(|position| position.offset), Some(1), "another prefix, another channel");
    let told = server.cli(&["FCALL", "other_publish", "1", "tg:{log:a}", "x"]).expect("told");
    assert!(told.contains("other:{channel}"), "{told}");
}
