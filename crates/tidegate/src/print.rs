//! The only place that writes to standard output and, beside the log, to standard error.
//!
//! A reader that has gone (`| head`) is no failure: what cannot be written is not.

use std::io::{self, Write, stderr, stdout};

/// One line of result on standard output.
pub(crate) fn line(line: &str) {
    let _ = try_line(line);
}

/// As [`line`], for who ends when nobody reads any more.
pub(crate) fn try_line(line: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Text of several lines on standard output.
pub(crate) fn text(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// One line for people on standard error.
pub(crate) fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
