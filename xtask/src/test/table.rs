//! How the steps went, for people; and the last line, which programs read.

use std::fmt::Write as _;
use std::time::Duration;

use super::tally::Tally;

/// How one step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    /// Why, in a few words.
    Failed(String),
    /// Why, in a few words.
    Skipped(String),
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    pub(super) tally: Tally,
    /// Tests that did not run.
    pub(super) skipped: usize,
}

/// The closing text, and whether all went well. A failed step that counts no failed test counts as one itself.
pub(super) fn summary(rows: &[Row]) -> (String, bool) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let (mut total, mut failed_steps, mut skipped) = (Tally::default(), 0, 0);
    for row in rows {
        let (word, why) = match &row.outcome {
            Outcome::Ok => ("ok", ""),
            Outcome::Failed(why) => ("failed", why.as_str()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
        };
        let seconds = row.took.as_secs_f64();
        let line = format!("{:width$}  {word:8}{seconds:7.1} s  {why}", row.name);
        let _ = writeln!(text, "{}", line.trim_end());
        let counted = matches!(row.outcome, Outcome::Failed(_)) && row.tally.failed == 0;
        failed_steps += usize::from(counted);
        skipped += row.skipped + row.tally.ignored.len();
        total.add(&row.tally);
    }
    for (title, names) in [("failed", &total.failures), ("ignored", &total.ignored)] {
        for name in names {
            let _ = writeln!(text, "{title}: {name}");
        }
    }
    for row in rows.iter().filter(|row| row.skipped > 0) {
        let _ = writeln!(text, "skipped: {}", row.name);
    }
    let failed = total.failed + failed_steps;
    let _ = write!(text, "{} passed, {failed} failed", total.passed);
    if skipped > 0 {
        let _ = write!(text, ", {skipped} skipped");
    }
    text.push('\n');
    (text, failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, outcome: Outcome, passed: usize, failed: usize, skipped: usize) -> Row {
        let tally = Tally { passed, failed, ..Tally::default() };
        Row { name: name.to_owned(), outcome, took: Duration::from_millis(1500), tally, skipped }
    }

    #[test]
    fn the_last_line_adds_up() {
        let rows = [
            row("format", Outcome::Ok, 0, 0, 0),
            row("lints", Outcome::Failed("exit status: 101".to_owned()), 0, 0, 0),
            row("unit tests", Outcome::Failed("exit status: 101".to_owned()), 10, 2, 0),
            row("test browser", Outcome::Skipped("not installed: chromium".to_owned()), 0, 0, 4),
        ];
        let (text, well) = summary(&rows);
        assert!(!well);
        assert_eq!(text.lines().last(), Some("10 passed, 3 failed, 4 skipped"));
        assert!(text.contains("test browser  skipped     1.5 s  not installed: chromium"), "{text}");
        assert!(text.contains("skipped: test browser"), "{text}");
    }

    #[test]
    fn without_skips_the_line_has_two_counts() {
        let (text, well) = summary(&[row("unit tests", Outcome::Ok, 7, 0, 0)]);
        assert!(well);
        assert_eq!(text.lines().last(), Some("7 passed, 0 failed"));
    }
}
