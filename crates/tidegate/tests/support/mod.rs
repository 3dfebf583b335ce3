//! What tests with whole clusters share: listeners of every door, a backend, the admin port.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod listener;
pub(crate) mod sse;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The deadline of what must happen, on a machine that builds something else meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// Whether tests run in their whole length: `TIDEGATE_TEST_LENGTH=full`.
pub(crate) fn full() -> bool {
    std::env::var("TIDEGATE_TEST_LENGTH").is_ok_and(|length| length == "full")
}

/// The files of the load balancer.
pub(crate) fn nginx_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nginx")
}

/// A line past the test harness, which keeps what a passing test prints.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
