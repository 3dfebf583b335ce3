//! Counting tests by what the test harness prints.

/// What ran.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: Vec<String>,
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Takes one line of `cargo test`'s stdout.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failures.push(name.to_owned());
            } else if let Some((name, _)) = test.split_once(" ... ignored") {
                self.ignored.push(name.to_owned());
            }
        }
    }

    /// Adds another step's counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored.extend_from_slice(&other.ignored);
        self.failures.extend_from_slice(&other.failures);
    }
}

/// The number before a word in `ok. 12 passed; 0 failed; …`.
fn count(result: &str, what: &str) -> usize {
    let mut words = result.split([' ', ';']).filter(|word| !word.is_empty());
    let mut last = "";
    words
        .find_map(|word| {
            let found = (word == what).then(|| last.parse().ok()).flatten();
            last = word;
            found
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_results_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test d ... ignored, no reason",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            tally.line(line);
        }
        assert_eq!((tally.passed, tally.failed), (13, 1));
        assert_eq!(tally.failures, ["a::c"]);
        assert_eq!(tally.ignored, ["d"]);
    }
}
