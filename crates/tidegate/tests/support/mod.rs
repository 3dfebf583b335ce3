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

/// A figure, past the test harness, which keeps what a passing test prints: `what: how it was`. `cargo xtask faults`
/// names a file, and makes a table of what was said.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("TIDEGATE_RESULTS") {
        let mut file =
            std::fs::File::options().create(true).append(true).open(path).expect("a file for results");
        writeln!(file, "{line}").expect("results are kept");
    }
}
