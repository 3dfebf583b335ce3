//! Where tests find what `cargo xtask test` installs: npm packages, a Python environment, Chromium.
//!
//! The folder is `TIDEGATE_TOOLS`, by default `target/tools` of the workspace.

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    std::env::var_os("TIDEGATE_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools"), PathBuf::from)
}

fn there(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: `cargo xtask test` installs it", path.display());
    path
}

/// The folder that holds `node_modules`.
///
/// # Panics
/// When it is not installed.
pub fn npm_dir() -> PathBuf {
    let folder = folder().join("npm");
    there(folder.join("node_modules"));
    folder
}

/// The Python of the virtual environment.
///
/// # Panics
/// When it is not installed.
pub fn python() -> PathBuf {
    there(folder().join("venv/bin/python"))
}

/// Debian's Chromium.
///
/// # Panics
/// When it is not installed.
pub fn chromium() -> PathBuf {
    there(PathBuf::from("/usr/bin/chromium"))
}

/// A program of the virtual environment, such as `hadolint`.
///
/// # Panics
/// When it is not installed.
pub fn python_program(name: &str) -> PathBuf {
    there(folder().join("venv/bin").join(name))
}

/// Autobahn's test suite.
///
/// # Panics
/// When it is not installed.
pub fn wstest() -> PathBuf {
    let path = folder().join("autobahn/bin/wstest");
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask install` installs it where there is Python 2.7",
        path.display()
    );
    path
}

/// A program of tests/go. Where there is no Go, `cargo xtask test` skips the tests that need one: their names start
/// with `go_`, as those of tests that need Java start with `java_`.
///
/// # Panics
/// When it is not built.
pub fn go_program(name: &str) -> PathBuf {
    there(folder().join("go").join(name))
}

/// A program of the machine, if it is there: for checks that go further where they can.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
