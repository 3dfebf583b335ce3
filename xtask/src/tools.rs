//! What the tests need besides Rust and a C compiler: what is missing, and installing it.
//!
//! Programs come from Debian's packages; packages of npm, PyPI and Go go to target/tools, from the lists under tests/.

mod apt;
mod packages;
mod python2;

use std::path::PathBuf;

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
    /// The programs of tests/go. Go itself is never installed, since Debian's is too old for them.
    Go,
    /// Autobahn's test suite, in a virtual environment of Python 2.7. That is never installed: who has none skips the
    /// test that needs it, unless all must run.
    Autobahn,
    /// A JDK: with the compiler, as `java File.java` needs it.
    Java,
    /// For `cargo xtask instructions` only.
    Valgrind,
}

impl Tool {
    const NEEDED: [Self; 7] =
        [Self::Redis, Self::Nginx, Self::Prometheus, Self::Curl, Self::Browser, Self::Node, Self::Python];
    /// Who has none skips the few tests that need it.
    pub(crate) const OPTIONAL: [Self; 3] = [Self::Go, Self::Java, Self::Autobahn];

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
            Self::Autobahn => "Autobahn's test suite, which needs Python 2.7",
            Self::Java => "java",
            Self::Valgrind => "valgrind",
        }
    }

    /// What to do where it is missing, if tests may be left out for want of it only as long as nobody asked for all.
    pub(crate) fn advice(self) -> Option<&'static str> {
        match self {
            Self::Autobahn if python2::find().is_none() => Some(python2::ADVICE),
            Self::Autobahn => Some("Autobahn's test suite is missing: `cargo xtask install` installs it"),
            Self::Java => Some("there is no JDK: `cargo xtask install` installs one on Debian"),
            _ => None,
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
            Self::Python | Self::Autobahn => &[("python3", "python3")],
            Self::Java => &[("java", "default-jre-headless"), ("javac", "default-jdk-headless")],
            Self::Valgrind => &[("valgrind", "valgrind")],
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
                Self::Autobahn => python2::in_step(),
                _ => true,
            }
    }
}

/// The tools that are missing now.
pub(crate) fn missing() -> Vec<Tool> {
    Tool::NEEDED.into_iter().chain(Tool::OPTIONAL).filter(|tool| !tool.present()).collect()
}

/// Installs what is missing, saying what it does.
///
/// # Errors
/// When something cannot be installed. What is optional is only said to be missing.
pub(crate) fn install() -> Result<()> {
    let mut wanted = packages_for(&Tool::NEEDED);
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
    python2::autobahn()?;
    let optional = packages_for(&Tool::OPTIONAL);
    if !optional.is_empty()
        && let Err(error) = apt::install(&optional)
    {
        println!("the tests that need it are skipped: {error:#}");
    }
    let needed = |tool: &Tool| !Tool::OPTIONAL.contains(tool);
    let left: Vec<&str> = missing().into_iter().filter(needed).map(Tool::name).collect();
    if !left.is_empty() {
        bail!("still missing after the installation: {}", left.join(", "));
    }
    Ok(())
}

/// Where the servers are that the benchmark measures beside ours; installed if npm is there.
///
/// # Errors
/// When they cannot be installed: the benchmark goes on without them.
pub(crate) fn peers() -> Result<PathBuf> {
    packages::peers()
}

/// What counts instructions; installed if it is missing.
///
/// # Errors
/// When it cannot be installed.
pub(crate) fn valgrind() -> Result<()> {
    let wanted = packages_for(&[Tool::Valgrind]);
    if wanted.is_empty() { Ok(()) } else { apt::install(&wanted) }
}

/// The Debian packages of the programs that these tools lack.
fn packages_for(tools: &[Tool]) -> Vec<&'static str> {
    let programs = tools.iter().flat_map(|tool| tool.programs());
    programs.filter(|(program, _)| program::find(program).is_none()).map(|(_, package)| *package).collect()
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
