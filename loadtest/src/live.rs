//! How far a run is, on standard error: a bar on a terminal, else a line every few seconds.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::Progress;

/// Between two looks at the figures.
const LOOK: Duration = Duration::from_secs(1);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// Shows one run.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
    terminal: bool,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    stage: &'static str,
    looked: Instant,
    said: Instant,
    delivered: u64,
    figures: String,
}

impl Live {
    /// Shows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let (bar, now) = (ProgressBar::hidden(), Instant::now());
        let state = State { stage: "", looked: now, said: now, delivered: 0, figures: String::new() };
        Self { bar: if terminal { ProgressBar::new(1) } else { bar }, terminal, state: RefCell::new(state) }
    }

    /// A stage begins: `length` says how far it goes.
    pub fn stage(&self, stage: &'static str, length: u64) {
        let mut state = self.state.borrow_mut();
        state.stage = stage;
        let style = ProgressStyle::with_template("{prefix:11} {bar:30} {percent:>3}%  {msg}");
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_prefix(stage);
        self.bar.set_length(length.max(1));
        self.bar.set_position(0);
    }

    /// It is so far.
    pub fn show(&self, position: u64, progress: &Progress) {
        let mut state = self.state.borrow_mut();
        let since = state.looked.elapsed();
        if since >= LOOK || state.figures.is_empty() {
            state.look(since, progress);
            self.bar.set_message(state.figures.clone());
        }
        self.bar.set_position(position);
        if !self.terminal && state.said.elapsed() >= LINE {
            state.said = Instant::now();
            say(&format!("{}: {}", state.stage, state.figures));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    #[expect(clippy::cast_precision_loss, reason = "counts of a second")]
    fn look(&mut self, since: Duration, progress: &Progress) {
        let delivered = progress.delivered();
        let rate = (delivered - self.delivered) as f64 / since.as_secs_f64().max(0.001);
        (self.looked, self.delivered) = (Instant::now(), delivered);
        let away = match progress.absent() {
            0 => String::new(),
            away => format!(" ({away} away)"),
        };
        let latency = progress.board.latest().map_or(String::new(), |latency| {
            format!(", p50 {:.1} ms, p99 {:.1} ms", latency.p50_us / 1e3, latency.p99_us / 1e3)
        });
        self.figures = format!(
            "{} connections{away}, {rate:.0} deliveries/s{latency}, {} missing",
            progress.open(),
            progress.board.missing()
        );
        if progress.failures() > 0 {
            self.figures += &format!(", {} failed to connect", progress.failures());
        }
    }
}

#[expect(clippy::print_stderr, reason = "how far it is; the table goes to standard output")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;
    use crate::series::Lately;

    fn state() -> State {
        let now = Instant::now();
        State { stage: "", looked: now, said: now, delivered: 0, figures: String::new() }
    }

    #[test]
    fn a_look_says_who_is_there_how_fast_it_goes_and_what_is_missing() {
        let (mut state, progress) = (state(), Progress::new(1));
        progress.opened(10);
        state.look(Duration::ZERO, &progress);
        assert_eq!(state.figures, "10 connections, 0 deliveries/s, 0 missing");

        progress.deliver(500);
        progress.went(3);
        progress.failed(2);
        let mut latency = Latency::default();
        latency.record(2_000_000);
        progress.cut(0, u64::MAX);
        progress.board.add(0, &Lately { delivered: 500, missing: 4, ended: 0, latency });
        progress.cut(1, u64::MAX);
        state.look(Duration::from_millis(250), &progress);
        assert_eq!(
            state.figures,
            "10 connections (3 away), 2000 deliveries/s, p50 2.0 ms, p99 2.0 ms, 4 missing, 2 failed to connect"
        );
        // The rate is of what came since the last look, not of all.
        progress.deliver(100);
        state.look(Duration::from_secs(1), &progress);
        assert!(state.figures.contains(" 100 deliveries/s"), "{}", state.figures);
    }
}
