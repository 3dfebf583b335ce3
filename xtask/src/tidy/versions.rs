//! Versions below which a dependency has a known hole, or a defect that we have met.

use toml::{Table, Value};

use super::sources::Tree;

/// Name, first good version, why.
const LEAST: &[(&str, [u64; 3], &str)] = &[
    ("bytes", [1, 11, 1], "RUSTSEC-2026-0007"),
    ("h2", [0, 4, 16], "security: the oldest version we accept"),
    ("jsonwebtoken", [10, 3, 0], "CVE-2026-25537"),
    ("quinn-proto", [0, 11, 15], "security: the oldest version we accept"),
    ("redis", [1, 8, 0], "earlier, a subscription to several channels returned at the first confirmation"),
    ("rustls", [0, 23, 18], "security: the oldest version we accept"),
    ("rustls-webpki", [0, 103, 13], "security: the oldest version we accept"),
    ("tracing-subscriber", [0, 3, 20], "RUSTSEC-2025-0055: escape sequences in logs"),
    ("tungstenite", [0, 20, 1], "RUSTSEC-2023-0065"),
];

/// What must not be there in any version.
const NEVER: &[(&str, &str)] = &[("rsa", "RUSTSEC-2023-0071 has no fix"), ("bincode", "nobody maintains it")];

/// Cargo.lock against the table.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text("Cargo.lock") else {
        return vec!["Cargo.lock is missing".to_owned()];
    };
    let lock: Table = match text.parse() {
        Ok(lock) => lock,
        Err(error) => return vec![format!("Cargo.lock: {error}")],
    };
    let mut problems = Vec::new();
    for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
        let field = |key| package.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, version) = (field("name"), field("version"));
        for (_, least, why) in LEAST.iter().filter(|(other, ..)| *other == name) {
            if numbers(version) < *least {
                let [major, minor, patch] = least;
                problems
                    .push(format!("Cargo.lock: {name} {version}, at least {major}.{minor}.{patch}: {why}"));
            }
        }
        for (_, why) in NEVER.iter().filter(|(other, _)| *other == name) {
            problems.push(format!("Cargo.lock: {name} must not be there: {why}"));
        }
    }
    problems
}

/// The three numbers of a version; what follows them (`-rc.1`, `+build`) does not matter here.
fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}
