//! Every queue is bounded. clippy.toml forbids the same for two functions; this finds every spelling.

use super::sources::Tree;

/// Names that only unbounded channels have. Put together, so that this file does not find itself.
const NAMES: [&str; 5] = [
    concat!("unbounded", "_channel"),
    concat!("Unbounded", "Sender"),
    concat!("Unbounded", "Receiver"),
    concat!("unbounded", "("),
    concat!("unbounded", "::<"),
];

/// No unbounded channel outside tests.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.rust() {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if NAMES.iter().any(|name| code.contains(name)) || channel_without_a_bound(code) {
                problems.push(format!(
                    "{}:{}: a channel without a bound; give it one, and say what overflow does",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    problems
}

/// `channel()` or `channel::<T>()`: bounded ones take a number.
fn channel_without_a_bound(code: &str) -> bool {
    code.match_indices("channel").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        // `fn channel()`, `self.channel()` and `sync_channel` are something else; a oneshot holds one value at most.
        let other = ["fn ", "oneshot::"].iter().any(|prefix| code[..at].ends_with(prefix));
        let alone = !other && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let rest = &code[at + word.len()..];
        let rest = match rest.strip_prefix("::<") {
            Some(generic) => generic.split_once(">(").map_or("", |(_, rest)| rest),
            None => rest.strip_prefix('(').unwrap_or_default(),
        };
        alone && rest.starts_with(')')
    })
}
