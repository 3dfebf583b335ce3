//! The benchmark: gateway, floors and peers in turns, each on its own core, and the figures written
//! down.
//!
//! Settings come in, findings leave. It starts and ends every process itself, Redis too. `rows` says
//! what is measured, `bars` what is wanted of it, `document` makes the page.

pub mod bars;
pub mod case;
pub mod comeback;
pub mod command;
pub mod document;
pub mod echo;
pub mod finding;
pub mod flow;
pub mod functions;
pub mod grid;
pub mod idle;
pub mod machine;
pub mod peers;
pub mod process;
pub mod ratio;
pub mod rows;
pub mod shortfalls;
pub mod stand;
pub mod subject;
pub mod visitors;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use finding::{Findings, Measurement, Outcome};
use machine::Machine;
use peers::Peers;
use stand::{Setup, Stand};
use subject::Subject;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rounds of each row.
    pub rounds: u32,
    /// The gateway's binary.
    pub tidegate: PathBuf,
    /// The folder of the peers.
    pub peers: Option<PathBuf>,
    /// Which of [`rows::ROWS`].
    pub rows: Vec<u32>,
    /// Events under way in row 2.
    pub window: u32,
    /// The measured part of each measurement.
    pub length: Duration,
    /// Smaller and shorter.
    pub quick: bool,
}

/// A benchmark that goes on.
struct Bench {
    settings: Settings,
    stand: Stand,
    findings: Findings,
}

/// Measures all that is asked. What cannot be measured is left out, and said.
///
/// # Errors
/// When the stand cannot be set up, or there is no such row.
pub fn run(settings: Settings) -> Result<Findings> {
    for row in &settings.rows {
        ensure!(rows::ROWS.contains(row), "rows are 1 to 13, not {row}");
    }
    let machine = Machine::look();
    let peers = Peers::look(settings.peers.as_deref());
    let stand = Stand::start(&settings.tidegate, peers)?;
    if machine.load > 0.5 {
        say(&format!("the machine is not idle (load {:.1}): expect wide ranges", machine.load));
    }
    let mut programs = vec![stand.version()?];
    programs.extend(stand.peers.versions());
    let findings = Findings {
        day: machine::today(),
        machine,
        programs,
        skipped: Vec::new(),
        failed: Vec::new(),
        quick: settings.quick,
        rounds: settings.rounds,
        seconds: settings.length.as_secs_f64(),
        window: settings.window,
        measurements: Vec::new(),
    };
    let mut bench = Bench { settings, stand, findings };
    for row in bench.settings.rows.clone() {
        bench.row(row)?;
    }
    Ok(bench.findings)
}

impl Bench {
    /// Measures one subject once and keeps it. Hours of other figures are not thrown away when it
    /// fails: the page says that it did.
    fn measure(
        &mut self,
        row: u32,
        case: &str,
        round: u32,
        subject: Subject,
        measure: impl FnOnce(&Stand) -> Result<Outcome>,
    ) {
        if let Some(why) = self.unable(subject) {
            let line = format!("{subject}: {why}");
            if !self.findings.skipped.contains(&line) {
                say(&line);
                self.findings.skipped.push(line);
            }
            return;
        }
        match measure(&self.stand) {
            Ok(Outcome { figures, faults, ended }) => {
                let measurement =
                    Measurement { row, case: case.to_owned(), round, subject, figures, faults, ended };
                say(&format!("round {round}, {measurement}"));
                self.findings.measurements.push(measurement);
            }
            Err(error) => {
                let line = format!("row {row}, {case}, {subject}, round {round}: {error:#}");
                say(&line);
                if subject.is_peer() { &mut self.findings.skipped } else { &mut self.findings.failed }
                    .push(line);
            }
        }
    }

    fn unable(&self, subject: Subject) -> Option<&'static str> {
        match subject {
            Subject::Paced if !self.stand.knows(Setup::Paced) => {
                Some("this gateway has no setting for paced reading")
            }
            Subject::Bun if !self.stand.peers.has(subject) => {
                Some("not installed (`cargo xtask bench` does, where npm is)")
            }
            Subject::SocketIo if !self.stand.peers.has(subject) => {
                Some("not installed (`cargo xtask bench` does, where Node.js and npm are)")
            }
            _ => None,
        }
    }

    /// A number of connections or channels: a quick run takes a fifth.
    fn size(&self, size: u32) -> u32 {
        if self.settings.quick && size > 100 { size / 5 } else { size }
    }
}

#[expect(clippy::print_stderr, reason = "how far it is; the table goes to standard output")]
fn say(line: &str) {
    eprintln!("{line}");
}
