//! Runs of several processes: they count what one would, miss no fault, and leave nobody behind.

mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{BINARY, count, figure, metric, node, planted_faults_are_found, run, run_at};
use tidegate_testkit::{Node, RedisServer, eventually};

#[test]
fn one_process_and_three_count_the_same() {
    let node = node(None);
    let shape =
        ["--connections", "30", "--channels", "6", "--channels-per-connection", "2", "--door", "mixed"];
    let pace = ["--rate", "200", "--warm-up", "0.5", "--seconds", "1.5", "--receivers", "2", "--processes"];
    let report = |processes| run_at(&node, &[&shape[..], &pace, &[processes]].concat()).well();
    let (one, three) = (report("1"), report("3"));
    // 400 events, to ten connections each; 100 of them in the warm-up.
    for (processes, report) in [(1, &one), (3, &three)] {
        assert_eq!(report["scenario"]["processes"], processes);
        assert_eq!(count(report, "/totals/published"), 400);
        assert_eq!(count(report, "/totals/delivered"), 4_000);
        let curve = report["curve"].as_array().expect("a curve");
        assert_eq!(curve.last().expect("points")["count"], 3_000, "latencies are those after the warm-up");
        let rows = report["series"].as_array().expect("a series");
        for (of, total) in [("/delivered", 4_000), ("/published", 400)] {
            assert_eq!(rows.iter().map(|row| count(row, of)).sum::<u64>(), total, "{rows:?}");
        }
        assert_eq!(rows.last().expect("rows")["open"], 30);
        // The second that begins with the first event belongs to all processes alike.
        assert!(rows.iter().all(|row| row["at"].as_f64() > Some(0.1) || row["delivered"] == 0), "{rows:?}");
    }
    let keys = |report: &Value| -> Vec<String> {
        report["more"].as_array().expect("figures").iter().map(|figure| figure["key"].to_string()).collect()
    };
    assert_eq!(keys(&one), keys(&three));
}

#[test]
fn a_fault_in_one_process_slice_fails_the_whole_run() {
    let redis = RedisServer::start().expect("redis-server");
    let node = node(Some(&redis));
    let url = redis.url();
    // Connections and channels are dealt out in the same turn: each channel lies in one process.
    let shape = ["--processes", "3", "--connections", "12", "--channels", "3", "--door", "mixed"];
    let pace = ["--rate", "100", "--seconds", "0.5", "--publisher", "publish", "--redis", &url];
    let run = |more: &[&str]| run_at(&node, &[&shape, &pace[..], more].concat());
    // The control: nothing planted, nothing found.
    assert_eq!(count(&run(&[]).well(), "/totals/delivered"), 200);
    assert_eq!(planted_faults_are_found(run, 4..=4), 0, "once for each of its four, and nothing else");
}

#[test]
fn who_drops_and_moves_is_judged_by_what_another_process_publishes() {
    let node = node(None);
    let shape = ["--processes", "3", "--namespace", "loadlog", "--connections", "30", "--channels", "6"];
    let storms = ["--storms", "2", "--away", "0.2", "--door", "resumable"];
    let churn = ["--churn", "60", "--door", "mixed"];
    let run =
        |more: &[&str]| run_at(&node, &[&shape[..], &["--rate", "300", "--seconds", "2"], more].concat());
    let report = run(&storms).well();
    assert_eq!((figure(&report, "came_back"), figure(&report, "not_back")), (60.0, 0.0), "{report}");
    let report = run(&churn).well();
    assert!(figure(&report, "joined") >= 60.0, "{report}");
    for shape in [&storms[..], &churn] {
        planted_faults_are_found(|plant| run(&[shape, plant].concat()), 1..=u64::MAX);
    }
}

#[test]
fn as_fast_as_deliveries_keep_up_goes_by_those_of_all_processes() {
    let node = node(None);
    let shape =
        ["--processes", "2", "--connections", "10", "--rate", "max", "--window", "4", "--seconds", "0.5"];
    let report = run_at(&node, &shape).well();
    assert_eq!(count(&report, "/totals/delivered"), 10 * count(&report, "/totals/published"), "{report}");
    assert!(count(&report, "/totals/published") > 4, "the window moves on: {report}");
}

#[test]
fn connections_go_to_several_nodes_in_turn() {
    let redis = RedisServer::start().expect("redis-server");
    let nodes = [node(Some(&redis)), node(Some(&redis))];
    let url = nodes.each_ref().map(|node| format!("ws://{}", node.public_addr())).join(",");
    let admin = nodes[0].admin_url();
    let shape =
        ["--url", &url, "--admin", &admin, "--connections", "24", "--channels", "3", "--door", "mixed"];
    let report =
        run(&[&shape[..], &["--processes", "3", "--rate", "50", "--seconds", "0.5"]].concat()).well();
    assert_eq!(count(&report, "/totals/delivered"), 8 * count(&report, "/totals/published"));
    assert_eq!(nodes.each_ref().map(|node| metric(node, "tidegate_connections_opened_total")), [12.0, 12.0]);
}

