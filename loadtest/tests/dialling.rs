//! How a run comes and what it says meanwhile: from which addresses, how fast, with which figures.

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, TcpListener};

use support::{node, run, run_at};

#[test]
fn connections_come_from_all_sources_in_equal_parts() {
    // Nobody who answers: where they come from is known once they dial.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let counting = std::thread::spawn(move || {
        let mut came: BTreeMap<IpAddr, u32> = BTreeMap::new();
        let mut sockets = Vec::new();
        for _ in 0..20 {
            let (mut socket, from) = listener.accept().expect("somebody comes");
            // The request is read, so that the end is no reset.
            let _ = socket.read(&mut [0; 4096]);
            *came.entry(from.ip()).or_default() += 1;
            sockets.push(socket);
        }
        came
    });
    let ran = run(&["--url", &url, "--connections", "20", "--sources", "127.0.0.2,127.0.0.3"]);
    assert_eq!(ran.code, 1, "nobody answered: {}", ran.stdout);
    let came = counting.join().expect("it counts");
    assert_eq!(came, BTreeMap::from([([127, 0, 0, 2].into(), 10), ([127, 0, 0, 3].into(), 10)]));
}

#[test]
fn a_ramp_takes_the_time_that_it_says() {
    let node = node(None);
    let ramp = |arguments: &[&str]| {
        let work = ["--connections", "100", "--rate", "50", "--seconds", "0.3", "--warm-up", "0"];
        let report = run_at(&node, &[&work, arguments].concat()).well();
        report["totals"]["ramp_seconds"].as_f64().expect("a length")
    };
    let at_pace = ramp(&["--ramp-up", "100"]);
    assert!((0.95..10.0).contains(&at_pace), "{at_pace} s for 100 connections at 100 a second");
    let at_once = ramp(&[]);
    assert!(at_once < at_pace / 2.0, "the control, without a ramp: {at_once} s");
}

#[test]
fn without_a_terminal_a_run_says_how_far_it_is() {
    let node = node(None);
    let ran = run_at(&node, &["--connections", "10", "--rate", "100", "--seconds", "6", "--warm-up", "0"]);
    let line = ran.stderr.lines().find(|line| line.contains("deliveries/s")).unwrap_or_default().to_owned();
    for words in ["publishing: ", "10 connections, ", " deliveries/s, p50 ", " ms, p99 ", " ms, 0 missing"] {
        assert!(line.contains(words), "{words:?} in {line:?}: {}", ran.stderr);
    }
    ran.well();
}
