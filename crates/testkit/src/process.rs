//! A child process in a group of its own, with its output in a file, ended when the value is dropped.
//!
//! `Drop` does not run when the test process itself is killed (Ctrl-C, a time limit), so a small shell waits on a pipe
//! for its end and then kills the groups that are left.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::Usage;

/// A running child and everything it starts.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with stderr appended to the file `log`; stdout goes there too unless it was set.
    ///
    /// # Errors
    /// When the program or the file cannot be opened.
    pub fn start(name: &str, command: &mut Command, log: &Path, stdout: Option<&Path>) -> Result<Self> {
        let append = appended(log)?;
        let stdout = match stdout {
            Some(path) => File::create(path).with_context(|| path.display().to_string())?,
            None => append.try_clone()?,
        };
        Self::spawn(name, command.stdin(Stdio::null()).stdout(stdout).stderr(append), log)
    }

    /// Starts `command` for a talk: with pipes as stdin and stdout, and stderr appended to the file `log`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_piped(
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> Result<(Self, ChildStdin, ChildStdout)> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(appended(log)?);
        let mut process = Self::spawn(name, command, log)?;
        let pipes = process.child.stdin.take().zip(process.child.stdout.take());
        let (stdin, stdout) = pipes.context("both are piped")?;
        Ok((process, stdin, stdout))
    }

    fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| {
            format!("cannot start {name}: {command:?}; `cargo xtask test` installs what tests need")
        })?;
        reaper(&format!("+{}", child.id()));
        Ok(Self { name: name.to_owned(), child, ended: None, log: log.to_owned() })
    }

    /// The process id, which is its group's id too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it uses now; nothing once it has ended.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    /// Sends a signal to the process alone, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            // It may end between the question and the signal; then there is nothing to tell it.
            let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// SIGTERM: asks it to stop.
    pub fn term(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it keeps its sockets and answers nothing.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT after [`freeze`](Self::freeze).
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL to the whole group; returns when it is gone.
    pub fn kill9(&mut self) {
        // The leader is a zombie until it is waited for, so its id cannot name another group yet.
        if self.ended.is_none() {
            let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.ended = self.child.wait().ok();
            reaper(&format!("-{}", self.child.id()));
        }
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                reaper(&format!("-{}", self.child.id()));
            }
        }
        self.ended
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs after {within:?}:\n{}", self.name, self.log_tail(20));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// All that it has written to stderr (and stdout, unless that goes elsewhere), over all its lives.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of [`log`](Self::log).
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    #[allow(clippy::print_stderr, reason = "the reader of a failed test needs it")]
    fn drop(&mut self) {
        self.kill9();
        if thread::panicking() {
            eprintln!("--- the end of the log of {}\n{}\n---", self.name, self.log_tail(40));
        }
    }
}

fn appended(log: &Path) -> Result<File> {
    File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

/// Runs a program to its end and returns what it wrote to stdout and stderr, in that order.
///
/// # Errors
/// When it cannot be started, fails, or is not done `within` the time; the message holds its output.
pub fn run(command: &mut Command, within: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let folder = tempfile::tempdir()?;
    let (log, out) = (folder.path().join("stderr"), folder.path().join("stdout"));
    let mut process = Process::start(&name, command, &log, Some(&out))?;
    let ended = process.wait(within);
    process.kill9();
    let output = format!("{}{}", fs::read_to_string(&out).unwrap_or_default(), process.log());
    let status = ended.with_context(|| format!("{command:?} wrote:\n{output}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}:\n{output}");
    }
    Ok(output)
}

/// Tells the shell that outlives this process about a group that began (`+id`) or ended (`-id`).
fn reaper(line: &str) {
    const SCRIPT: &str = r#"
        left=" "
        while read -r line; do
            id=${line#?}
            case $line in
                +*) left="$left$id " ;;
                -*) left="${left%% $id *} ${left#* $id }" ;;
            esac
        done
        for id in $left; do kill -9 "-$id"; done 2>/dev/null"#;
    static REAPER: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        shell.spawn().ok()?.stdin.take().map(Mutex::new)
    });
    if let Some(pipe) = reaper
        && let Ok(mut pipe) = pipe.lock()
    {
        // Best effort: it only matters when this process is killed.
        let _ = writeln!(pipe, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_says_what_it_wrote() {
        let error =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(5));
        let text = format!("{:#}", error.expect_err("it exits with 3"));
        assert!(text.contains("out\nerr"), "{text}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let mark = "86399.25";
        let error =
            run(Command::new("sh").args(["-c", &format!("sleep {mark} & wait")]), Duration::from_millis(200));
        assert!(format!("{:#}", error.expect_err("it hangs")).contains("still runs"));
        let is_left = || {
            fs::read_dir("/proc").expect("proc").flatten().any(|entry| {
                fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| line.starts_with(format!("sleep\0{mark}").as_bytes()))
            })
        };
        // Only the leader is waited for; the kernel ends the others of the group a moment later.
        crate::eventually(Duration::from_secs(5), "the grandchild ends with its group", || !is_left());
    }
}
