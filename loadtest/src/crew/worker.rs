//! One worker process: opens its slice of the connections, obeys its orders, and tells what it heard.
//!
//! It knows nothing of publishing, of the other workers and of the report. It ends when its orders do, so that a main
//! process that was killed leaves nobody behind.

use std::io;
use std::process;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, bail};

use super::ledger::Ledger;
use super::link::Link;
use super::message::{self, News, Order, Outbox};
use crate::load::Load;
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::series::Board;

/// Does what standard input says.
///
/// # Errors
/// When it was started by hand. What goes wrong later is told to the main process.
pub fn work() -> Result<()> {
    let (scenario, counters) = loop {
        match message::read(&mut io::stdin()) {
            Ok(Some(Order::Open(scenario, counters))) => break (scenario, counters),
            // The series may have begun; the next cut says how far it is.
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => bail!("a worker is started by `run --processes`, not by hand"),
        }
    };
    let news = Arc::new(Outbox::of_this_process()?);
    let ledger = Ledger::open(&counters, scenario.slice.of)?;
    let link = Link::Worker { ledger, index: scenario.slice.index, turn: std::sync::Mutex::new(()) };
    let progress = Arc::new(Progress::new(scenario.channels).linked(link, Board::sent_to(Arc::clone(&news))));
    let shared = Arc::clone(&progress);
    thread::Builder::new().name("orders".to_owned()).spawn(move || obey(&shared))?;
    news.send(&match run(*scenario, progress) {
        Ok(heard) => heard,
        Err(error) => News::Failed(format!("{error:#}")),
    });
    Ok(())
}

fn run(scenario: Scenario, progress: Arc<Progress>) -> Result<News> {
    let load = Load::open_watched(&Arc::new(scenario), progress, None, |_, _| {})?;
    Ok(News::Heard(Box::new(load.wait()?)))
}

/// Passes orders on to all threads, until there are no more.
fn obey(progress: &Progress) {
    loop {
        match message::read(&mut io::stdin()) {
            Ok(Some(Order::MeasureFrom(time))) => progress.measure_from(time),
            Ok(Some(Order::Begin(time))) => progress.begin(time),
            Ok(Some(Order::Cut(cut, next))) => progress.cut(cut, next),
            Ok(Some(Order::Settle)) => progress.settle(),
            Ok(Some(Order::Finish(published))) => progress.finish(&published),
            Ok(Some(Order::Stop)) => progress.stop(),
            // The main process has ended, or has gone mad: nobody wants a report.
            Ok(None | Some(Order::Open(..))) | Err(_) => process::exit(1),
        }
    }
}
