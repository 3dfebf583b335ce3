//! The page of sizes is the one that its figures make.

use super::sources::Tree;
use crate::capacity::{self, INPUT, PAGE};

/// Compares the two.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(input) = tree.text(INPUT) else { return Vec::new() };
    match capacity::page(input) {
        Err(error) => vec![format!("{INPUT}: {error:#}")],
        Ok(page) if Some(page.as_str()) != tree.text(PAGE) => {
            vec![format!("{PAGE} is not what {INPUT} makes: `cargo xtask docs` writes it anew")]
        }
        Ok(_) => Vec::new(),
    }
}
