//! The picture of docs/performance.md is the one that its figures make.

use super::sources::Tree;
use crate::picture::{self, INPUT, MEASURED, PICTURE, TABLE};

/// Compares the two.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let [Some(measured), Some(table), Some(input)] = [MEASURED, TABLE, INPUT].map(|path| tree.text(path))
    else {
        return Vec::new();
    };
    match picture::draw(measured, table, input) {
        Err(error) => vec![format!("{PICTURE}: {error:#}")],
        Ok(drawn) if Some(drawn.as_str()) != tree.text(PICTURE) => {
            vec![format!("{PICTURE} is not what its figures make: `cargo xtask docs` draws it anew")]
        }
        Ok(_) => Vec::new(),
    }
}
