//! The floor and the generator against each other: real processes, real sockets.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server of ours and returns it with the URL it prints.
fn start(args: &[&str]) -> (Server, String) {
    let mut child = Command::new(BINARY).args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").expect("the first line says where").to_owned();
    (Server(child), url)
}

/// Runs the generator; returns its exit code and its report.
fn run(args: &[&str]) -> (i32, serde_json::Value) {
    let file =
        std::env::temp_dir().join(format!("tidegate-floor-{}-{}.json", std::process::id(), args.len()));
    let output = Command::new(BINARY).arg("run").args(args).arg("--json").arg(&file).output().unwrap();
    let report =
        std::fs::read(&file).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let _ = std::fs::remove_file(&file);
    (output.status.code().unwrap(), serde_json::from_slice(&report).unwrap())
}

#[test]
fn the_floor_delivers_everything_in_order_and_ends_by_itself() {
    let (mut floor, url) = start(&[
        "floor",
        "--listen",
        "127.0.0.1:0",
        "--rate",
        "100",
        "--connections",
        "20",
        "--seconds",
        "3",
    ]);
    let (code, report) = run(&["--url", &url, "--listen-only", "--connections", "20", "--seconds", "1"]);
    assert_eq!(code, 0, "{report}");
    // One second of 100 events to 20 connections; half of that on a machine that is busy otherwise.
    assert!(report["totals"]["delivered"].as_u64().unwrap() >= 1_000, "{report}");
    assert_eq!(report["faults"]["lost"], 0);
    assert!(report["latency"]["p99_us"].as_f64().unwrap() > 0.0);
    assert!(floor.0.wait().unwrap().success());
}

#[test]
fn at_full_speed_the_floor_still_delivers_everything() {
    let (_floor, url) = start(&["floor", "--listen", "127.0.0.1:0", "--rate", "max", "--connections", "8"]);
    let (code, report) =
        run(&["--url", &url, "--listen-only", "--connections", "8", "--seconds", "0.5", "--payload", "128"]);
    assert_eq!(code, 0, "{report}");
    assert!(report["totals"]["deliveries_per_second"].as_f64().unwrap() > 5_000.0, "{report}");
}

#[cfg(feature = "uring")]
#[test]
fn over_a_ring_the_floor_delivers_everything_too_and_more_than_a_ring_takes_at_once() {
    let floor = ["floor", "--uring", "--listen", "127.0.0.1:0", "--rate", "50", "--connections", "300"];
    let (_floor, url) = start(&floor);
    let (code, report) =
        run(&["--url", &url, "--listen-only", "--connections", "300", "--seconds", "1", "--payload", "128"]);
    assert_eq!(code, 0, "{report}");
    assert!(report["totals"]["delivered"].as_u64().unwrap() >= 5_000, "{report}");
    assert_eq!(report["faults"]["lost"], 0);
}

#[test]
fn nobody_there_is_a_sentence_and_exit_code_1() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}");
    let output = Command::new(BINARY).args(["run", "--connections", "1", "--url", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("tidegate-loadtest: ") && error.lines().count() == 1, "{error}");
}

#[test]
fn usage_is_exit_code_2() {
    for args in [["--rate", "0"], ["--door", "ws"], ["--connections", "0"], ["--seconds", "-1"]] {
        let output = Command::new(BINARY).arg("run").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
