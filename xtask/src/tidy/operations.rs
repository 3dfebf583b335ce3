//! docs/operations.md explains what an operator meets: every line of level warn and error, every reason not to be ready, every
//! alert, every directive of the load balancer.

use std::collections::BTreeSet;

use super::sources::Tree;

const PAGE: &str = "docs/operations.md";
/// The heading over the table of log lines.
const LINES: &str = "### Every line of level warn and error";
/// What nginx needs only to run at all, here and there.
const PLAIN: [&str; 12] = [
    "access_log",
    "daemon",
    "default_type",
    "error_log",
    "events",
    "http",
    "include",
    "listen",
    "location",
    "pid",
    "server",
    "server_tokens",
];

/// All of it.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.text(PAGE) else { return vec![format!("{PAGE} is missing")] };
    let mut problems = log_lines(tree, page);
    let mut missing = |what: &str, texts: Vec<String>| {
        let unknown = texts.into_iter().filter(|text| !page.contains(text.as_str()));
        problems.extend(unknown.map(|text| format!("{PAGE} does not explain the {what} {text}")));
    };
    missing("reason", reasons(tree));
    missing("alert", alerts(tree));
    missing("directive", directives(tree));
    problems
}

/// Both ways: every line has its row, every row its line.
fn log_lines(tree: &Tree, page: &str) -> Vec<String> {
    let files = tree.rust().filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"));
    let there: BTreeSet<&str> = files.flat_map(|file| messages(&file.text)).collect();
    let table = page.split_once(LINES).map_or("", |(_, rest)| rest);
    let table = table.split("\n#").next().unwrap_or_default();
    let rows: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|row| row.0)
        .collect();
    let unexplained =
        there.difference(&rows).map(|line| format!("{PAGE} does not explain the log line {line:?}"));
    let gone = rows.difference(&there).map(|line| format!("{PAGE}: no code logs {line:?} as warn or error"));
    unexplained.chain(gone).collect()
}

/// The texts of all `warn!` and `error!`, tests excepted: the last string before the closing bracket.
fn messages(code: &str) -> Vec<&str> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = ["warn!(", "error!("].iter().flat_map(|name| code.match_indices(name));
    let text = |(at, _): (usize, &str)| {
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") {
            return None;
        }
        let call = code[at..].split(");").next()?;
        let end = call.rfind('"')?;
        let start = call[..end].rfind('"')?;
        Some(&call[start + 1..end])
    };
    calls.filter_map(text).collect()
}

/// What `/health/ready` may say.
fn reasons(tree: &Tree) -> Vec<String> {
    let code = tree.text("crates/gateway/src/node.rs").unwrap_or_default();
    let Some((_, body)) = code.split_once("fn not_ready(") else { return Vec::new() };
    let body = body.split("\n    }\n").next().unwrap_or_default();
    body.split("Some(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn alerts(tree: &Tree) -> Vec<String> {
    let rules = tree.text("deploy/prometheus/rules.yml").unwrap_or_default();
    rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(|name| format!("`{name}`"))
        .collect()
}

fn directives(tree: &Tree) -> Vec<String> {
    let file = tree.text("deploy/nginx/nginx.conf").unwrap_or_default();
    let words = file.lines().map(str::trim).filter(|line| line.ends_with([';', '{'])).filter_map(|line| {
        let word = line.split([' ', ';']).next()?;
        (word.starts_with(|c: char| c.is_ascii_lowercase())
            && line.contains(' ')
            && !PLAIN.contains(&word)
            && !word.ends_with("_temp_path"))
        .then(|| format!("`{word}"))
    });
    words.filter(|word| word != "`default").collect()
}
