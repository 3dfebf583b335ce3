//! What the tests need besides Rust and a C compiler: what is missing, and installing it.
//!
//! Programs come from Debian's packages; packages of npm, PyPI and Go go to target/tools, from the lists under tests/.

mod apt;
mod packages;

use anyhow::{Result, bail};

use crate::program;

/// Something that a test cannot run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Redis,
    Nginx,
    Prometheus,
    Curl,
    /// Chromium; driving it also needs `Node`.
    Browser,
    /// Node with the packages of tests/npm.
    Node,
    /// A virtual environment with the packages of tests/python.
    Python,
    /// The programs of tests/go. Go itself is never installed: who has none skips the few tests that need it.
    Go,
}

impl Tool {
    const NEEDED: [Self; 7] =
        [Self::Redis, Self::Nginx, Self::Prometheus, Self::Curl, Self::Browser, Self::Node, Self::Python];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Nginx => "nginx",
            Self::Prometheus => "prometheus",
            Self::Curl => "curl",
            Self::Browser => "chromium",
            Self::Node => "the packages of tests/npm",
            Self::Python => "the packages of tests/python",
            Self::Go => "go",
        }
    }

    /// The programs it needs on the machine, each with the Debian package that brings it.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Redis => &[("redis-server", "redis-server"), ("redis-cli", "redis-tools")],
            Self::Nginx => &[("nginx", "nginx")],
            Self::Prometheus => &[("promtool", "prometheus")],
            Self::Curl => &[("curl", "curl")],
            Self::Browser => &[("chromium", "chromium")],
            Self::Node => &[("node", "nodejs"), ("npm", "npm")],
            Self::Python => &[("python3", "python3")],
            Self::Go => &[],
        }
    }

    /// Whether tests that need it can run now.
    pub(crate) fn present(self) -> bool {
        self.programs().iter().all(|(program, _)| program::find(program).is_some())
            && match self {
                Self::Node => packages::npm_in_step(),
                Self::Python => packages::python_in_step(),
                Self::Go => packages::go_in_step(),
                _ => true,
            }
    }
}

/// The tools that are missing now.
pub(crate) fn missing() -> Vec<Tool> {
    let mut missing: Vec<Tool> = Tool::NEEDED.into_iter().filter(|tool| !tool.present()).collect();
    if !Tool::Go.present() {
        missing.push(Tool::Go);
    }
    missing
}

/// Installs what is missing, saying what it does.
///
/// # Errors
/// When something cannot be installed. Go's programs are optional and only said to be missing.
pub(crate) fn install() -> Result<()> {
    let mut wanted: Vec<&str> = Tool::NEEDED
        .iter()
        .flat_map(|tool| tool.programs())
        .filter(|(program, _)| program::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !packages::python_makes_environments() {
        wanted.push("python3-venv");
    }
    wanted.dedup();
    if !wanted.is_empty() {
        apt::install(&wanted)?;
    }
    packages::npm()?;
    packages::python()?;
    if let Err(error) = packages::go() {
        println!("Go's test programs cannot be built, the tests that need them are skipped: {error:#}");
    }
    let left: Vec<&str> = missing().into_iter().filter(|tool| *tool != Tool::Go).map(Tool::name).collect();
    if !left.is_empty() {
        bail!("still missing after the installation: {}", left.join(", "));
    }
    Ok(())
}

/// Fails with a sentence if one of these is not there.
///
/// # Errors
/// When one is missing.
pub(crate) fn require(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|tool| !tool.present()).map(|tool| tool.name()).collect();
    if !missing.is_empty() {
        bail!("not installed: {}. `cargo xtask install` installs it on Debian", missing.join(", "));
    }
    Ok(())
}
