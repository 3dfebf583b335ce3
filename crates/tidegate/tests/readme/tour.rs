//! Follows a page: runs its steps, and says which line of it is not true.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tidegate_testkit::{Process, run};

use super::extract::{Deed, Step, find, steps};

/// How this test's commands differ from the reader's, first match first. Ports: see [`Tour::ports`].
const INSTEAD: &[(&str, &str)] = &[
    // The binary under test is built already, and must not be built again beside running tests.
    ("cargo run --release -- subscribe ", "BINARY subscribe --url ws://127.0.0.1:8080/ws "),
    ("cargo run --release -- publish ", "BINARY publish --admin http://127.0.0.1:8081 "),
    ("cargo run --release -- ", "BINARY "),
    ("cargo run --release", "BINARY --listen 127.0.0.1:8080 --admin 127.0.0.1:8081"),
    ("cargo xtask cluster ", "cargo xtask cluster --no-build "),
];
/// The page's ports, all those that `cargo xtask cluster --port 8080` takes. The test's begin elsewhere.
const PORTS: std::ops::Range<u16> = 8080..8283;
/// redis-cli says this in a terminal only, and the test has none.
const TERMINAL_ONLY: &str = "(integer) ";
/// Between two looks at what a terminal printed.
const PAUSE: Duration = Duration::from_millis(20);

/// One walk through a page.
pub(crate) struct Tour {
    folder: PathBuf,
    binary: String,
    first_port: u16,
    patience: Duration,
    path: OsString,
    terminals: BTreeMap<String, Terminal>,
}

/// A command that stays, with what it printed. Ends with this value.
struct Terminal {
    process: Process,
    seen: usize,
    _folder: TempDir,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Killed at once, it could not end what it started itself.
        self.process.signal(Signal::INT);
        let _ = self.process.wait(Duration::from_secs(15));
    }
}

impl Tour {
    /// A walk that runs its commands in `folder`, with ports from `first_port` on.
    pub(crate) fn new(folder: &Path, binary: &str, first_port: u16, patience: Duration) -> Self {
        Self {
            folder: folder.to_owned(),
            binary: binary.to_owned(),
            first_port,
            patience,
            path: std::env::var_os("PATH").unwrap_or_default(),
            terminals: BTreeMap::new(),
        }
    }

    /// The same, with programs of this folder before all others.
    #[allow(dead_code, reason = "not every page needs it")]
    pub(crate) fn with_programs(mut self, folder: &Path) -> Self {
        let rest = std::env::split_paths(&self.path).collect::<Vec<_>>();
        let all = std::iter::once(folder.to_owned()).chain(rest);
        self.path = std::env::join_paths(all).expect("no colon in a path");
        self
    }

    /// How many ports a walk needs, from the first one on.
    pub(crate) fn ports() -> std::ops::Range<u16> {
        0..PORTS.end - PORTS.start
    }

    /// Does everything the page says.
    ///
    /// # Errors
    /// The first line that is not true, and what happened instead.
    pub(crate) fn follow(&mut self, page: &str) -> Result<(), String> {
        for Step { line, deed } in steps(page)? {
            self.act(deed).map_err(|problem| format!("line {line}: {problem}"))?;
        }
        Ok(())
    }

