//! Documents say what the code says: the map has every crate, the tables have every code and every metric.

use std::collections::BTreeSet;

use super::sources::Tree;

const DOCUMENTS: [&str; 14] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/api.md",
    "docs/benchmarks.md",
    "docs/capacity.md",
    "docs/clients.md",
    "docs/configuration.md",
    "docs/delivery.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/protocol.md",
    "docs/redis.md",
];
/// What Prometheus adds to the name of a histogram.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Each is there and says something.
pub(super) fn present(tree: &Tree) -> Vec<String> {
    let missing = |path: &&str| tree.text(path).is_none_or(|text| text.trim().is_empty());
    DOCUMENTS.into_iter().filter(missing).map(|path| format!("{path} is missing")).collect()
}

/// Crates, codes and metrics.
pub(super) fn in_step(tree: &Tree) -> Vec<String> {
    let mut problems = crates(tree);
    problems.extend(codes(tree));
    problems.extend(metrics(tree));
    problems
}

fn crates(tree: &Tree) -> Vec<String> {
    let map = tree.text("ARCHITECTURE.md").unwrap_or_default();
    let folders: BTreeSet<&str> = tree
        .files()
        .filter_map(|file| file.path.strip_prefix("crates/")?.split_once('/'))
        .filter(|(_, file)| *file == "Cargo.toml")
        .map(|(folder, _)| folder)
        .collect();
    let has_line = |folder: &str| {
        let full = format!("crates/{folder}");
        map.lines().any(|line| line.contains(&full) || line.trim_start().starts_with(&format!("{folder}/")))
    };
    let missing = folders.into_iter().filter(|folder| !has_line(folder));
    missing.map(|folder| format!("ARCHITECTURE.md: no line for crates/{folder}")).collect()
}

/// Every code that clients see is explained in docs/protocol.md: words of errors, numbers of closes.
fn codes(tree: &Tree) -> Vec<String> {
    let page = tree.text("docs/protocol.md").unwrap_or_default();
    let Some(code) = tree.text("crates/protocol/src/codes.rs") else { return Vec::new() };
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let (errors, closes) = code.split_once("const CLOSES").unwrap_or((code, ""));
    let words = literals(errors).into_iter().map(|word| format!("`{word}`"));
    let number = |word: &&str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let closes = closes.split("];").next().unwrap_or_default();
    let numbers = closes.split([',', ' ', '(']).filter(number).map(str::to_owned);
    let missing = words.chain(numbers).filter(|code| !page.contains(code.as_str()));
    missing.map(|code| format!("docs/protocol.md does not name the code {code}")).collect()
}

/// Documents and deploy/ name no metric that is not there, and every metric is named in docs/.
fn metrics(tree: &Tree) -> Vec<String> {
    let sources = tree.rust().filter(|file| file.path.starts_with("crates/metrics/src/"));
    let there: BTreeSet<&str> = sources
        .flat_map(|file| registered(file.text.split("#[cfg(test)]").next().unwrap_or_default()))
        .map(|name| name.strip_prefix("tidegate_").unwrap_or(name))
        .collect();
    if there.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for file in tree.files().filter(|file| names_metrics(&file.path)) {
        for name in mentioned(&file.text) {
            let base = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            if let Some(known) = [name, base].into_iter().find(|name| there.contains(name)) {
                if file.path.starts_with("docs/") {
                    named.insert(known);
                }
            } else {
                problems.push(format!("{}: there is no metric tidegate_{name}", file.path));
            }
        }
    }
    problems.extend(
        there.difference(&named).map(|name| format!("docs/ does not name the metric tidegate_{name}")),
    );
    problems
}

fn names_metrics(path: &str) -> bool {
    path == "README.md" || path.starts_with("docs/") && path.ends_with(".md") || path.starts_with("deploy/")
}

/// The names after `tidegate_`, but not those of crates, and not wildcards such as `tidegate_redis_*`.
fn mentioned(text: &str) -> Vec<&str> {
    let found = text.match_indices("tidegate_").filter_map(|(at, prefix)| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text[..at].chars().next_back().is_some_and(|c| word(c) || c == '/') {
            return None;
        }
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        (!name.is_empty() && !name.ends_with('_') && !after.starts_with("::") && !after.starts_with('='))
            .then_some(name)
    });
    found.collect()
}

/// The first string of each call that makes a metric: `Opts::new("name"`, `counter(registry, "name"`, `("name", …`.
/// Labels and help texts are no names: a name is followed by its help text, a string with a space or a capital.
fn registered(code: &str) -> Vec<&str> {
    let strings: Vec<(usize, usize, &str)> = spans(code);
    let pairs = strings.windows(2).filter(|pair| {
        let [(_, end, name), (start, _, help)] = pair else { return false };
        let between = &code[*end..*start];
        is_name(name) && between.trim_matches(['"', ',', ' ', '\n']).is_empty() && help.contains(' ')
    });
    pairs.map(|pair| pair[0].2).collect()
}

/// All strings that look like the name of a code.
fn literals(code: &str) -> BTreeSet<&str> {
    spans(code).into_iter().map(|(_, _, text)| text).filter(|text| is_name(text)).collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
}

/// String literals outside comments: where each begins and ends, and what is in it. Escapes do not matter for names.
fn spans(code: &str) -> Vec<(usize, usize, &str)> {
    let mut spans = Vec::new();
    let mut offset = 0;
    for line in code.split_inclusive('\n') {
        if !line.trim_start().starts_with("//") {
            let mut quotes = line.match_indices('"').map(|(at, _)| at);
            while let (Some(start), Some(end)) = (quotes.next(), quotes.next()) {
                spans.push((offset + start, offset + end + 1, &line[start + 1..end]));
            }
        }
        offset += line.len();
    }
    spans
}
