//! The house rules that no compiler knows. Runs as `cargo xtask tidy` and as a test of this crate.
//!
//! Each check is a function from texts to problems, and has a test that shows it can fail.

mod capacity;
mod channels;
mod documents;
mod layers;
mod operations;
mod paths;
mod picture;
mod sources;
mod suites;
mod versions;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace;
use sources::Tree;

/// Prints every problem.
pub(crate) fn run() -> ExitCode {
    match check() {
        Ok(()) => {
            println!("tidy");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, for this repository.
///
/// # Errors
/// With all problems, one a line.
pub(crate) fn check() -> Result<()> {
    let problems = problems(&Tree::read(workspace::root())?);
    if !problems.is_empty() {
        bail!("{} problems\n{}", problems.len(), problems.join("\n"));
    }
    Ok(())
}

fn problems(tree: &Tree) -> Vec<String> {
    let checks: [fn(&Tree) -> Vec<String>; 12] = [
        layers::check,
        sources::length,
        sources::module_docs,
        channels::check,
        versions::check,
        documents::present,
        documents::in_step,
        operations::check,
        paths::check,
        suites::check,
        capacity::check,
        picture::check,
    ];
    checks.iter().flat_map(|check| check(tree)).collect()
}

#[cfg(test)]
mod tests;
