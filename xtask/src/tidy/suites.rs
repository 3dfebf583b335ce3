//! Every integration test has its line in the table of what tests need.

use super::sources::Tree;
use crate::suites;

/// The files directly in the `tests` folder of a crate.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let suite = |path: &str| -> Option<String> {
        let (package, file) = path.split_once("/tests/")?;
        let name = file.strip_suffix(".rs")?;
        let top = !package.is_empty() && !package.contains("/src") && !name.contains('/');
        (top && suites::needs(name).is_none()).then(|| name.to_owned())
    };
    let unknown = tree.files().filter_map(|file| Some((&file.path, suite(&file.path)?)));
    unknown
        .map(|(path, name)| format!("{path}: say in xtask/src/suites.rs which tools `{name}` needs"))
        .collect()
}
