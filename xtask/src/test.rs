//! `cargo xtask test`: everything that must hold, step by step, closed by one table and one line of counts.
//!
//! Stops at the first step that fails, unless `TIDEGATE_TEST_ALL` is set: CI shows all that is wrong at once. There a
//! test for want of something that could have been installed fails, too.

mod step;
mod table;
mod tally;

use std::collections::BTreeSet;
use std::env;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::tools::Tool;
use crate::{program, reports, suites, tidy, tools, workspace};
use step::Steps;

/// The longest that one test binary may take; a test that hangs fails instead of holding up everything.
const TEST_LIMIT: Duration = Duration::from_secs(20 * 60);
/// The same for a build, which has a slow machine's whole dependency tree before it.
const BUILD_LIMIT: Duration = Duration::from_secs(80 * 60);
/// The integration test of memory and descriptors over time.
pub(crate) const SOAK: &str = "soak";
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Install nothing; skip the tests whose tools are missing, and name them
    #[arg(long)]
    no_install: bool,
}

/// Runs all steps.
///
/// # Errors
/// When cargo does not say which tests there are; what fails in a step ends up in the table instead.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut steps = Steps::new(wants_all());
    if !arguments.no_install {
        steps.task("install tools", tools::install);
    }
    let missing = tools::missing();
    steps.command("format", workspace::cargo(["fmt", "--all", "--check"]), BUILD_LIMIT);
    // The feature brings the gateway's micro benchmark along, which would rot otherwise.
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--features", "tidegate-gateway/bench", "--locked"];
    let clippy = clippy.into_iter().chain(["--", "-D", "warnings"]);
    steps.command("lints", workspace::cargo(clippy), BUILD_LIMIT);
    steps.command("lints of the echo", echo(&["clippy"], &["--", "-D", "warnings"]), BUILD_LIMIT);
    let rings = ["clippy", "--workspace", "--all-targets", "--locked", "--features", suites::RINGS];
    let rings = rings.iter().chain(&["--", "-D", "warnings"]).copied();
    steps.command("lints with io_uring", workspace::cargo(rings), BUILD_LIMIT);
    steps.task("tidy", tidy::check);
    build(&mut steps, &missing);
    unit_tests(&mut steps, &missing);
    // Only the crates that others build on have them; the rest say `doctest = false`.
    steps.tests("doc tests", test_command(&["--doc"], &[]), TEST_LIMIT);
    for suite in integration_tests()? {
        integration_test(&mut steps, &suite, &missing, TEST_LIMIT);
    }
    over_rings(&mut steps, &missing);
    Ok(steps.close())
}

/// Whether all that is wrong shall be shown, and no test left out that this machine could be made to run: CI.
fn wants_all() -> bool {
    env::var_os("TIDEGATE_TEST_ALL").is_some()
}

/// Runs the integration tests, or one of them, in full length.
///
/// # Errors
/// When the tools cannot be installed, or there is no such test.
pub(crate) fn full_length(only: Option<&str>) -> Result<ExitCode> {
    tools::install()?;
    let missing = tools::missing();
    let mut suites = integration_tests()?;
    match only {
        Some(only) => suites.retain(|suite| suite == only),
        None => suites.retain(|suite| suite != SOAK), // it has a page of its own
    };
    anyhow::ensure!(!suites.is_empty(), "there is no such integration test");
    // Each its own: the soak may run beside the faults.
    let results = workspace::root().join(format!("target/results-{}.txt", only.unwrap_or("faults")));
    let _ = std::fs::remove_file(&results); // what an earlier run said
    let mut steps =
        Steps::new(true).with_env("TIDEGATE_TEST_LENGTH", "full").with_env("TIDEGATE_RESULTS", &results);
    build(&mut steps, &missing);
    for suite in suites {
        integration_test(&mut steps, &suite, &missing, 8 * HOUR);
    }
    match only {
        None => steps.task("results", || reports::faults(&results)),
        Some(SOAK) => steps.task("results", || reports::soak(&results)),
        Some(_) => {}
    }
    Ok(steps.close())
}

