//! What tests of runs share: a node, a run at it, what came of that, and the faults that must be found in it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidegate_loadtest::http::Client;
use tidegate_testkit::{Node, NodeBuilder, RedisServer, eventually};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");
const NODE: &str = include_str!("../../scenarios/node.toml");

/// The gateway's binary, which a build of the workspace lays beside ours.
fn tidegate() -> PathBuf {
    let path = Path::new(BINARY).with_file_name("tidegate");
    assert!(path.exists(), "{} is missing: cargo build --release -p tidegate", path.display());
    path
}

/// A node that works from memory, or through Redis, once it is ready.
pub(crate) fn node(redis: Option<&RedisServer>) -> Node {
    node_with(redis, "")
}

/// A node that works from memory, with so many workers.
pub(crate) fn node_of(workers: u32) -> Node {
    node_with(None, &format!("[server]\nworkers = {workers}\n"))
}

/// A node with these settings besides the scenarios'.
pub(crate) fn node_with(redis: Option<&RedisServer>, settings: &str) -> Node {
    let builder = Node::builder(tidegate()).config(&format!("{NODE}\n{settings}"));
    ready(match redis {
        Some(redis) => builder.redis(&redis.url()),
        None => builder,
    })
}

fn ready(builder: NodeBuilder) -> Node {
    let node = builder.start().expect("a node starts");
    eventually(Duration::from_secs(10), "the node is ready", || {
        let answer =
            Client::connect(&node.admin_url()).and_then(|mut client| client.ask("GET", "/health/ready", b""));
        answer.is_ok_and(|(status, _)| status == 200)
    });
    node
}

/// One number of the node's metrics, all labels added up.
pub(crate) fn metric(node: &Node, name: &str) -> f64 {
    let (_, text) = Client::connect(&node.admin_url())
        .and_then(|mut client| client.ask("GET", "/metrics", b""))
        .expect("metrics");
    let text = String::from_utf8(text).expect("text");
    let lines =
        text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) report: Value,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    let folder = TempDir::new().expect("a folder");
    let json = folder.path().join("report.json");
    let mut command = Command::new(BINARY);
    command.arg("run").args(arguments).arg("--json").arg(&json).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let report =
        std::fs::read(&json).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    Ran {
        code: output.status.code().unwrap_or(-1),
        report,
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

impl Ran {
    /// All is well: nothing lost, doubled or out of order, all limits met.
    pub(crate) fn well(self) -> Value {
        assert!(self.code == 0, "{}: {}{}", self.code, self.stdout, self.stderr);
        assert!(count(&self.report, "/totals/delivered") > 0, "{}", self.report);
        self.report
    }
}

/// Runs a scenario at a node; it publishes over HTTP unless the arguments say otherwise.
pub(crate) fn run_at(node: &Node, arguments: &[&str]) -> Ran {
    let url = format!("ws://{}", node.public_addr());
    let admin = node.admin_url();
    let mut all = vec!["--url", &url];
    if !arguments.contains(&"--publisher") {
        all.extend(["--admin", &admin]);
    }
    run(&[arguments, &all].concat())
}

pub(crate) fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// A figure of this scenario alone.
pub(crate) fn figure(report: &Value, key: &str) -> f64 {
    let more = report["more"].as_array().expect("figures");
    let figure = more.iter().find(|figure| figure["key"] == key);
    figure.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| panic!("{key} in {report}"))
}

/// The control of a run: each fault that a publisher can make, planted once in the same setting, must fail it, and be
/// counted so often. Returns how many faults of other kinds were counted beside.
pub(crate) fn planted_faults_are_found(run: impl Fn(&[&str]) -> Ran, times: RangeInclusive<u64>) -> u64 {
    let mut others = 0;
    for (plant, fault) in [("loss", "lost"), ("double", "twice"), ("swap", "reordered")] {
        let ran = run(&["--plant", plant]);
        assert_eq!(ran.code, 1, "{plant}: {}{}", ran.stdout, ran.stderr);
        let Value::Object(faults) = &ran.report["faults"] else { panic!("{plant}: {}", ran.report) };
        for (name, found) in faults {
            let found = found.as_u64().expect("a count");
            if name == fault {
                assert!(times.contains(&found), "{plant}: {found} times, not {times:?}: {}", ran.report);
            } else {
                others += found;
            }
        }
    }
    others
}
