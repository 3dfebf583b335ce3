//! Documents that are made by running our binaries: measurements and the configuration reference.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{capacity, picture, program, tools, workspace};

/// What was measured, and the page that is made from it.
const FIGURES: &str = "docs/results/benchmarks.json";
const BENCHMARKS: &str = "docs/benchmarks.md";

/// With fewer rounds or shorter measurements a run is for development.
const LEAST_ROUNDS: f64 = 3.0;
const LEAST_SECONDS: f64 = 3.0;

/// Measures, and writes docs/results/benchmarks.json, docs/benchmarks.md and the picture if all was measured.
///
/// # Errors
/// When a build or the measurement fails.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode> {
    // As the image is built: with jemalloc.
    let build = ["build", "--release", "--package", "tidegate", "--features", "jemalloc"];
    program::run(&mut workspace::cargo(build))?;
    let mut command = loadtest()?;
    command.arg("bench");
    // What is not the whole shall not replace it.
    let whole = !is_part(arguments);
    if whole {
        command.args(["--out", BENCHMARKS, "--json", FIGURES]);
    }
    match tools::peers() {
        Ok(folder) => drop(command.arg("--peers").arg(folder)),
        Err(error) => println!("the peers are left out: {error:#}"),
    }
    program::run(command.args(arguments))?;
    if whole {
        draw()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws the picture of docs/performance.md anew.
fn draw() -> Result<()> {
    let read = |path: &'static str| fs::read_to_string(workspace::root().join(path)).context(path);
    let drawn = picture::draw(&read(picture::MEASURED)?, &read(picture::TABLE)?, &read(picture::INPUT)?)?;
    let path = workspace::root().join(picture::PICTURE);
    fs::write(&path, drawn).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Whether these arguments measure less than the pages are made from: some rows, or fewer rounds or shorter ones than
/// a median is worth. How many there were the page says.
fn is_part(arguments: &[String]) -> bool {
    let less = |option: &str, least: f64| {
        let following = arguments.iter().skip_while(|argument| *argument != option).nth(1);
        let joined = arguments.iter().find_map(|argument| argument.strip_prefix(option)?.strip_prefix('='));
        let number = joined.or(following.map(String::as_str)).and_then(|text| text.parse::<f64>().ok());
        number.is_some_and(|number| number < least)
    };
    let part = |argument: &String| {
        ["--quick", "--rows", "--out", "--json"].iter().any(|word| argument.starts_with(word))
    };
    arguments.iter().any(part) || less("--rounds", LEAST_ROUNDS) || less("--seconds", LEAST_SECONDS)
}

/// The load generator, built, at the root of the repository.
fn loadtest() -> Result<std::process::Command> {
    program::run(&mut workspace::cargo(["build", "--release", "--package", "tidegate-loadtest"]))?;
    let mut command = std::process::Command::new(workspace::binary("tidegate-loadtest"));
    command.current_dir(workspace::root()).env("PATH", program::path());
    Ok(command)
}

/// Writes docs/results/faults.md from what the tests said in full length: lines of `what: how it was`.
///
/// # Errors
/// When the tests said nothing, or the file cannot be written.
pub(crate) fn faults(said: &Path) -> Result<()> {
    write("docs/results/faults.md", FAULTS, said)
}

/// Likewise docs/results/soak.md, of the soak.
///
/// # Errors
/// When the test said nothing, or the file cannot be written.
pub(crate) fn soak(said: &Path) -> Result<()> {
    write("docs/results/soak.md", SOAK, said)
}

fn write(page: &str, head: &str, said: &Path) -> Result<()> {
    let lines = fs::read_to_string(said).context("the tests said nothing")?;
    let mut text = String::from(head);
    for line in lines.lines() {
        let (what, how) = line.split_once(": ").unwrap_or(("", line));
        let _ = writeln!(text, "| {what} | {how} |");
    }
    let path = workspace::root().join(page);
    fs::create_dir_all(workspace::root().join("docs/results"))?;
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}

const SOAK: &str = "# Soak: twenty minutes of clients that come and go\n\n\
<!-- Made by `cargo xtask soak`: crates/tidegate/tests/soak.rs says these lines itself. -->\n\n\
Two release nodes (without jemalloc), a real Redis, all on loopback. Visitors come by every door, subscribe to a channel of their own and a\n\
shared one, publish, unsubscribe and leave; witnesses in channels with history are sent away and resume; listeners stay.\n\
Memory is what the process has for itself (RssAnon). The first quarter is the warm-up; \"rise\" is the larger of two figures: the\n\
last quarter's median less the second's, and a least-squares line over the same distance. Its bound: 768 KiB, and 32 bytes for each visit between\n\
the two. A control is the same check where something is planted: it must find it.\n\n\
| what | how it was |\n| --- | --- |\n";

const FAULTS: &str = "# Faults, in full length\n\n\
<!-- Made by `cargo xtask faults`: the tests in crates/tidegate/tests say these lines themselves. -->\n\n\
Release processes, a real Redis and nginx on loopback, two shared cores. Each client's log is compared with what\n\
was published; `told` are events that went by while a client knew that it was away. A control is the same check\n\
with the fault planted or the defence left out: it must find it.\n\n\
| what | how it was |\n| --- | --- |\n";

/// Writes docs/capacity.md, docs/benchmarks.md and the picture of docs/performance.md from their figures, and
/// docs/configuration.md from the settings' own documentation.
///
/// # Errors
/// When a figure is wrong, the build fails, or a file cannot be written.
pub(crate) fn docs() -> Result<ExitCode> {
    let figures = fs::read_to_string(workspace::root().join(capacity::INPUT)).context(capacity::INPUT)?;
    let path = workspace::root().join(capacity::PAGE);
    fs::write(&path, capacity::page(&figures)?).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    draw()?;
    let mut command =
        workspace::cargo(["run", "--release", "--package", "tidegate", "--", "config", "reference"]);
    let text = program::output(&mut command)?;
    let path = workspace::root().join("docs/configuration.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    program::output(loadtest()?.args(["bench", "--from", FIGURES, "--out", BENCHMARKS]))?;
    println!("wrote {BENCHMARKS}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_whole_does_not_replace_the_committed_figures() {
        let part = |words: &str| is_part(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        for words in
            ["", "--rounds 3", "--rounds=7 --seconds=3", "--seconds 4.5 --rounds 3", "--window 1 --rounds 5"]
        {
            assert!(!part(words), "{words}");
        }
        for words in [
            "--quick",
            "--rows 1,9",
            "--rows=1",
            "--out page.md",
            "--json figures.json",
            "--rounds 1",
            "--rounds=2",
            "--seconds 0.1",
            "--seconds=2.9 --rounds 5",
        ] {
            assert!(part(words), "{words}");
        }
    }
}
