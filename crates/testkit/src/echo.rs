//! The node with the echo door: an example of the gateway's crate, built with a feature that nothing else switches on.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::run;

/// A build, on a machine that has built nothing yet.
const PATIENCE: Duration = Duration::from_secs(80 * 60);

/// Builds the echo, unless it is up to date, and says where it is. [`Node::builder`](crate::Node::builder) starts it.
///
/// It cannot be a binary of a package beside the others: cargo would switch the feature on for the product too, in
/// every build of the whole workspace. `cargo xtask test` builds it before the tests run.
///
/// # Errors
/// When it does not build; the message is the compiler's.
pub fn echo_binary() -> Result<PathBuf> {
    let this = std::env::current_exe()?; // target/<profile>/deps/<test>
    let target = this.ancestors().nth(3).context("a test lies in cargo's target folder")?;
    let mut command = Command::new(env!("CARGO"));
    // As in `cargo xtask test`: another selection of packages would build their dependencies anew.
    command
        .args(["build", "--release", "--locked", "--workspace"])
        .args(["--features", "tidegate-gateway/echo", "--example", "echo", "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    // Set by the cargo that runs us, and wrong for the packages that the new one builds.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    run(&mut command, PATIENCE).context("the echo does not build")?;
    Ok(target.join("release/examples/echo"))
}
