//! How long tests run, and what they say of what they saw.

use std::io::Write;

/// Whether tests run in their whole length: `TIDEGATE_TEST_LENGTH=full`.
pub fn full() -> bool {
    std::env::var("TIDEGATE_TEST_LENGTH").is_ok_and(|length| length == "full")
}

/// A figure, past the test harness, which keeps what a passing test prints: `what: how it was`. `cargo xtask faults`
/// names a file, and makes a table of what was said.
///
/// # Panics
/// When that file cannot be written.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("TIDEGATE_RESULTS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        writeln!(file.expect("a file for results"), "{line}").expect("results are kept");
    }
}
