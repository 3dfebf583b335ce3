//! Children in process groups of their own, all ended with us: by drop, after a panic, and on Ctrl-C.
//!
//! A group holds whatever the child starts. Grandchildren that left their group are handed to us when their parent dies
//! (we are their "subreaper"), so they are found and ended too.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long a child may take to stop after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// The groups that run now, oldest first.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Ends every child when the terminal, a supervisor or `kill` ends us. Called once, first thing.
///
/// # Errors
/// When the system refuses the handlers.
pub(crate) fn watch_signals() -> Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("cannot become a subreaper")?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        thread::spawn(move || {
            // The impatient: a second signal waits for nobody.
            if signals.forever().next().is_some() {
                kill_all(Signal::KILL);
                std::process::exit(128 + signal);
            }
        });
        eprintln!("\nstopping …");
        end_all();
        std::process::exit(128 + signal);
    });
    Ok(())
}

/// A running child and its group.
pub(crate) struct Child {
    child: std::process::Child,
    group: Pid,
}

impl Child {
    /// Starts a command in a group of its own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        // Held over the start, so that a signal in between does not miss the new group.
        let mut groups = GROUPS.lock().expect("nothing panics while it holds the groups");
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let group = Pid::from_child(&child);
        groups.push(group);
        Ok(Self { child, group })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's end of the pipe that was asked for with `Stdio::piped()`.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the system does not know it.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("cannot wait for a child")
    }

    /// Waits for its end, at most so long; then its whole group is killed and the answer is `None`.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() > deadline {
                self.kill();
                return None;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        // What is left of the group may already be nothing.
        let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        GROUPS.lock().expect("nothing panics while it holds the groups").retain(|group| *group != self.group);
    }
}

/// Asks every child to stop, newest first, and kills what still runs after the grace time.
pub(crate) fn end_all() {
    // A reaped child's id could name a stranger, but ids come round only after tens of thousands of others.
    let groups = GROUPS.lock().expect("nothing panics while it holds the groups");
    for group in groups.iter().rev() {
        let _ = rustix::process::kill_process_group(*group, Signal::TERM);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && !offspring().is_empty() {
        reap();
        thread::sleep(Duration::from_millis(20));
    }
    drop(groups);
    kill_all(Signal::KILL);
}

fn kill_all(signal: Signal) {
    if let Ok(groups) = GROUPS.lock() {
        for group in groups.iter().rev() {
            let _ = rustix::process::kill_process_group(*group, signal);
        }
    }
    for (id, _) in offspring() {
        let _ = rustix::process::kill_process(id, signal);
    }
}

/// Ends what a finished child left running, after giving it a moment, and names it.
pub(crate) fn end_orphans() -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut left = Vec::new();
    while GROUPS.lock().is_ok_and(|groups| groups.is_empty()) {
        left = offspring();
        if left.is_empty() || Instant::now() > deadline {
            break;
        }
        reap();
        thread::sleep(Duration::from_millis(20));
    }
    for (id, _) in &left {
        let _ = rustix::process::kill_process(*id, Signal::KILL);
    }
    left.into_iter().map(|(id, name)| format!("{name} ({})", id.as_raw_nonzero())).collect()
}

/// Takes the exit status of children that nobody else waits for.
fn reap() {
    for (id, _) in offspring() {
        let _ = rustix::process::waitpid(Some(id), WaitOptions::NOHANG);
    }
}

/// Our children of the moment, adopted ones too: id and name. Empty where there is no /proc.
fn offspring() -> Vec<(Pid, String)> {
    let own = std::process::id().to_string();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let child = |entry: fs::DirEntry| {
        // `id (name) state parent …`; the name may hold spaces and brackets, so look from its end.
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let (id, name) = head.split_once(" (")?;
        let parent = tail.split_whitespace().nth(1)?;
        (parent == own).then_some((Pid::from_raw(id.parse().ok()?)?, name.to_owned()))
    };
    processes.flatten().filter_map(child).collect()
}

/// A command whose input is nothing and whose output goes to a file.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn logged(command: &mut Command, log: &std::path::Path) -> Result<Child> {
    let file = fs::File::create(log).with_context(|| log.display().to_string())?;
    Child::start(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_value_and_takes_its_own_children_along() {
        let mut child =
            Child::start(Command::new("sh").args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped()))
                .expect("sh");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout().expect("piped")), &mut line)
            .expect("id");
        let stat = format!("/proc/{}/stat", line.trim());
        assert!(fs::exists(&stat).expect("proc"));
        drop(child);
        let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let deadline = Instant::now() + Duration::from_secs(5);
        while !gone() {
            assert!(Instant::now() < deadline, "the grandchild lives on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let mut child = Child::start(Command::new("sleep").arg("600")).expect("sleep");
        assert!(child.wait_at_most(Duration::from_millis(50)).is_none());
        assert!(child.ended().is_some());
    }
}
