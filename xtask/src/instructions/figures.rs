//! Counted instructions, as they are committed: the file with the figures, and the page for people.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::workspace;

const FILE: &str = "docs/results/instructions.json";
const PAGE: &str = "docs/results/instructions.md";

/// One case of a bench.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// As divan names it: `hub::deliver::10`.
    pub(super) name: String,
    /// Of one iteration.
    pub(super) instructions: f64,
}

/// All cases, and what they were counted with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) valgrind: String,
    pub(super) rustc: String,
    pub(super) cases: Vec<Case>,
}

impl Case {
    /// A line for the terminal: the count, and how it was before.
    pub(super) fn beside(&self, before: Option<&Figures>) -> String {
        let before = before.and_then(|known| known.cases.iter().find(|case| case.name == self.name));
        let change = before.map_or_else(
            || "new".to_owned(),
            |before| {
                let percent = (self.instructions / before.instructions - 1.0) * 100.0;
                format!("{percent:+.1} %, was {:.0}", before.instructions)
            },
        );
        format!("{:45} {:>10.0}  {change}", self.name, self.instructions)
    }
}

impl Figures {
    /// The committed ones, if there are any.
    ///
    /// # Errors
    /// When the file is not what we write.
    pub(super) fn read() -> Result<Option<Self>> {
        match fs::read_to_string(workspace::root().join(FILE)) {
            Ok(text) => Self::parse(&text).context(FILE).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let file: Value = serde_json::from_str(text)?;
        let word = |name: &str| file[name].as_str().map(str::to_owned).with_context(|| name.to_owned());
        let cases = file["instructions"].as_object().context("instructions")?.iter();
        let cases = cases.map(|(name, count)| {
            Ok(Case { name: name.clone(), instructions: count.as_f64().with_context(|| name.clone())? })
        });
        Ok(Self { valgrind: word("valgrind")?, rustc: word("rustc")?, cases: cases.collect::<Result<_>>()? })
    }

    /// Writes both files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(&self) -> Result<()> {
        for (path, text) in [(FILE, self.json()), (PAGE, self.page())] {
            let path = workspace::root().join(path);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            println!("wrote {}", path.display());
        }
        Ok(())
    }

    fn json(&self) -> String {
        let tenths = |count: f64| (count * 10.0).round() / 10.0;
        let cases = self.cases.iter().map(|case| (case.name.clone(), tenths(case.instructions).into()));
        let cases = Value::Object(cases.collect());
        let file = json!({ "valgrind": self.valgrind, "rustc": self.rustc, "instructions": cases });
        format!("{file:#}\n")
    }

    fn page(&self) -> String {
        let mut text = format!(
            "# Instructions of the micro benchmarks\n\n\
             <!-- Made by `cargo xtask instructions` (this page and instructions.json). -->\n\n\
             Counted by callgrind ({}), built by {} for {}, release, the system's allocator. One operation each: all that the case does, what it\n\
             allocates and frees included, its preparation not. Each case runs twice, with 2,000 and 4,000 iterations, and the difference is divided by 2,000. What the kernel does in a\n\
             system call is not counted, and an instruction may wait for memory: times are for `cargo bench` and `cargo xtask bench`. What a case does stands in its bench\n\
             (`crates/*/benches/`); a number at its end is the argument. Two runs differ by less than one instruction, but the next compiler\n\
             inlines otherwise: compare what one has built.\n\n\
             | case | instructions |\n| --- | ---: |\n",
            self.valgrind,
            self.rustc,
            std::env::consts::ARCH,
        );
        for case in &self.cases {
            let _ = writeln!(text, "| {} | {:.0} |", case.name, case.instructions);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: f64) -> Figures {
        let case = Case { name: "hub::deliver::10".to_owned(), instructions };
        Figures {
            valgrind: "valgrind-3.19.0".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            cases: vec![case],
        }
    }

    #[test]
    fn figures_are_read_as_they_are_written() {
        assert_eq!(Figures::parse(&figures(123.4).json()).unwrap(), figures(123.4));
        assert!(figures(123.4).page().ends_with("| hub::deliver::10 | 123 |\n"));
        assert!(Figures::parse("{}").is_err());
    }

    #[test]
    fn a_count_stands_beside_what_it_was() {
        let case = &figures(110.0).cases[0];
        assert!(case.beside(Some(&figures(100.0))).ends_with("110  +10.0 %, was 100"));
        assert!(case.beside(None).ends_with("110  new"));
    }
}