#[test]
fn each_process_has_its_own_open_files() {
    let node = node(None);
    let url = node.ws_url().replace("/ws", "");
    let admin = node.admin_url();
    let run = |processes: &str| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ulimit -n 160; exec \"$0\" \"$@\"",
            BINARY,
            "run",
            "--url",
            &url,
            "--admin",
            &admin,
        ]);
        command.args([
            "--connections",
            "270",
            "--sources",
            "127.0.0.2,127.0.0.3",
            "--seconds",
            "0.3",
            "--processes",
        ]);
        let output = command.arg(processes).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = run("1");
    assert_eq!(code, Some(1));
    assert!(
        error.contains("270 connections need 334 open files") && error.contains("--processes"),
        "{error}"
    );
    let (code, error) = run("3");
    assert_eq!(code, Some(0), "{error}");
}

/// A run of three processes for so many seconds, all connections open.
fn long_run(node: &Node, seconds: &str) -> (Child, Vec<u32>) {
    let (url, admin) = (node.ws_url().replace("/ws", ""), node.admin_url());
    let mut command = Command::new(BINARY);
    command.args([
        "run",
        "--url",
        &url,
        "--admin",
        &admin,
        "--connections",
        "30",
        "--seconds",
        seconds,
        "--processes",
        "3",
        // To end it, more is told than a pipe takes.
        "--channels",
        "100000",
        "--channels-per-connection",
        "1",
    ]);
    let main =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    eventually(Duration::from_secs(20), "all are in", || metric(node, "tidegate_connections") >= 30.0);
    let workers = children(main.id());
    assert_eq!(workers.len(), 3);
    (main, workers)
}

/// State and parent of a process; `None` when it has ended and somebody has taken note of it.
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut own: Vec<u32> = pids.filter(|pid| state(*pid).is_some_and(|(_, of)| of == parent)).collect();
    own.sort_unstable();
    own
}

fn nobody_is_left(workers: &[u32]) {
    eventually(Duration::from_secs(10), "all workers have ended", || {
        // Whoever takes note of orphans may be slow.
        workers.iter().all(|pid| state(*pid).is_none_or(|(state, _)| state == 'Z'))
    });
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), signal).expect("it is there");
}

#[test]
fn a_worker_that_is_killed_ends_the_run_and_is_named() {
    let node = node(None);
    let (main, workers) = long_run(&node, "600");
    signal(workers[1], Signal::KILL);
    let output = main.wait_with_output().expect("it ends long before its time");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    let word = format!("of 3 (process {}) ended before its report: signal: 9", workers[1]);
    assert!(error.contains(&word), "{word} in {error}");
    nobody_is_left(&workers);
}

#[test]
fn a_worker_that_is_frozen_ends_the_run_and_is_named() {
    // One that would go on for long, and one that is over before the silence is too long. The others answer meanwhile.
    let runs = ["600", "2"].map(|seconds| {
        thread::spawn(move || {
            let node = node(None);
            let (main, workers) = long_run(&node, seconds);
            signal(workers[0], Signal::STOP);
            let output = main.wait_with_output().expect("it ends");
            assert_eq!(output.status.code(), Some(1));
            let error = String::from_utf8_lossy(&output.stderr);
            let word = format!("of 3 (process {}) said nothing for 10 s and was ended", workers[0]);
            assert!(error.contains(&word) && error.contains("is it stopped"), "{word} in {error}");
            nobody_is_left(&workers);
        })
    });
    for run in runs {
        run.join().expect("all well");
    }
}

#[test]
fn a_main_process_that_is_killed_leaves_nobody_behind() {
    let node = node(None);
    let (mut main, workers) = long_run(&node, "600");
    signal(main.id(), Signal::KILL);
    main.wait().expect("it has ended");
    nobody_is_left(&workers);
    eventually(Duration::from_secs(10), "the node is empty", || metric(&node, "tidegate_connections") == 0.0);
}

#[test]
fn what_goes_wrong_in_a_worker_is_a_sentence() {
    let ran = run(&["--url", "ws://127.0.0.1:1", "--processes", "2", "--connections", "4"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("of 2 (process ") && ran.stderr.contains("refused"), "{}", ran.stderr);
    // The publisher's fault is the main process's own.
    let node = node(None);
    let redis = ["--publisher", "publish", "--redis", "redis://127.0.0.1:1", "--processes", "2"];
    let ran = run_at(&node, &redis);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("connecting to Redis"), "{}", ran.stderr);
    eventually(Duration::from_secs(10), "nobody is left", || metric(&node, "tidegate_connections") == 0.0);
    let by_hand = Command::new(BINARY).arg("worker").stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(by_hand.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&by_hand.stderr).contains("not by hand"), "{by_hand:?}");
}
