//! Scenarios against real nodes: what comes with the tool runs, and what goes wrong on the way is found.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidegate_loadtest::http::Client;
use tidegate_testkit::{Node, RedisServer, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");
const NODE: &str = include_str!("../scenarios/node.toml");

/// The gateway's binary, which a build of the workspace lays beside ours.
fn tidegate() -> PathBuf {
    let path = Path::new(BINARY).with_file_name("tidegate");
    assert!(path.exists(), "{} is missing: cargo build --release -p tidegate", path.display());
    path
}

/// A node that works from memory, or through Redis, once it is ready.
fn node(redis: Option<&RedisServer>) -> Node {
    let builder = Node::builder(tidegate()).config(NODE);
    let builder = match redis {
        Some(redis) => builder.redis(&redis.url()),
        None => builder,
    };
    let node = builder.start().expect("a node starts");
    eventually(Duration::from_secs(10), "the node is ready", || {
        let answer =
            Client::connect(&node.admin_url()).and_then(|mut client| client.ask("GET", "/health/ready", b""));
        answer.is_ok_and(|(status, _)| status == 200)
    });
    node
}

/// What came of a run.
struct Ran {
    code: i32,
    report: Value,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Ran {
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
    /// All is well. Limits of speed are for the full size on a machine that does nothing else; here only what is
    /// counted must hold: nothing lost, doubled, out of order, ended or left behind.
    fn well(self) -> Value {
        let limits = self.report["thresholds"].as_array().map_or(&[][..], Vec::as_slice);
        let mut missed = limits.iter().filter(|limit| limit["met"] == false).peekable();
        let only_slow = self.code == 1
            && missed.peek().is_some()
            && missed.all(|limit| limit["unit"] != "count")
            && self.report["faults"]
                .as_object()
                .is_some_and(|faults| faults.values().all(|count| *count == 0))
            && count(&self.report, "/totals/delivered") > 0;
        assert!(self.code == 0 || only_slow, "{}: {}{}", self.code, self.stdout, self.stderr);
        self.report
    }
}

/// Runs a scenario at a node; it publishes over HTTP unless the arguments say otherwise.
fn run_at(node: &Node, arguments: &[&str]) -> Ran {
    let url = format!("ws://{}", node.public_addr());
    let admin = node.admin_url();
    let mut all = vec!["--url", &url];
    if !arguments.contains(&"--publisher") {
        all.extend(["--admin", &admin]);
    }
    run(&[arguments, &all].concat())
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// A figure of this scenario alone.
fn figure(report: &Value, key: &str) -> f64 {
    let more = report["more"].as_array().expect("figures");
    let figure = more.iter().find(|figure| figure["key"] == key);
    figure.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| panic!("{key} in {report}"))
}

/// In small: the size a laptop takes is in the files.
fn runs_in_small(names: &[&str]) {
    let node = node(None);
    for name in names {
        let arguments =
            [name, "--connections", "40", "--channels", "8", "--seconds", "0.5", "--warm-up", "0"];
        let report = run_at(&node, &arguments).well();
        assert_eq!(report["scenario"]["name"], *name);
        assert!(count(&report, "/totals/delivered") > 0, "{name}");
    }
}

#[test]
fn scenarios_of_fanning_out_run_from_memory() {
    runs_in_small(&["fanout", "rooms", "direct", "broadcast-hot"]);
}

#[test]
fn scenarios_of_connections_run_from_memory() {
    runs_in_small(&["idle", "connect-storm", "mixed-chat"]);
}

#[test]
fn a_planted_loss_duplicate_and_swap_fail_the_run_and_are_named() {
    let node = node(None);
    let planted = |arguments: &[&str]| {
        let arguments =
            [&["--connections", "8", "--rate", "50", "--seconds", "0.5", "--door", "mixed"], arguments];
        run_at(&node, &arguments.concat())
    };
    // The control: nothing planted, nothing found.
    assert_eq!(count(&planted(&[]).well(), "/faults/lost"), 0);
    for (plant, fault) in [("loss", "lost"), ("double", "twice"), ("swap", "reordered")] {
        let ran = planted(&["--plant", plant]);
        assert_eq!(ran.code, 1, "{plant}: {}", ran.stdout);
        let Value::Object(faults) = &ran.report["faults"] else { panic!("{}", ran.report) };
        for (name, found) in faults {
            assert_eq!(*found, if name == fault { 8 } else { 0 }, "{plant}: {name}");
        }
    }
}

#[test]
fn planted_faults_are_found_among_those_who_drop_and_move_too() {
    let node = node(None);
    for shape in [&["--storms", "1", "--away", "0.2", "--door", "resumable"][..], &["--churn", "5"]] {
        let arguments =
            [&["--namespace", "loadlog", "--connections", "9", "--rate", "50", "--seconds", "1"], shape];
        let arguments = arguments.concat();
        run_at(&node, &arguments).well();
        for (plant, fault) in
            [("loss", "/faults/lost"), ("double", "/faults/twice"), ("swap", "/faults/reordered")]
        {
            let ran = run_at(&node, &[&arguments[..], &["--plant", plant]].concat());
            assert_eq!(ran.code, 1, "{plant}: {}", ran.stdout);
            assert!(count(&ran.report, fault) > 0, "{plant}: {}", ran.report);
        }
    }
}

#[test]
fn after_a_storm_all_are_back_with_everything() {
    let node = node(None);
    let report = run_at(
        &node,
        &["resume-storm", "--connections", "60", "--channels", "12", "--seconds", "3", "--away", "0.3"],
    )
    .well();
    assert_eq!((figure(&report, "came_back"), figure(&report, "not_back")), (120.0, 0.0));
    assert!(figure(&report, "caught_up_max_us") > 300_000.0, "{report}");
    let rows = report["series"].as_array().expect("a series");
    let delivered: u64 = rows.iter().map(|row| count(row, "/delivered")).sum();
    assert_eq!(delivered, count(&report, "/totals/delivered"), "every second has what came in it");
    assert_eq!(rows.last().expect("rows")["open"], 60, "who was away is back: {rows:?}");
}

#[test]
fn a_storm_in_channels_without_history_loses_events_and_fails() {
    let node = node(None);
    let storm = ["--storms", "1", "--away", "0.3", "--door", "native", "--rate", "100", "--seconds", "1"];
    let ran = run_at(&node, &[&["--namespace", "load"], &storm[..]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(count(&ran.report, "/faults/lost") > 0, "{}", ran.report);
}

#[test]
fn who_reads_nothing_is_closed_and_the_others_lose_nothing() {
    let node = node(None);
    let report = run_at(
        &node,
        &[
            "slow-readers",
            "--connections",
            "40",
            "--channels",
            "2",
            "--payload",
            "32000",
            "--rate",
            "200",
            "--seconds",
            "4",
        ],
    )
    .well();
    let Value::Object(ended) = &report["totals"]["slow_ended"] else { panic!("{report}") };
    let ended: u64 = ended.values().filter_map(Value::as_u64).sum();
    assert!((1..=4).contains(&ended), "{report}");
    assert_eq!(figure(&report, "slow_ended"), ended as f64);
    let rows = report["series"].as_array().expect("a series");
    assert_eq!(rows.last().expect("rows")["open"], 40 - ended, "who was closed is not open: {rows:?}");
}

#[test]
fn everybody_may_publish() {
    let redis = RedisServer::start().expect("redis-server");
    let node = node(Some(&redis));
    for (publisher, namespace) in [
        ("publish", "load"),
        ("fcall", "loadlog"),
        ("http", "loadlog"),
        ("client", "load"),
        ("client", "loadlog"),
    ] {
        let (redis, admin) = (redis.url(), node.admin_url());
        let report = run_at(
            &node,
            &[
                "--publisher",
                publisher,
                "--namespace",
                namespace,
                "--redis",
                &redis,
                "--admin",
                &admin,
                "--connections",
                "12",
                "--channels",
                "3",
                "--door",
                "mixed",
                "--rate",
                "100",
                "--seconds",
                "0.5",
            ],
        )
        .well();
        assert_eq!(count(&report, "/totals/delivered"), 200, "{publisher} {namespace}");
    }
}

#[test]
fn who_moves_to_another_channel_misses_nothing_there() {
    let node = node(None);
    let report = run_at(
        &node,
        &["mixed-chat", "--publisher", "client", "--connections", "50", "--churn", "100", "--seconds", "1"],
    )
    .well();
    assert!(figure(&report, "joined") >= 50.0, "{report}");
}

#[test]
fn connections_may_come_from_several_addresses() {
    let node = node(None);
    let arguments = ["--connections", "20", "--sources", "127.0.0.2,127.0.0.3", "--seconds", "0.3"];
    run_at(&node, &arguments).well();
    // An address for documentation (RFC 5737), which no machine has.
    let ran = run_at(&node, &["--sources", "192.0.2.1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("192.0.2.1"), "{}", ran.stderr);
}

#[test]
fn a_missed_limit_is_exit_code_1_and_named() {
    let node = node(None);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("strict.toml");
    std::fs::write(
        &file,
        "name = 'strict'\nconnections = 5\nrate = 50\nseconds = 0.3\n[thresholds]\np99 = '1us'\n\
         deliveries_per_second = 1e9\nconnect_failures = 0\n",
    )
    .unwrap();
    let ran = run_at(&node, &[file.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let limits = ran.report["thresholds"].as_array().unwrap();
    let missed: Vec<&Value> =
        limits.iter().filter(|limit| limit["met"] == false).map(|limit| &limit["figure"]).collect();
    assert_eq!((limits.len(), missed), (3, vec![&"p99_us".into(), &"deliveries_per_second".into()]));
    assert_eq!(ran.report["passed"], false);
    assert!(ran.stdout.contains("latency p99: at most 1 µs"), "{}", ran.stdout);
}

#[test]
fn a_scenario_that_cannot_be_is_exit_code_2_and_says_why() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("broken.toml");
    for (text, words) in [
        ("conections = 5", "unknown field `conections`"),
        ("connections = 0", "connections = 0: at least 1, at most 2000000"),
        ("[thresholds]\np99 = 'soon'", "a length of time"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ran = run(&[file.to_str().unwrap()]);
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{text}: {}", ran.stderr);
    }
    let ran = run(&["fan-out"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("fanout, rooms"), "{}", ran.stderr);
}