fn build(steps: &mut Steps, missing: &[Tool]) {
    steps.command("build", test_command(&["--no-run"], &[]), BUILD_LIMIT);
    if !missing.contains(&Tool::Autobahn) {
        // The test would build it itself, in its own time.
        steps.command("build the echo", echo(&["build", "--release"], &[]), BUILD_LIMIT);
    }
}

fn unit_tests(steps: &mut Steps, missing: &[Tool]) {
    let skipped: Vec<&str> = suites::packages_without(missing).collect();
    let mut selection = vec!["--lib", "--bins"];
    for package in &skipped {
        selection.extend(["--exclude", package]);
        steps.skip(&format!("unit tests of {package}"), 1, "a server is not installed");
    }
    steps.tests("unit tests", test_command(&selection, &[]), TEST_LIMIT);
}

/// The gateway once more, sending over io_uring: its connections, and whole nodes.
fn over_rings(steps: &mut Steps, missing: &[Tool]) {
    let rings = ["--features", suites::RINGS];
    let connections = test_command(&[&rings[..], &["--lib"]].concat(), &["connection::"]);
    steps.tests("unit tests with io_uring", connections, BUILD_LIMIT);
    for suite in suites::OVER_RINGS {
        let needs = suites::needs(suite).unwrap_or_default();
        if needs.iter().all(|tool| !missing.contains(tool)) {
            let test = test_command(&[&rings[..], &["--test", suite]].concat(), &[]);
            steps.tests(&format!("test {suite} with io_uring"), test, BUILD_LIMIT);
        }
    }
}

fn integration_test(steps: &mut Steps, suite: &str, missing: &[Tool], limit: Duration) {
    let name = format!("test {suite}");
    let needs = suites::needs(suite).unwrap_or_default();
    let lacking: Vec<&str> =
        needs.iter().filter(|tool| missing.contains(tool)).map(|tool| tool.name()).collect();
    let advice = needs.iter().filter(|tool| missing.contains(tool)).find_map(|tool| tool.advice());
    if let Some(advice) = advice.filter(|_| wants_all()) {
        steps.task(&name, || bail!(advice));
        return;
    }
    if !lacking.is_empty() {
        let tests = list(suite).unwrap_or_default();
        steps.skip(&name, tests.len().max(1), &format!("not installed: {}", lacking.join(", ")));
        return;
    }
    let mut rest = Vec::new();
    if Tool::OPTIONAL.iter().any(|tool| missing.contains(tool)) {
        for test in list(suite).unwrap_or_default() {
            let Some(tool) = suites::needs_by_name(&test).filter(|tool| missing.contains(tool)) else {
                continue;
            };
            let (test_name, why) = (format!("{suite}::{test}"), format!("not installed: {}", tool.name()));
            match tool.advice().filter(|_| wants_all()) {
                Some(advice) => steps.task(&test_name, || bail!(advice)),
                None => steps.skip(&test_name, 1, &why),
            }
            rest.extend(["--skip".to_owned(), test]);
        }
    }
    if !rest.is_empty() {
        rest.push("--exact".to_owned());
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    steps.tests(&name, test_command(&["--test", suite], &rest), limit);
}

/// The names of all integration tests, in order.
fn integration_tests() -> Result<BTreeSet<String>> {
    let text = program::output(&mut workspace::cargo([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--locked",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|target| target["kind"][0] == "test");
    Ok(tests.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}

/// The tests in one integration test.
fn list(suite: &str) -> Result<Vec<String>> {
    let text = program::output(&mut test_command(&["--test", suite], &["--list"]))?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The gateway with its echo door, which is no part of any other build.
fn echo(start: &[&str], rest: &[&str]) -> Command {
    let what = ["--locked", "--workspace", "--features", "tidegate-gateway/echo", "--example", "echo"];
    workspace::cargo(start.iter().chain(&what).chain(rest).copied())
}

/// One selection of packages for every step: another one would change their features and build everything twice.
fn test_command(selection: &[&str], rest: &[&str]) -> Command {
    let start = ["test", "--release", "--locked", "--no-fail-fast", "--workspace"];
    let mut command = workspace::cargo(start.iter().chain(selection).copied());
    command.arg("--").args(rest).env("PATH", program::path());
    command
}
