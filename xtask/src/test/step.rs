//! Running the steps one after the other: their output as it comes, their time, and what they leave running.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::table::{Outcome, Row, summary};
use super::tally::Tally;
use crate::process::{self, Child};

/// Lines that wait to be printed. A full channel makes the test harness wait, which is what we want.
const LINES: usize = 256;
/// How long a step's output may stay open after the step itself has ended.
const AFTERMATH: Duration = Duration::from_secs(5);

/// The steps so far.
pub(super) struct Steps {
    rows: Vec<Row>,
    go_on: bool,
    env: Vec<(&'static str, OsString)>,
}

impl Steps {
    /// `go_on`: run the other steps when one has failed.
    pub(super) fn new(go_on: bool) -> Self {
        Self { rows: Vec::new(), go_on, env: Vec::new() }
    }

    /// Sets a variable for every command.
    pub(super) fn with_env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// A step that is done in this process.
    pub(super) fn task(&mut self, name: &str, task: impl FnOnce() -> Result<()>) {
        self.step(name, |_, _| task());
    }

    /// A step that is a program.
    pub(super) fn command(&mut self, name: &str, command: Command, limit: Duration) {
        self.step(name, |steps, _| steps.stream(command, limit, |_| ()));
    }

    /// A step that is `cargo test`, whose tests are counted.
    pub(super) fn tests(&mut self, name: &str, command: Command, limit: Duration) {
        self.step(name, |steps, tally| steps.stream(command, limit, |line| tally.line(line)));
    }

    /// Tests that do not run here.
    pub(super) fn skip(&mut self, name: &str, tests: usize, why: &str) {
        self.push(name, Outcome::Skipped(why.to_owned()), Duration::ZERO, Tally::default(), tests);
    }

    /// Prints the table. Its last line has the counts.
    pub(super) fn close(self) -> ExitCode {
        let (text, well) = summary(&self.rows);
        print!("\n{text}");
        if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn step(&mut self, name: &str, run: impl FnOnce(&Self, &mut Tally) -> Result<()>) {
        let failed = |row: &Row| matches!(row.outcome, Outcome::Failed(_));
        if !self.go_on && self.rows.iter().any(failed) {
            self.push(
                name,
                Outcome::Skipped("after the failure".to_owned()),
                Duration::ZERO,
                Tally::default(),
                0,
            );
            return;
        }
        println!("\n== {name}");
        let started = Instant::now();
        let mut tally = Tally::default();
        let done = run(self, &mut tally);
        let left = process::end_orphans();
        let outcome = match done {
            Err(error) => {
                println!("{name}: {error:#}");
                Outcome::Failed(error.to_string().lines().next().unwrap_or_default().to_owned())
            }
            Ok(()) if !left.is_empty() => Outcome::Failed(format!("left running: {}", left.join(", "))),
            Ok(()) => Outcome::Ok,
        };
        self.push(name, outcome, started.elapsed(), tally, 0);
    }

    fn push(&mut self, name: &str, outcome: Outcome, took: Duration, tally: Tally, skipped: usize) {
        self.rows.push(Row { name: name.to_owned(), outcome, took, tally, skipped });
    }

    /// Runs a program, printing and handing on its lines as they come.
    fn stream(&self, mut command: Command, limit: Duration, mut each: impl FnMut(&str)) -> Result<()> {
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = Child::start(&mut command)?;
        let output = child.stdout().context("stdout is piped")?;
        let (sender, lines) = sync_channel(LINES);
        // Ends with the pipe. If a stranger keeps that open, it stays behind and ends with this process.
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + limit;
        let mut closing = None;
        loop {
            match lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    let mut stdout = std::io::stdout().lock();
                    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
                    each(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if child.ended().is_some() {
                let since = *closing.get_or_insert_with(Instant::now);
                if since.elapsed() > AFTERMATH {
                    break;
                }
            } else if Instant::now() > deadline {
                bail!("not done within {} s", limit.as_secs());
            }
        }
        match child.wait_at_most(deadline.saturating_duration_since(Instant::now())) {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{status}"),
            None => bail!("not done within {} s", limit.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_are_handed_on_and_the_exit_code_counts() {
        let mut seen = Vec::new();
        let steps = Steps::new(false);
        steps
            .stream(sh("echo one; echo two"), Duration::from_secs(10), |line| seen.push(line.to_owned()))
            .expect("ok");
        assert_eq!(seen, ["one", "two"]);
        assert!(steps.stream(sh("exit 3"), Duration::from_secs(10), |_| ()).is_err());
    }

    #[test]
    fn a_step_that_hangs_fails() {
        let error = Steps::new(false).stream(sh("sleep 600"), Duration::from_millis(50), |_| ());
        assert!(error.expect_err("too long").to_string().contains("not done"));
    }
}
