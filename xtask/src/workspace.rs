//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root: the folder above this crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}

/// Cargo's target folder, as the environment says or where cargo puts it.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Where the packages that tests need are installed. Tests find it through the same variable.
pub(crate) fn tools() -> PathBuf {
    env::var_os("TIDEGATE_TOOLS").map_or_else(|| target().join("tools"), |folder| root().join(folder))
}

/// The release binary of a package.
pub(crate) fn binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// `cargo` with these arguments, in the root.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments).env("TIDEGATE_TOOLS", tools());
    // Set by the cargo that runs us, and wrong for the packages that the new one builds.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}
