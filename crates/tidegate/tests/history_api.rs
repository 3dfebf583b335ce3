//! Channels with history, as backends meet them: publishing with keys, reading, and what is refused.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use support::{BINARY, PATIENCE, admin};
use tidegate_testkit::{Node, RedisServer, eventually};

const CONFIG: &str = "[namespaces.log]\nhistory = { size = 100, ttl = \"1h\" }\n";

/// What `/health/ready` says.
fn readiness(node: &Node) -> (u16, String) {
    admin::get(node, "/health/ready")
}

/// One script, against a node that works from memory and one that works through Redis.
fn on_each_broker(script: impl Fn(&Node)) {
    let memory = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    script(&memory);
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).redis(&redis.url()).config(CONFIG).start().expect("a node");
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
    script(&node);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

fn publish(node: &Node, channel: &str, data: &str) -> Value {
    let (status, body) = admin::publish(node.admin_addr(), channel, data);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("an answer")
}

#[test]
fn an_event_of_a_channel_with_history_has_a_position() {
    on_each_broker(|node| {
        assert_eq!(publish(node, "live:1", "1"), json!({"epoch": null, "offset": null}));
        let first = publish(node, "log:1", "1");
        let epoch = first["epoch"].as_str().expect("an epoch");
        assert!(epoch.len() == 19 && epoch.bytes().all(|byte| byte.is_ascii_digit()), "{epoch}");
        assert_eq!(first["offset"], 1);
        for offset in 2..5 {
            assert_eq!(publish(node, "log:1", "1"), json!({"epoch": epoch, "offset": offset}));
        }
        assert_eq!(publish(node, "log:2", "1")["offset"], 1);
    });
}

#[test]
fn a_bare_publish_into_a_history_is_counted_and_said_once() {
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).redis(&redis.url()).config(CONFIG).start().expect("a node");
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
    let mut subscriber = TcpStream::connect(node.public_addr()).expect("a door");
    subscriber.write_all(b"GET /sse?channel=log:1 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut status = [0; 12];
    subscriber.read_exact(&mut status).expect("an answer, so it is subscribed");
    assert_eq!(&status, b"HTTP/1.1 200");
    for _ in 0..3 {
        assert_eq!(redis.cli(&["PUBLISH", "tg:{log:1}", "1"]).expect("published").trim(), "1");
    }
    eventually(PATIENCE, "counted", || admin::metric(&node, "tidegate_events_unnumbered_total") == 3);
    let line = "events without a position in channels with history";
    assert_eq!(node.log().matches(line).count(), 1, "{}", node.log());
}

/// What docs/redis.md tells to type, each as the arguments of one `redis-cli`; not for a Cluster.
fn acl_commands() -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/redis.md"));
    let page = page.expect("docs/redis.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("redis-cli "));
    let lines = lines.filter(|line| line.starts_with("ACL SETUSER") && !line.contains("spublish"));
    let words = |line: &str| line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect();
    lines.map(words).collect()
}

#[test]
fn the_rights_of_the_document_are_enough() {
    let redis = RedisServer::start().expect("redis");
    let commands = acl_commands();
    assert_eq!(commands.len(), 4, "two users, and what durable events need: {commands:?}");
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        assert_eq!(redis.cli(&words).expect("done"), "OK\n");
    }
    let url = redis.url().replace("redis://", "redis://tidegate:secret@");
    let node = Node::builder(BINARY).redis(&url).config(CONFIG).start().expect("a node");
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
    for channel in ["live:1", "log:1", "log:1"] {
        publish(&node, channel, "1");
    }
    let backend = ["--user", "backend", "--pass", "other", "--no-auth-warning"];
    for (key, expected) in [("a", "3\n1\n"), ("a", "3\n0\n"), ("b", "4\n1\n")] {
        let call = ["FCALL", "tg_publish", "1", "tg:{log:1}", "1", "key", key, "from", "x"];
        let answer = redis.cli(&[&backend[..], &call].concat()).expect("answered");
        assert!(answer.ends_with(expected), "{answer}");
    }
    assert_eq!(publish(&node, "log:1", "1")["offset"], 5);
    // The log alone tells the position if the hash was evicted.
    redis.cli(&["DEL", "tg:{log:1}"]).expect("deleted");
    assert_eq!(publish(&node, "log:1", "1")["offset"], 6);
    assert!(!node.log().contains("NOPERM"), "{}", node.log());
}

#[test]
fn a_redis_without_functions_makes_no_node_ready_that_needs_them_and_serves_live_events() {
    // Before 7.0 these words are unknown.
    let old = ["--rename-command", "FCALL", "", "--rename-command", "FUNCTION", ""];
    let redis = RedisServer::start_with(&old).expect("redis");
    let with = Node::builder(BINARY).redis(&redis.url()).config(CONFIG).start().expect("a node");
    let without = Node::builder(BINARY).redis(&redis.url()).start().expect("a node");
    eventually(PATIENCE, "ready without history", || readiness(&without).0 == 200);
    eventually(PATIENCE, "not ready, for a reason", || {
        let (status, body) = readiness(&with);
        assert_ne!(status, 200, "{body}");
        body.contains("Redis lacks the function library")
    });
    for node in [&with, &without] {
        assert_eq!(admin::publish(node.admin_addr(), "live:1", "1").0, 200);
        eventually(PATIENCE, "a sentence", || node.log().contains("7.0 or later is needed"));
        assert_eq!(node.log().matches("the function library is not there").count(), 1, "{}", node.log());
    }
}

#[test]
fn a_node_is_ready_as_soon_as_it_may_bring_its_functions() {
    let redis = RedisServer::start().expect("redis");
    let acl = |rules: &[&str]| redis.cli(&[&["ACL", "SETUSER", "default"], rules].concat()).expect("done");
    acl(&["-fcall", "-function"]);
    let node = Node::builder(BINARY).redis(&redis.url()).config(CONFIG).start().expect("a node");
    eventually(PATIENCE, "not ready, for a reason", || readiness(&node).1.contains("function library"));
    acl(&["+fcall", "+function"]);
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
}
