//! Who may depend on whom. The table is the map of ARCHITECTURE.md in another form: change both.

use toml::{Table, Value};

use super::sources::Tree;

/// What a crate may use of ours, and what it must not use of others.
struct Layer {
    name: &'static str,
    may: &'static [&'static str],
    must_not: &'static [&'static str],
}

/// What brings sockets, a runtime or Redis into a crate.
const RUNTIMES: &[&str] = &[
    "tokio",
    "tokio-util",
    "tokio-tungstenite",
    "hyper",
    "hyper-util",
    "axum",
    "redis",
    "deadpool-redis",
    "socket2",
];
const SOCKETS: &[&str] = &["tokio-tungstenite", "hyper", "hyper-util", "axum", "httparse", "socket2"];
const REDIS: &[&str] = &["redis", "deadpool-redis"];

const LAYERS: &[Layer] = &[
    Layer { name: "tidegate-core", may: &[], must_not: RUNTIMES },
    Layer { name: "tidegate-protocol", may: &["tidegate-core"], must_not: RUNTIMES },
    Layer { name: "tidegate-redis", may: &[], must_not: SOCKETS },
    Layer { name: "tidegate-metrics", may: &[], must_not: RUNTIMES },
    Layer {
        name: "tidegate-broker",
        may: &["tidegate-core", "tidegate-protocol", "tidegate-redis"],
        must_not: SOCKETS,
    },
    Layer {
        name: "tidegate-gateway",
        may: &["tidegate-broker", "tidegate-core", "tidegate-metrics", "tidegate-protocol", "tidegate-uring"],
        must_not: REDIS,
    },
    Layer { name: "tidegate-client", may: &["tidegate-core", "tidegate-protocol"], must_not: REDIS },
    Layer {
        name: "tidegate",
        may: &["tidegate-client", "tidegate-core", "tidegate-gateway", "tidegate-protocol"],
        must_not: REDIS,
    },
    Layer {
        name: "tidegate-testkit",
        may: &["tidegate-client", "tidegate-core", "tidegate-gateway", "tidegate-protocol"],
        must_not: &[],
    },
    Layer {
        name: "tidegate-loadtest",
        may: &["tidegate-client", "tidegate-core", "tidegate-protocol", "tidegate-uring"],
        must_not: &[],
    },
    Layer { name: "tidegate-uring", may: &[], must_not: RUNTIMES },
    Layer { name: "xtask", may: &[], must_not: RUNTIMES },
];

/// What the core must not name even through the standard library: no I/O, no clock.
const OUTSIDE: [&str; 6] =
    ["std::fs", "std::net::Tcp", "std::net::Udp", "Instant::now(", "SystemTime::now(", "std::thread"];

/// All crates against the table, and the core against its own promise.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let manifests =
        tree.files().filter(|file| file.path != "Cargo.toml" && file.path.ends_with("Cargo.toml"));
    let mut problems: Vec<String> = manifests.flat_map(|file| manifest(&file.path, &file.text)).collect();
    for file in tree.rust().filter(|file| file.path.starts_with("crates/core/")) {
        // What follows the first `mod tests` is tests.
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let named =
            OUTSIDE.iter().filter(|word| code.lines().any(|line| !comment(line) && line.contains(**word)));
        problems.extend(
            named.map(|word| format!("{}: names `{word}`; the core has no I/O and no clock", file.path)),
        );
    }
    problems
}

fn comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn manifest(path: &str, text: &str) -> Vec<String> {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let name = table
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("{path}: say in xtask/src/tidy/layers.rs what `{name}` may depend on")];
    };
    let mut problems = Vec::new();
    for dependency in dependencies(&table) {
        let ours = LAYERS.iter().any(|layer| layer.name == dependency) || dependency.starts_with("tidegate");
        if ours && !layer.may.contains(&dependency) {
            problems.push(format!("{path}: {name} must not depend on {dependency}"));
        }
        if layer.must_not.contains(&dependency) {
            problems.push(format!("{path}: {name} must not depend on {dependency}: see ARCHITECTURE.md"));
        }
    }
    problems
}

/// The names of what is linked into the crate, on any platform. Tests may use whatever they like.
fn dependencies(table: &Table) -> Vec<&str> {
    let platforms = table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = platforms.filter_map(Value::as_table).chain([table]);
    let kinds = tables.flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)));
    kinds
        .flatten()
        .filter_map(Value::as_table)
        .flat_map(|dependencies| {
            // A renamed dependency is known by its package's name.
            dependencies
                .iter()
                .map(|(key, value)| value.get("package").and_then(Value::as_str).unwrap_or(key))
        })
        .collect()
}
