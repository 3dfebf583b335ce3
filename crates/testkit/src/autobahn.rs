//! The Autobahn test suite as a client of an echo server: runs its cases, and judges what it wrote down.
//!
//! `wstest` ends with success whatever it finds, even when nobody listens. So its index is read, and the number of
//! cases is part of the verdict.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{run, tools};

/// The name that the server has in the suite's index.
const AGENT: &str = "tidegate";

/// How nearly every case must go: its behavior and its close.
const OK: (&str, &str) = ("OK", "OK");

/// How one case went, in the suite's words: `OK`, `NON-STRICT`, `INFORMATIONAL`, `FAILED`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the server did.
    pub behavior: String,
    /// How the connection ended.
    pub close: String,
}

/// All cases that ran, by their id: `6.4.3`.
pub type Index = BTreeMap<String, Verdict>;

/// A case that may be other than `OK`: its id, behavior and close.
pub type Exception = (&'static str, &'static str, &'static str);

/// Runs `cases` (`6.*`, `7.1.6`) against the echo server at `url`.
///
/// # Errors
/// When the suite cannot run or is not done `within` the time. What it found is in the index.
pub fn fuzz(url: &str, cases: &[&str], within: Duration) -> Result<Index> {
    let folder = tempfile::tempdir()?;
    let (spec, reports) = (folder.path().join("spec.json"), folder.path().join("reports"));
    let text = json!({
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": url, "options": { "version": 18 } }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    fs::write(&spec, text.to_string())?;
    let mut command = Command::new(tools::wstest());
    command.args(["-m", "fuzzingclient", "-s"]).arg(&spec).current_dir(folder.path());
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"), within)?;
    read(&reports.join("index.json"))
}

fn read(path: &Path) -> Result<Index> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    index(&serde_json::from_str(&text).with_context(|| path.display().to_string())?)
}

/// What the suite's index says of our server: nothing if it never met it.
///
/// # Errors
/// When the index does not look as we know it.
pub fn index(text: &Value) -> Result<Index> {
    let cases = text.get(AGENT).and_then(Value::as_object).into_iter().flatten();
    let word = |case: &Value, key: &str| -> Result<String> {
        Ok(case[key].as_str().with_context(|| format!("no {key} in {case}"))?.to_owned())
    };
    cases
        .map(|(id, case)| {
            let verdict = Verdict { behavior: word(case, "behavior")?, close: word(case, "behaviorClose")? };
            Ok((id.clone(), verdict))
        })
        .collect()
}

/// Whether exactly so many cases ran and each went as expected: `OK`, or as its exception says. An exception that went
/// better, or did not run, is a problem too, so that the list stays true.
///
/// # Errors
/// All problems, one a line.
pub fn judge(index: &Index, cases: usize, exceptions: &[Exception]) -> Result<(), String> {
    let mut problems = Vec::new();
    if index.len() != cases {
        problems.push(format!("{} cases ran, {cases} were expected", index.len()));
    }
    let expected = |id: &str| {
        let exception = exceptions.iter().find(|(case, ..)| *case == id);
        exception.map_or(OK, |(_, behavior, close)| (*behavior, *close))
    };
    for (id, verdict) in index {
        let Verdict { behavior, close } = verdict;
        let wanted = expected(id);
        if (behavior.as_str(), close.as_str()) != wanted {
            let or =
                if wanted == OK { String::new() } else { format!(", not {}, close {}", wanted.0, wanted.1) };
            problems.push(format!("case {id}: {behavior}, close {close}{or}"));
        }
    }
    let absent = exceptions.iter().filter(|(case, ..)| !index.contains_key(*case));
    problems.extend(absent.map(|(case, ..)| format!("case {case} did not run")));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// How many cases went how: `296 OK, 2 NON-STRICT (6.4.3, 6.4.4)`.
pub fn summary(index: &Index) -> String {
    let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, Verdict { behavior, close }) in index {
        let word = match close.as_str() {
            "OK" => behavior.clone(),
            close if close == behavior => behavior.clone(),
            close => format!("{behavior}, close {close}"),
        };
        by.entry(word).or_default().push(id);
    }
    let ok = by.remove("OK").map_or(0, |cases| cases.len());
    let others = by.into_iter().map(|(word, cases)| match cases.len() {
        count @ 0..=5 => format!(", {count} {word} ({})", cases.join(", ")),
        count => format!(", {count} {word}"),
    });
    format!("{ok} OK{}", others.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCEPTIONS: [Exception; 1] = [("6.4.3", "NON-STRICT", "OK")];

    fn of(cases: &[(&str, &str, &str)]) -> Index {
        let case = |behavior: &str, close: &str| json!({ "behavior": behavior, "behaviorClose": close });
        let cases: serde_json::Map<String, Value> =
            cases.iter().map(|(id, behavior, close)| ((*id).to_owned(), case(behavior, close))).collect();
        index(&json!({ AGENT: cases })).expect("an index")
    }

    fn problem(index: &Index) -> String {
        judge(index, 2, &EXCEPTIONS).expect_err("it must be found")
    }

    #[test]
    fn what_is_expected_is_no_problem() {
        let index = of(&[("1.1.1", "OK", "OK"), ("6.4.3", "NON-STRICT", "OK")]);
        assert_eq!(judge(&index, 2, &EXCEPTIONS), Ok(()));
        assert_eq!(summary(&index), "1 OK, 1 NON-STRICT (6.4.3)");
    }

    #[test]
    fn a_run_that_met_nobody_is_found() {
        let nothing = index(&json!({})).expect("the index of a run without a server");
        assert_eq!(problem(&nothing), "0 cases ran, 2 were expected\ncase 6.4.3 did not run");
    }

    #[test]
    fn a_failure_of_behavior_or_close_is_found_and_so_is_a_change() {
        for (id, behavior, close) in [
            ("1.1.1", "FAILED", "OK"),
            ("1.1.1", "OK", "FAILED BY CLIENT"),
            ("1.1.1", "OK", "UNCLEAN"),
            ("1.1.1", "UNIMPLEMENTED", "OK"),
            ("1.1.1", "NON-STRICT", "OK"),
        ] {
            let found = problem(&of(&[(id, behavior, close), ("6.4.3", "NON-STRICT", "OK")]));
            assert_eq!(found, format!("case {id}: {behavior}, close {close}"));
        }
        let better = problem(&of(&[("1.1.1", "OK", "OK"), ("6.4.3", "OK", "OK")]));
        assert_eq!(better, "case 6.4.3: OK, close OK, not NON-STRICT, close OK");
        let more = of(&[("1.1.1", "OK", "OK"), ("1.1.2", "OK", "OK"), ("6.4.3", "NON-STRICT", "OK")]);
        assert_eq!(problem(&more), "3 cases ran, 2 were expected");
    }
}
