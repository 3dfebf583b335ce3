//! The repository's texts, and what each Rust file owes its reader: a length to read at once, a first paragraph.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Lines of a source file, tests excepted.
const LONGEST: usize = 400;
/// Lines of a module's first paragraph.
const PARAGRAPH: usize = 10;
/// What is made, not written.
const MADE: [&str; 5] = [".git", "target", "node_modules", "dist", "tests-out"];
/// What counts as source when length is asked for.
const SOURCE: [&str; 5] = [".rs", ".js", ".ts", ".lua", ".go"];

/// One file: its path from the root, with `/`, and its text.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Tests are as long as they need to be and may be without a head.
    pub(super) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs" || part.ends_with(".test.ts"))
    }

    fn ends_with(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| self.path.ends_with(end))
    }
}

/// All text files, in order of their paths.
#[derive(Debug, Default)]
pub(super) struct Tree(Vec<File>);

impl Tree {
    /// Reads everything below a folder that is text and not made.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self(files))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
                .collect(),
        )
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.0.iter()
    }

    /// The Rust files that are not tests.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs") && !file.is_test())
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if MADE.contains(&name.as_str()) {
            continue; // in a worktree `.git` is a file
        }
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}

/// No file is longer than a reader can hold.
pub(super) fn length(tree: &Tree) -> Vec<String> {
    let long =
        |file: &&File| file.ends_with(&SOURCE) && !file.is_test() && file.text.lines().count() > LONGEST;
    let say = |file: &File| {
        format!(
            "{}: {} lines, at most {LONGEST}: which second noun lives there?",
            file.path,
            file.text.lines().count()
        )
    };
    tree.files().filter(long).map(say).collect()
}

/// Every module says what it is, and says it in one paragraph.
pub(super) fn module_docs(tree: &Tree) -> Vec<String> {
    let problem = |file: &File| {
        let head = file.text.lines().skip_while(|line| line.starts_with("#!") || line.is_empty());
        let docs = head.take_while(|line| line.starts_with("//!"));
        match docs.take_while(|line| line.trim() != "//!").count() {
            0 => Some(format!("{}: starts without a module doc (//!)", file.path)),
            lines if lines > PARAGRAPH => Some(format!(
                "{}: the module doc's first paragraph has {lines} lines, at most {PARAGRAPH}",
                file.path
            )),
            _ => None,
        }
    };
    tree.rust().filter_map(problem).collect()
}
