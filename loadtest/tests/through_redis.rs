//! Servers between a real Redis and the generator, which finds what is lost, doubled or out of order.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{BINARY, count, figure, node_of, node_with, run, run_at};
use tidegate_testkit::{RedisServer, eventually};

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A room floor for so many, and its URL.
fn room_floor(redis: &RedisServer, connections: &str) -> (Server, String) {
    let mut command = Command::new(BINARY);
    command.args(["room-floor", "--listen", "127.0.0.1:0", "--redis", &redis.url()]);
    let mut child =
        command.args(["--connections", connections]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("the first line says where").to_owned();
    (Server(child), url)
}

#[test]
fn the_room_floor_gives_each_room_its_own_events_and_ends_when_nobody_is_left() {
    let redis = RedisServer::start().expect("redis-server");
    let (mut floor, url) = room_floor(&redis, "20");
    let work = ["--connections", "20", "--channels", "2", "--rate", "100", "--seconds", "1"];
    let report =
        run(&[&work[..], &["--warm-up", "0", "--url", &url, "--redis", &redis.url()]].concat()).well();
    // Rooms of ten: an event of one room that reached the other would be a fault, and one too many here.
    assert_eq!(count(&report, "/totals/published"), 100, "{report}");
    assert_eq!(count(&report, "/totals/delivered"), 1_000, "{report}");

    let rooms = redis.cli(&["PUBSUB", "CHANNELS", "tg:*"]).expect("rooms");
    let rooms: Vec<&str> = rooms.split_whitespace().collect();
    assert_eq!(rooms.len(), 2, "{rooms:?}");
    assert!(floor.0.try_wait().expect("a status").is_none(), "it finds out by writing that they are gone");
    let mut ended = None;
    eventually(Duration::from_secs(10), "the floor ends", || {
        for room in &rooms {
            redis.cli(&["PUBLISH", room, "gone?"]).expect("a number");
        }
        ended = floor.0.try_wait().expect("a status");
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}

#[test]
fn a_node_that_reads_redis_at_a_pace_delivers_everything_once_and_in_order() {
    let redis = RedisServer::start().expect("redis-server");
    let node = node_with(Some(&redis), "[redis]\nread_pace = \"1ms\"\n");
    // The pace begins at more than two messages in a millisecond; a pause behind them must not keep the last ones.
    let url = redis.url();
    let work = ["--connections", "20", "--channels", "10", "--rate", "5000", "--seconds", "1"];
    let report =
        run_at(&node, &[&work[..], &["--warm-up", "0", "--publisher", "publish", "--redis", &url]].concat())
            .well();
    assert_eq!(count(&report, "/totals/delivered"), 2 * count(&report, "/totals/published"), "{report}");
    // The control: the same checker finds an event that is missing, doubled or late.
    for plant in ["loss", "double", "swap"] {
        let work = [&work[..], &["--publisher", "publish", "--redis", &url, "--plant", plant]].concat();
        assert_eq!(run_at(&node, &work).code, 1, "{plant}");
    }
}

/// A channel with more than a thousand subscribers: its batches go round and round, in a lane that also obeys.
fn a_hot_channel(workers: u32) {
    let node = node_of(workers);
    // Of the two channels each has 1,200 subscribers; a hundred a second move from one to the other.
    let work =
        ["--connections", "2400", "--channels", "2", "--rate", "50", "--seconds", "2", "--warm-up", "0"];
    let report = run_at(&node, &[&work[..], &["--door", "mixed", "--churn", "100"]].concat()).well();
    assert!(figure(&report, "joined") > 0.0, "{report}");
}

#[test]
fn one_worker_brings_a_hot_channel_to_everybody_while_others_come_and_go() {
    a_hot_channel(1);
}

#[test]
fn a_crew_brings_a_hot_channel_to_everybody_while_others_come_and_go() {
    a_hot_channel(2);
}
