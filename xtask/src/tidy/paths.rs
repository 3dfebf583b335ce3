//! Nothing in the repository knows the machine that it was written on.

use super::sources::Tree;

/// Put together, so that this file does not find itself.
const FOREIGN: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/tmp/", "bash_jobs"), concat!("\"resol", "ved\":")];

/// No path of one machine, no address of one registry.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.files() {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = FOREIGN.iter().find(|word| line.contains(**word)) {
                problems.push(format!("{}:{}: `{word}` belongs to one machine", file.path, number + 1));
            }
        }
    }
    problems
}
