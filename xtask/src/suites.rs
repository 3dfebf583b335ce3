//! Which tests need which tools. A new integration test gets its line here; `cargo xtask tidy` reminds of it.

use crate::tools::Tool::{self, Autobahn, Browser, Curl, Nginx, Node, Prometheus, Python, Redis};

/// Integration tests (the files in `tests/` of a crate) and what they cannot run without.
const SUITES: &[(&str, &[Tool])] = &[
    ("autobahn", &[Autobahn]),
    ("bad_input", &[]),
    ("browser", &[Browser, Node]),
    ("clients", &[Redis, Node, Python]),
    ("closing", &[]),
    ("cluster", &[Redis, Nginx]),
    ("cluster_command", &[Redis, Nginx]),
    ("conformance", &[Redis]),
    ("deploy", &[Redis, Nginx, Python, Prometheus]),
    ("documents", &[]),
    ("failovers", &[Redis]),
    ("faults", &[Redis, Nginx]),
    ("floor", &[]),
    ("in_process", &[]),
    ("outages", &[Redis]),
    ("readme", &[Redis, Nginx, Curl]),
    ("redis", &[Redis]),
    ("serve", &[]),
    ("server", &[]),
    ("sizes", &[]),
    ("topologies", &[Redis]),
];

/// Packages whose unit tests start servers.
const PACKAGES: &[(&str, &[Tool])] =
    &[("tidegate-broker", &[Redis]), ("tidegate-redis", &[Redis]), ("tidegate-testkit", &[Redis, Nginx])];

/// Tests whose name starts with this need Go, which not everybody has: they are skipped, and named, without it.
pub(crate) const GO_PREFIX: &str = "go_";

/// What an integration test needs; `None` if nobody has said.
pub(crate) fn needs(suite: &str) -> Option<&'static [Tool]> {
    SUITES.iter().find(|(name, _)| *name == suite).map(|(_, tools)| *tools)
}

/// The packages whose unit tests cannot run without one of these tools.
pub(crate) fn packages_without<'a>(missing: &'a [Tool]) -> impl Iterator<Item = &'static str> + 'a {
    PACKAGES
        .iter()
        .filter(|(_, tools)| tools.iter().any(|tool| missing.contains(tool)))
        .map(|(name, _)| *name)
}
