//! Clients that we did not write: publishers in Python, JavaScript and Go, and stock WebSocket clients, on a real node.
//!
//! The scripts are in `clients/`; each exits with 1 and says what failed. What this machine has no tool for is named in
//! a line that begins with `skipped:`.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_testkit::{Node, Process, RedisServer, eventually, run, tools};

const PATIENCE: Duration = Duration::from_secs(120);

/// Pings often, so that a test sees some.
const QUICK_PINGS: &str = "[server]\nping = \"1s\"\npong_timeout = \"1s\"\n";

/// What the events of the three publishers must look like on the wire, after `"data`.
const PUBLISHED: [&str; 3] = [r#"":"grüße, 世界""#, r#"":{"n": 1.0, "list": [1, 2]}"#, r#"_base64":"/8GA""#];

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn node_script(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(clients().join("node").join(name)).env("NPM", tools::npm_dir());
    command
}

fn python_script(name: &str) -> Command {
    let mut command = Command::new(tools::python());
    command.arg(clients().join("python").join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs `publisher URL CHANNEL PAYLOAD…` (most of them know the payloads) and checks what a subscriber of a node on the same Redis hears.
fn reaches_a_subscriber(publisher: &mut Command, payloads: &[&[u8]]) {
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(env!("CARGO_BIN_EXE_tidegate")).redis(&redis.url()).start().expect("a node");
    let folder = tempfile::tempdir().expect("a folder");
    let heard = folder.path().join("heard");
    let text = || fs::read_to_string(&heard).unwrap_or_default();

    let mut command = node_script("hear.mjs");
    command.args([&node.ws_url(), "orders:7", "3"]);
    let mut subscriber =
        Process::start("hear.mjs", &mut command, &folder.path().join("log"), Some(&heard)).expect("node");
    eventually(PATIENCE, "the subscriber is subscribed", || text().contains("subscribed"));
    publisher
        .args([&redis.url(), "tg:{orders:7}"])
        .args(payloads.iter().map(|bytes| OsStr::from_bytes(bytes)));
    run(publisher, PATIENCE).expect("it publishes");
    let status = subscriber.wait(PATIENCE).expect("three events");

    let text = text();
    assert!(status.success(), "{text}");
    let events: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(events.len(), 3, "{text}");
    for (event, part) in events.iter().zip(PUBLISHED) {
        assert!(event.contains(&format!("\"data{part}")), "no {part} in {event}");
        assert!(event.contains(r#""channel":"orders:7""#), "{event}");
    }
}

#[test]
fn redis_py_reaches_a_subscriber() {
    reaches_a_subscriber(&mut python_script("publish.py"), &[]);
}

#[test]
fn node_redis_reaches_a_subscriber() {
    reaches_a_subscriber(&mut node_script("publish.mjs"), &[]);
}

#[test]
fn go_redis_reaches_a_subscriber() {
    if Command::new("go").arg("version").output().is_err() {
        // Past the test harness, which keeps what a passing test prints.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: go_redis_reaches_a_subscriber: there is no `go` on the PATH"
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join("publish");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-o"]).arg(&binary).arg("./publish");
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/go"));
    run(&mut build, PATIENCE * 3).expect("it builds");
    let text = "grüße, 世界".as_bytes();
    reaches_a_subscriber(
        &mut Command::new(&binary),
        &[text, br#"{"n": 1.0, "list": [1, 2]}"#, &[0xff, 0xc1, 0x80]],
    );
}

fn with_urls<'a>(command: &'a mut Command, node: &Node) -> &'a mut Command {
    command.env("WS", node.ws_url()).env("PLAIN", node.plain_url("")).env("ADMIN", node.admin_url())
}

#[test]
fn npm_ws_gets_what_it_expects() {
    let node = Node::builder(env!("CARGO_BIN_EXE_tidegate")).config(QUICK_PINGS).start().expect("a node");
    run(with_urls(&mut node_script("stock.mjs"), &node), PATIENCE).expect("every check holds");
}

#[test]
fn python_websockets_gets_what_it_expects() {
    let node = Node::builder(env!("CARGO_BIN_EXE_tidegate")).config(QUICK_PINGS).start().expect("a node");
    run(with_urls(&mut python_script("stock.py"), &node), PATIENCE).expect("every check holds");
}

#[test]
fn the_example_client_backs_off_comes_back_and_gives_up() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/tidegate.js");
    // A copy with a name that Node takes for an ES module.
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("tidegate.mjs");
    fs::copy(example, &module).expect("the example");
    run(node_script("example.mjs").env("EXAMPLE", format!("file://{}", module.display())), PATIENCE)
        .expect("every check holds");
}
