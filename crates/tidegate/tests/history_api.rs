//! Channels with history, as backends meet them: publishing with keys, reading, and what is refused.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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

/// A request to the API: status and body as JSON.
fn call(node: &Node, line: &str, headers: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let (status, body) = admin::ask(node.admin_addr(), &request).expect("an answer");
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn post(node: &Node, path: &str, headers: &str, body: &Value) -> (u16, Value) {
    call(node, &format!("POST /api/v1/{path}"), headers, &body.to_string())
}

/// `GET /api/v1/channels/{channel}/history`.
fn history(node: &Node, channel: &str, query: &str) -> Value {
    let (status, answer) = call(node, &format!("GET /api/v1/channels/{channel}/history{query}"), "", "");
    assert_eq!(status, 200, "{answer}");
    answer
}

fn offsets(answer: &Value) -> Vec<u64> {
    let events = answer["events"].as_array().expect("events");
    events.iter().map(|event| event["offset"].as_u64().expect("an offset")).collect()
}

#[test]
fn a_second_publish_with_a_key_is_answered_like_the_first() {
    on_each_broker(|node| {
        for channel in ["log:1", "live:1"] {
            let event = json!({"channel": channel, "data": {"n": 1}});
            let key = "Idempotency-Key: order-7\r\n";
            let (status, first) = post(node, "publish", key, &event);
            assert_eq!((status, first["offset"].is_u64()), (200, channel == "log:1"), "{first}");
            assert_eq!(post(node, "publish", key, &event), (200, first));
            let other = json!({"channel": channel, "data": {"n": 2}});
            let (status, problem) = post(node, "publish", key, &other);
            assert_eq!((status, &problem["code"]), (409, &json!("key_reused")), "{problem}");
            assert_eq!(post(node, "publish", "Idempotency-Key: order-8\r\n", &other).0, 200);
        }
        assert_eq!(offsets(&history(node, "log:1", "")), [1, 2]);
        assert_eq!(history(node, "log:1", "")["events"][0]["key"], "order-7");
    });
}

#[test]
fn many_events_have_a_result_each_in_order() {
    on_each_broker(|node| {
        let all = json!({"channels": ["log:a", "live:a", "~own", "log:b", "log:a"], "data": "x"});
        let (status, answer) = post(node, "broadcast", "Idempotency-Key: k\r\n", &all);
        let results = answer["results"].as_array().expect("results");
        assert_eq!((status, results.len()), (200, 5), "{answer}");
        assert_eq!((&results[0]["offset"], &results[1]["offset"]), (&json!(1), &Value::Null));
        assert_eq!((&results[2]["code"], &results[2]["status"]), (&json!("bad_channel"), &json!(400)));
        assert_eq!(results[3]["offset"], 1, "a key is for one channel");
        assert_eq!(results[4], results[0], "here it was used before");

        let event = |channel: &str, data: Value| json!({"channel": channel, "data": data});
        let keyed = |key: &str, data: Value| json!({"channel": "log:c", "data": data, "key": key});
        let batch = json!({"events": [
            event("log:c", json!(1)),
            keyed("a", json!(2)),
            event("a b", json!(3)),
            keyed("a", json!(4)),
            keyed("", json!(5)),
            {"channel": "log:c"},
            {"channel": "log:c", "data_base64": "/w=="},
            keyed("a", json!(2)),
        ]});
        let (status, answer) = post(node, "batch", "", &batch);
        assert_eq!(status, 200, "{answer}");
        let results = answer["results"].as_array().expect("results");
        let short = |result: &Value| match &result["code"] {
            Value::String(code) => code.clone(),
            _ => result["offset"].to_string(),
        };
        let expected = ["1", "2", "bad_channel", "key_reused", "bad_request", "bad_request", "3", "2"];
        assert_eq!(results.iter().map(short).collect::<Vec<_>>(), expected, "{answer}");
        let kept = history(node, "log:c", "");
        assert_eq!(offsets(&kept), [1, 2, 3]);
        assert_eq!(kept["events"][2]["data_base64"], "/w==");
    });
}

#[test]
fn a_thousand_events_at_once_are_numbered_in_their_order() {
    on_each_broker(|node| {
        let events: Vec<_> = (1..=1000).map(|n| json!({"channel": "log:many", "data": n})).collect();
        let (status, answer) = post(node, "batch", "", &json!({"events": events}));
        assert_eq!(status, 200);
        let results = answer["results"].as_array().expect("results");
        let given: Vec<_> = results.iter().map(|result| result["offset"].as_u64().unwrap_or(0)).collect();
        assert_eq!(given, (1..=1000).collect::<Vec<_>>());
        let last = history(node, "log:many", "?limit=1000");
        assert_eq!(last["offset"], 1000);
        for event in last["events"].as_array().expect("events") {
            assert_eq!(event["offset"], event["data"]);
        }
        assert!(offsets(&last).len() >= 100, "at least what the namespace keeps");
    });
}

#[test]
fn a_history_is_read_in_pages_from_a_position() {
    on_each_broker(|node| {
        let nothing = history(node, "log:p", "");
        assert_eq!((&nothing["offset"], offsets(&nothing).len()), (&json!(0), 0));
        let epoch = nothing["epoch"].as_str().expect("even nothing has a position").to_owned();
        for data in [r#"{"n": 1.50}"#, "\"text\"", "3", "4", "5"] {
            assert_eq!(publish(node, "log:p", data)["epoch"], epoch);
        }
        let (mut since, mut heard) = (0, Vec::new());
        while since < 5 {
            let page = history(node, "log:p", &format!("?since={epoch}-{since}&limit=2"));
            assert_eq!((&page["recovered"], &page["offset"]), (&json!(true), &json!(5)), "{page}");
            heard.extend(offsets(&page));
            since = *heard.last().expect("a page has events");
        }
        assert_eq!(heard, [1, 2, 3, 4, 5]);
        let last = history(node, "log:p", "?limit=2");
        assert_eq!((offsets(&last), last.get("recovered")), (vec![4, 5], None));
        let unknown = history(node, "log:p", "?since=0000000000000000001-3");
        assert_eq!(unknown["recovered"], false);
        // One server stands for itself: a position later than its epoch died with its former master.
        let died = history(node, "log:p", "?since=9999999999999999999-1");
        assert_eq!((&died["recovered"], &died["epoch"]), (&json!(false), &json!(epoch)), "{died}");
        let (_, raw) = admin::get(node, "/api/v1/channels/log:p/history");
        assert!(raw.contains(r#"{"offset":1,"data":{"n": 1.50}}"#), "{raw}");
        let (status, none) = call(node, "GET /api/v1/channels/live:p/history", "", "");
        assert_eq!((status, &none["code"]), (400, &json!("bad_request")), "{none}");
    });
}

#[test]
fn while_redis_is_away_each_is_answered_in_time() {
    let mut redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).redis(&redis.url()).config(CONFIG).start().expect("a node");
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
    publish(&node, "log:1", "1");
    redis.process().freeze();
    let asked = Instant::now();
    let event = json!({"channel": "log:1", "data": 1});
    let (status, problem) = post(&node, "publish", "Idempotency-Key: a\r\n", &event);
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    let (status, answer) = post(&node, "batch", "", &json!({"events": [event, event]}));
    assert_eq!((status, &answer["results"][1]["code"]), (200, &json!("unavailable")));
    let (status, _) = call(&node, "GET /api/v1/channels/log:1/history", "", "");
    assert_eq!(status, 503);
    assert!(asked.elapsed() < Duration::from_secs(6), "three answers, each within 2 s");
    redis.process().thaw();
    eventually(PATIENCE, "ready again", || readiness(&node).0 == 200);
    let key = "Idempotency-Key: a\r\n";
    let (status, first) = post(&node, "publish", key, &event);
    assert_eq!((status, post(&node, "publish", key, &event)), (200, (200, first)), "safe to try again");
}

#[test]
fn who_wants_a_replica_is_told_that_there_is_none_and_nobody_else_waits() {
    let redis = RedisServer::start().expect("redis");
    let config = format!("{CONFIG}[namespaces.safe]\nhistory = {{}}\ndurability = \"replicated\"\n");
    let node = Node::builder(BINARY).redis(&redis.url()).config(&config).start().expect("a node");
    eventually(PATIENCE, "ready", || readiness(&node).0 == 200);
    let event = json!({"channel": "safe:1", "data": 1});
    let key = "Idempotency-Key: a\r\n";
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let asked = Instant::now();
            (post(&node, "publish", key, &event), asked.elapsed())
        });
        let mut others = 0;
        while !waiting.is_finished() {
            publish(&node, "log:1", "1");
            others += 1;
        }
        let ((status, problem), took) = waiting.join().expect("answered");
        assert_eq!((status, &problem["code"]), (503, &json!("not_replicated")), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("it is published")));
        assert!(took < Duration::from_secs(2) && others > 5, "{took:?}, {others} others did not wait");
    });
    assert_eq!(offsets(&history(&node, "safe:1", "")), [1], "it is published, once");
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &redis.port().to_string()]);
    let _replica = replica.expect("a replica");
    eventually(PATIENCE, "a replica has it", || post(&node, "publish", key, &event).0 == 200);
    assert_eq!(offsets(&history(&node, "safe:1", "")), [1], "tried again, and still once");
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
