//! Debian's packages.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program;

/// Installs packages, as root or through a sudo that asks nothing.
///
/// # Errors
/// When this is no Debian, we may not, or apt-get fails; the message names the packages.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if program::find("apt-get").is_none() {
        bail!("please install what Debian calls {list} (there is no apt-get here), or use --no-install");
    }
    println!("installing Debian packages: {list}");
    let wrong = || format!("please install these packages yourself: {list}; or use --no-install");
    let mut failed = apt(&["update", "-qq"]).err();
    let mut arguments = vec!["install", "--yes", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    match apt(&arguments) {
        Ok(()) => Ok(()),
        Err(error) => Err(failed.take().unwrap_or(error)).with_context(wrong),
    }
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        // -n: fail rather than ask, there may be nobody to answer.
        sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        sudo
    };
    program::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
