//! What tests with whole clusters share: listeners of every door, a backend, the admin port.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod listener;
pub(crate) mod peer;
pub(crate) mod sse;

use std::path::{Path, PathBuf};
use std::time::Duration;

#[allow(unused_imports, reason = "each test uses its part")]
pub(crate) use tidegate_testkit::{full, say};

/// The deadline of what must happen, on a machine that builds something else meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// The files of the load balancer.
pub(crate) fn nginx_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nginx")
}