    fn act(&mut self, deed: Deed) -> Result<(), String> {
        match deed {
            Deed::Run { commands, prints } => {
                let mut printed = String::new();
                for command in &commands {
                    printed += &run(&mut self.shell(command), self.patience).map_err(|e| format!("{e:#}"))?;
                    printed.push('\n');
                }
                let shown = self.shown(&prints);
                find(&printed, &shown).map_err(|missing| format!("no {missing:?} in:\n{printed}"))?;
            }
            Deed::Start { terminal, command } => {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let mut shell = self.shell(&format!("exec {command}"));
                let process = Process::start(&terminal, &mut shell, &folder.path().join("printed"), None)
                    .map_err(|error| format!("{error:#}"))?;
                self.terminals.insert(terminal, Terminal { process, seen: 0, _folder: folder });
            }
            Deed::Shows { terminal, prints } => {
                let shown = self.shown(&prints);
                let deadline = Instant::now() + self.patience;
                let terminal = self.terminals.get_mut(&terminal).ok_or("there is no such terminal")?;
                loop {
                    let ended = terminal.process.exited(); // asked first: its last words are in the log then
                    let printed = terminal.process.log();
                    let missing = match find(&printed[terminal.seen..], &shown) {
                        Ok(at) => {
                            terminal.seen += at;
                            return Ok(());
                        }
                        Err(missing) => missing,
                    };
                    if let Some(status) = ended {
                        return Err(format!("no {missing:?} before it ended ({status}) in:\n{printed}"));
                    }
                    if Instant::now() > deadline {
                        return Err(format!("no {missing:?} within {:?} in:\n{printed}", self.patience));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            Deed::Stop { terminal } => {
                let mut terminal = self.terminals.remove(&terminal).ok_or("there is no such terminal")?;
                terminal.process.signal(Signal::INT);
                terminal.process.wait(self.patience).map_err(|error| format!("{error:#}"))?;
            }
            Deed::Save { name, body } => {
                let text = body.iter().map(|line| self.with_ports(line) + "\n").collect::<String>();
                fs::write(self.folder.join(name), text).map_err(|error| error.to_string())?;
            }
            Deed::NotRun { .. } => {}
        }
        Ok(())
    }

    /// What the page shows, with the test's ports.
    fn shown(&self, lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| self.with_ports(line.trim_start_matches(TERMINAL_ONLY))).collect()
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(self.translate(command)).current_dir(&self.folder).env("PATH", &self.path);
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_"));
        ours.for_each(|(name, _)| {
            shell.env_remove(name);
        });
        shell
    }

    /// A command of the page as this test runs it.
    pub(crate) fn translate(&self, command: &str) -> String {
        let found = INSTEAD.iter().find(|(theirs, _)| command.contains(theirs));
        let command = found.map_or(command.to_owned(), |(theirs, ours)| command.replace(theirs, ours));
        self.with_ports(&command).replace("BINARY", &self.binary)
    }

    fn with_ports(&self, text: &str) -> String {
        let digit = |c: char| c.is_ascii_digit();
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(digit) {
            let end = rest[at..].find(|c| !digit(c)).map_or(rest.len(), |length| at + length);
            out += &rest[..at];
            match rest[at..end].parse::<u16>() {
                Ok(port) if PORTS.contains(&port) => {
                    out += &(port - PORTS.start + self.first_port).to_string()
                }
                _ => out += &rest[at..end],
            }
            rest = &rest[end..];
        }
        out + rest
    }
}

/// The text of a file of the repository.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(page: &str) -> Result<(), String> {
        Tour::new(Path::new("/"), "true", 20_000, Duration::from_millis(500)).follow(page)
    }

    fn run_block(command: &str, prints: &str) -> String {
        format!("```sh\n{command}\n```\n```text\n{prints}\n```\n")
    }

    #[test]
    fn a_page_that_is_true_passes() {
        let page = run_block("echo one two", "one …")
            + "<!-- terminal a -->\n```sh\nsh -c 'echo up; trap \"echo bye; exit\" INT; while :; do sleep 0.01; done'\n```\n\
               <!-- terminal a shows -->\n```text\nup\n```\n<!-- Ctrl-C in a -->\n";
        follow(&page).expect("true");
    }

    #[test]
    fn a_page_that_is_not_true_fails_with_its_line() {
        let quiet =
            "<!-- terminal a -->\n```sh\nsleep 60\n```\n<!-- terminal a shows -->\n```text\nup\n```\n";
        let again = "<!-- terminal a -->\n```sh\necho up\n```\n<!-- terminal a shows -->\n```text\nup\n```\n\
                     <!-- terminal a shows -->\n```text\nup\n```\n";
        for (page, words) in [
            (run_block("echo one", "two"), "line 1: no \"two\""),
            (run_block("echo one; exit 3", "one"), "line 1: "),
            (run_block("no-such-program", "one"), "line 1: "),
            (run_block("echo one", "one") + &run_block("false", "…"), "line 7: "),
            (quiet.to_owned(), "line 6: no \"up\""),
            (again.to_owned(), "line 10: no \"up\""),
        ] {
            let problem = follow(&page).expect_err(&page);
            assert!(problem.starts_with(words), "{page}{problem}");
        }
    }

    #[test]
    fn commands_are_the_readers_but_for_binary_and_ports() {
        let tour = Tour::new(Path::new("/"), "/bin/tg", 20_000, Duration::ZERO);
        for (theirs, ours) in [
            ("cargo run --release", "/bin/tg --listen 127.0.0.1:20000 --admin 127.0.0.1:20001"),
            ("cargo run --release -- subscribe a", "/bin/tg subscribe --url ws://127.0.0.1:20000/ws a"),
            ("cargo run --release -- publish a 1", "/bin/tg publish --admin http://127.0.0.1:20001 a 1"),
            ("cargo run --release -- config check", "/bin/tg config check"),
            ("cargo xtask cluster --port 8080", "cargo xtask cluster --no-build --port 20000"),
            ("redis-cli -p 8280 PUBLISH 18080 808", "redis-cli -p 20200 PUBLISH 18080 808"),
        ] {
            assert_eq!(tour.translate(theirs), ours);
        }
    }
}
