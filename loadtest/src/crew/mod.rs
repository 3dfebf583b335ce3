//! Several processes that share the connections of a run: each has its own open files, and a core if there is one.
//!
//! The main process publishes, measures the server and writes the report. Its workers (this same program) open a slice
//! each and check what comes. Orders go to their standard inputs, news come from their standard outputs, counters
//! that must be known at once lie in a [`ledger`]. In the main process a thread keeps each worker, and stands where a
//! receiving thread stands in a run of one process.

pub mod ledger;
pub mod link;
pub mod message;
mod patience;
pub mod worker;

use std::io::ErrorKind;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::receiver::Heard;
use crate::scenario::{Scenario, Slice};
use crate::vitals::Vitals;
use ledger::Ledger;
use link::Link;
use message::{News, Order};
use patience::Patience;

/// Worker processes that wait for their first order.
#[derive(Debug)]
pub struct Crew {
    workers: Vec<Worker>,
}

/// One of them. It is ended when this is dropped, if it has not ended by itself; and by itself it ends when the main
/// process has, because its orders do.
#[derive(Debug)]
struct Worker {
    child: Child,
    news: Option<ChildStdout>,
    slice: Slice,
}

impl Crew {
    /// Starts so many, and says how to reach them.
    ///
    /// # Errors
    /// When no process can be had.
    pub fn start(count: u32) -> Result<(Self, Link)> {
        let program = std::env::current_exe().context("the path of this program")?;
        let ledger = Ledger::create(count)?;
        let (mut workers, mut orders) = (Vec::new(), Vec::new());
        for index in 0..count {
            let mut command = Command::new(&program);
            command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().with_context(|| format!("starting worker {index}"))?;
            orders.extend(child.stdin.take());
            let news = child.stdout.take();
            workers.push(Worker { child, news, slice: Slice { index, of: count } });
        }
        Ok((Self { workers }, Link::Main { ledger, orders: Mutex::new(orders) }))
    }

    /// What they use.
    ///
    /// # Errors
    /// When one has ended already.
    pub fn vitals(&self) -> Result<Vitals> {
        Vitals::new(&self.workers.iter().map(|worker| worker.child.id()).collect::<Vec<_>>())
    }

    /// Lets them open their connections; each thread returns what its worker has heard.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn open(
        self,
        scenario: &Scenario,
        progress: &Arc<Progress>,
    ) -> Result<Vec<JoinHandle<Result<Heard>>>> {
        let of = scenario.slice.of.max(u32::try_from(self.workers.len()).unwrap_or(1));
        progress.link().deal(|index, ledger| {
            let slice = Slice { index, of };
            Order::Open(Box::new(Scenario { slice, ..scenario.clone() }), ledger.path())
        });
        let mut keepers = Vec::new();
        for worker in self.workers {
            let progress = Arc::clone(progress);
            let connections = scenario.connections;
            keepers.push(
                thread::Builder::new()
                    .name("keeper".to_owned())
                    .spawn(move || worker.keep(connections, &progress))?,
            );
        }
        Ok(keepers)
    }
}

impl Worker {
    /// Takes its news until it has reported. One that is silent for too long is ended: whoever writes an order that does
    /// not fit into its pipe waits no longer either.
    fn keep(mut self, connections: u32, progress: &Progress) -> Result<Heard> {
        let name =
            format!("worker {} of {} (process {})", self.slice.index + 1, self.slice.of, self.child.id());
        let news = self.news.take().with_context(|| name.clone())?;
        let longest = patience::longest(connections);
        let due = || progress.over() || progress.open() >= u64::from(connections);
        let mut news = Patience::new(news, longest, due);
        loop {
            match message::read(&mut news) {
                Ok(Some(News::Part(cut, lately))) => progress.board.add(cut, &lately),
                Ok(Some(News::Heard(heard))) => return Ok(*heard),
                Ok(Some(News::Failed(why))) => bail!("{name}: {why}"),
                Err(error) if error.kind() == ErrorKind::TimedOut => bail!(
                    "{name} said nothing for {} s and was ended: is it stopped (a signal, a debugger), or is the machine out \
                     of CPU or memory? Run it again, with fewer connections if it is",
                    longest.as_secs()
                ),
                // Also when it ends in the middle of a word.
                Ok(None) | Err(_) => {
                    drop(news);
                    let status = self.child.wait().with_context(|| name.clone())?;
                    bail!("{name} ended before its report: {status}");
                }
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
