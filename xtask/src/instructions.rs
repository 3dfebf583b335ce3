//! `cargo xtask instructions`: the micro benchmarks under callgrind, which counts instructions. Counts hold still where times
//! do not, on a busy machine as on an idle one.
//!
//! Each case runs twice, the second time with twice the iterations, and the difference is what counts: what the loader, divan
//! and the case's own preparation take is in both. The benches need to know nothing of it.

mod figures;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde_json::Value;

use crate::{program, tools, workspace};
use figures::{Case, Figures};

/// Iterations of the first run; the second has twice as many. Two equal runs differ by some hundred instructions (seeds of hash
/// maps, divan's looks at the clock), so by less than one an iteration.
const ITERATIONS: u32 = 2_000;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only cases whose name contains this, as `hub::deliver`; nothing is written
    filter: Option<String>,
}

/// Counts, prints each case beside the committed figure, and writes docs/results/instructions.md and .json if all were
/// counted.
///
/// # Errors
/// When valgrind cannot be installed, a build or a case fails, or a file cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tools::valgrind()?;
    let before = Figures::read()?;
    let mut cases = Vec::new();
    for bench in benches()? {
        for name in cases_of(&bench)? {
            if arguments.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
                continue;
            }
            let instructions = each(&bench, &name).with_context(|| name.clone())?;
            let case = Case { name, instructions };
            println!("{}", case.beside(before.as_ref()));
            cases.push(case);
        }
    }
    ensure!(!cases.is_empty(), "there is no such case");
    if arguments.filter.is_none() {
        let valgrind = program::output(Command::new("valgrind").arg("--version"))?;
        let rustc = program::output(Command::new("rustc").current_dir(workspace::root()).arg("--version"))?;
        Figures { valgrind: first_words(&valgrind), rustc: first_words(&rustc), cases }.write()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `rustc 1.95.0 (59807616e 2026-04-14)`: its first two words.
fn first_words(version: &str) -> String {
    version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// The binaries of the benches, built.
fn benches() -> Result<Vec<PathBuf>> {
    // The whole workspace, so that dependencies are those of the tests. What the gateway keeps to itself, its bench reaches
    // by the feature.
    let what = ["bench", "--workspace", "--bench", "*", "--features", "tidegate-gateway/bench"];
    let arguments = what.into_iter().chain(["--no-run", "--locked", "--message-format=json"]);
    let said = program::output(workspace::cargo(arguments).stderr(Stdio::inherit()))?;
    let mut found: Vec<PathBuf> = said.lines().filter_map(executable).collect();
    found.sort();
    ensure!(!found.is_empty(), "cargo built no bench");
    Ok(found)
}

/// What one line of cargo's messages says was built, if it is a bench.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let bench = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "bench");
    bench.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// The cases of a bench. Divan lists them one a line for who says that it is nextest.
fn cases_of(bench: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(bench);
    let text = program::output(command.args(["--list", "--format", "terse"]).env("NEXTEST", "1"))?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": benchmark")).map(str::to_owned).collect())
}

/// Instructions of one iteration.
fn each(bench: &Path, case: &str) -> Result<f64> {
    // Side by side: what else runs changes no count, and each takes seconds, most of them divan's.
    let (once, twice) = thread::scope(|scope| {
        let once = scope.spawn(|| count(bench, case, ITERATIONS));
        let twice = count(bench, case, 2 * ITERATIONS);
        (once.join().map_err(|_| anyhow!("a run panicked")), twice)
    });
    let (once, twice) = (once??, twice?);
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    Ok(twice.saturating_sub(once) as f64 / f64::from(ITERATIONS))
}

/// Instructions of a whole run.
fn count(bench: &Path, case: &str, iterations: u32) -> Result<u64> {
    let out = workspace::target().join(format!("callgrind.{iterations}"));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(bench);
    command.args(["--bench", "--exact", case, "--sample-count", "1", "--min-time", "0", "--sample-size"]);
    program::output(command.arg(iterations.to_string()))?;
    let text = std::fs::read_to_string(&out).with_context(|| out.display().to_string())?;
    let _ = std::fs::remove_file(&out);
    total(&text).with_context(|| format!("{} has no totals", out.display()))
}

/// The sum that callgrind writes into its file.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_from_the_file() {
        assert_eq!(
            total("version: 1\nevents: Ir\nsummary: 7\n\nfn=(1)\n1 3\ntotals: 123456\n"),
            Some(123_456)
        );
        assert_eq!(total("version: 1\n"), None);
    }

    #[test]
    fn a_bench_is_found_among_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"hub"},"executable":"/t/hub-1"}"#;
        assert_eq!(executable(line), Some("/t/hub-1".into()));
        let line =
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"divan"},"executable":null}"#;
        assert_eq!(executable(line), None);
        assert_eq!(executable("not JSON"), None);
    }

    #[test]
    fn a_version_says_no_more_than_its_number() {
        assert_eq!(first_words("rustc 1.95.0 (59807616e 2026-04-14)\n"), "rustc 1.95.0");
        assert_eq!(first_words("valgrind-3.19.0\n"), "valgrind-3.19.0");
    }
}
