//! The report as one page that needs nothing else: styles, pictures and a few lines of script are inside.
//!
//! [`page`] is the text around, [`charts`] says what is drawn, [`chart`] draws it on two [`scale`]s. The page is
//! well-formed as XML too, and asks the network for nothing; its policy forbids it to.

pub mod chart;
pub mod charts;
pub mod page;
pub mod scale;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Report;

impl Report {
    /// Writes it as a page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_html(&self, path: &Path) -> Result<()> {
        fs::write(path, self.html()).with_context(|| path.display().to_string())
    }

    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        page::page(self)
    }
}

/// `text` inside an element or an attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            // Control characters are in no document.
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
