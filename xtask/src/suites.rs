//! Which tests need which tools. A new integration test gets its line here; `cargo xtask tidy` reminds of it.

use crate::tools::Tool::{self, Autobahn, Browser, Curl, Nginx, Node, Prometheus, Python, Redis};

/// Integration tests (the files in `tests/` of a crate) and what they cannot run without.
const SUITES: &[(&str, &[Tool])] = &[
    ("autobahn", &[Autobahn]),
    ("bad_input", &[Redis]),
    ("bench_smoke", &[Redis]),
    ("benchmarks", &[]),
    ("browser", &[Browser, Node]),
    ("canary", &[Redis]),
    ("clients", &[Redis, Node, Python]),
    ("clients_page", &[Browser, Node, Python, Curl]),
    ("closing", &[]),
    ("cluster", &[Redis, Nginx]),
    ("cluster_command", &[Redis, Nginx]),
    ("confirming", &[Redis]),
    ("conformance", &[Redis]),
    ("declared_lengths", &[]),
    ("deploy", &[Redis, Nginx, Python, Prometheus]),
    ("descriptors", &[Redis]),
    ("dialling", &[]),
    ("documents", &[]),
    ("failovers", &[Redis]),
    ("faults", &[Redis, Nginx]),
    ("floor", &[]),
    ("history", &[Redis]),
    ("history_api", &[Redis]),
    ("in_process", &[]),
    ("library", &[Redis]),
    ("nothing_lost", &[Redis, Node, Python]),
    ("outages", &[Redis]),
    ("overload", &[Redis]),
    ("processes", &[Redis]),
    ("readme", &[Redis, Nginx, Curl]),
    ("redis", &[Redis]),
    ("replicated", &[Redis]),
    ("report", &[]),
    ("report_page", &[Browser, Node]),
    ("resume", &[Redis]),
    ("rust_client", &[]),
    ("rust_client_faults", &[Redis, Nginx]),
    ("scenarios", &[Redis]),
    ("serve", &[]),
    ("server", &[]),
    ("sizes", &[]),
    ("slow_peers", &[]),
    ("soak", &[Redis]),
    ("stock", &[Browser, Node, Python, Curl]),
    ("through_redis", &[Redis]),
    ("topologies", &[Redis]),
];

/// The feature that lets lanes send over io_uring, and the integration tests that run with it once more.
pub(crate) const RINGS: &str = "tidegate/uring,tidegate-loadtest/uring";
pub(crate) const OVER_RINGS: [&str; 4] = ["cluster", "floor", "overload", "slow_peers"];

/// Packages whose unit tests start servers.
const PACKAGES: &[(&str, &[Tool])] =
    &[("tidegate-broker", &[Redis]), ("tidegate-redis", &[Redis]), ("tidegate-testkit", &[Redis, Nginx])];

/// Tests whose name starts so need what not everybody has: they are skipped, and named, without it.
const BY_NAME: [(&str, Tool); 2] = [("go_", Tool::Go), ("java_", Tool::Java)];

/// What a single test needs besides what its file does; `name` is its path.
pub(crate) fn needs_by_name(name: &str) -> Option<Tool> {
    let name = name.rsplit("::").next().unwrap_or(name);
    BY_NAME.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, tool)| *tool)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_by_its_name_what_it_needs() {
        assert_eq!(needs_by_name("go_redis_reaches_a_subscriber"), Some(Tool::Go));
        assert_eq!(needs_by_name("some::java_starts"), Some(Tool::Java));
        assert_eq!(needs_by_name("java::starts"), None);
        assert_eq!(needs_by_name("it_does_not_go_on"), None);
    }
}
