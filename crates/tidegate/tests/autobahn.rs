//! RFC 6455 by the Autobahn test suite: its cases 1 to 10, against an echo through the gateway's own connection code.
//!
//! The echo is a node like any other with one door more (`crates/gateway/src/doors/echo.rs`): front, frames, outbox and
//! task are the product's. Sections 12 and 13 are about compression, which no node offers.

#[path = "autobahn/naive.rs"]
mod naive;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::say;
use tidegate_testkit::autobahn::{self, Exception, Index};
use tidegate_testkit::{Node, echo_binary};

/// What the suite may take: 10 s on two idle cores, 41 s with three programs beside it that never rest.
const PATIENCE: Duration = Duration::from_secs(300);

/// Section 9 has messages of 16 MiB, which wait in an outbox when they go back. The limits of the product have tests of
/// their own.
const LIMITS: &str = "[limits]\nmessage = \"16MiB\"\noutbox = \"64MiB\"\n";

/// The sections. The long messages of the ninth run beside the others, which wait most of their time.
const SECTIONS: [&[&str]; 2] = [&["9.*"], &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]];

/// How many cases these are.
const CASES: usize = 301;

/// What is other than `OK`, and why that is right.
const EXCEPTIONS: [Exception; 5] = [
    // Text that is wrong is refused at the end of its frame, not at its first wrong byte.
    ("6.4.3", "NON-STRICT", "OK"),
    ("6.4.4", "NON-STRICT", "OK"),
    // The suite itself expects nothing here: data behind a close, codes from 5000 on.
    ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
    ("7.13.1", "INFORMATIONAL", "INFORMATIONAL"),
    ("7.13.2", "INFORMATIONAL", "INFORMATIONAL"),
];

/// Problems as one line.
fn line(problems: &str) -> String {
    let all: Vec<&str> = problems.lines().collect();
    let more = if all.len() > 3 { format!("; {} more", all.len() - 3) } else { String::new() };
    format!("{}{more}", all[..all.len().min(3)].join("; "))
}

#[test]
fn every_case_of_rfc_6455_is_as_expected() {
    let node =
        Node::builder(echo_binary().expect("the echo builds")).config(LIMITS).start().expect("it starts");
    let url = format!("ws://{}/echo", node.public_addr());
    let start = Instant::now();
    let index: Index = thread::scope(|scope| {
        let parts = SECTIONS.map(|cases| scope.spawn(|| autobahn::fuzz(&url, cases, PATIENCE)));
        parts.into_iter().flat_map(|part| part.join().expect("no panic").expect("the suite runs")).collect()
    });
    let (count, seconds) = (index.len(), start.elapsed().as_secs_f64());
    say(&format!("Autobahn: {count} cases in {seconds:.1} s: {}", autobahn::summary(&index)));
    if let Err(problems) = autobahn::judge(&index, CASES, &EXCEPTIONS) {
        panic!("{problems}");
    }

    // The same judge, when one case of these fails.
    let mut planted = index;
    planted.get_mut("1.1.1").expect("it ran").behavior = "FAILED".to_owned();
    let found = autobahn::judge(&planted, CASES, &EXCEPTIONS).expect_err("it is found");
    say(&format!("Autobahn, control: a planted failure: {}", line(&found)));
}

#[test]
fn a_naive_echo_fails() {
    let url = format!("ws://{}/", naive::start());
    let index =
        autobahn::fuzz(&url, &["3.*", "6.2.*", "6.3.*", "7.3.*", "7.9.*"], PATIENCE).expect("it runs");
    let found = autobahn::judge(&index, index.len(), &[]).expect_err("it checks nothing");
    let count = found.lines().count();
    say(&format!(
        "Autobahn, control: an echo that checks nothing fails {count} of {}: {}",
        index.len(),
        line(&found)
    ));
    let failed = |section: &str| {
        index.iter().any(|(id, verdict)| {
            id.starts_with(section) && (verdict.behavior == "FAILED" || verdict.close == "WRONG CODE")
        })
    };
    assert!(failed("3."), "reserved bits: {found}");
    assert!(failed("6.3."), "text that is no UTF-8: {found}");
    assert!(failed("7.9."), "codes that must not be sent: {found}");
    assert!(!failed("6.2."), "what is valid it gives back: {found}");
}

#[test]
fn a_server_that_is_not_there_fails() {
    let url = format!("ws://127.0.0.1:{}/echo", tidegate_testkit::free_port());
    let index = autobahn::fuzz(&url, &["1.*"], PATIENCE).expect("the suite ends with success");
    let found = autobahn::judge(&index, 16, &[]).expect_err("nothing ran");
    say(&format!("Autobahn, control: nobody listens: {}", line(&found)));
    assert_eq!(found, "0 cases ran, 16 were expected");
}
