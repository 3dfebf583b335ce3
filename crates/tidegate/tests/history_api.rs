//! Channels with history, as backends meet them: publishing with keys, reading, and what is refused.

mod support;

use support::{BINARY, PATIENCE, admin};
use tidegate_testkit::{Node, RedisServer, eventually};

const CONFIG: &str = "[namespaces.log]\nhistory = { size = 100, ttl = \"1h\" }\n";

/// What `/health/ready` says.
fn readiness(node: &Node) -> (u16, String) {
    admin::get(node, "/health/ready")
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
