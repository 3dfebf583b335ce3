//! Sizing on paper: docs/capacity.toml in, docs/capacity.md out.
//!
//! Nothing here measures or simulates. Every figure comes from the input file with its source; the model is a few formulas, which the
//! page explains. It must not know how a node works.

mod inputs;
mod model;
mod page;
#[cfg(test)]
mod tests;

use anyhow::Result;

/// What it is computed from, and what is made of it.
pub(crate) const INPUT: &str = "docs/capacity.toml";
pub(crate) const PAGE: &str = "docs/capacity.md";

/// The page that this input makes.
///
/// # Errors
/// When a figure is missing, has no source or is none.
pub(crate) fn page(input: &str) -> Result<String> {
    let inputs = inputs::Inputs::parse(input)?;
    Ok(page::write(&inputs))
}
