//! The benchmark: gateway and floor in turns, each on its own core, and the figures written down.
//!
//! Settings come in, findings leave. It starts and ends every process itself, Redis too. Rows are
//! those of the performance table: 1 and 2 (one channel, many subscribers), 6 and 7 (idle).

pub mod document;
pub mod fan_out;
pub mod idle;
pub mod machine;
pub mod process;
pub mod ratio;
pub mod stand;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::door::Door;
use crate::rate::Rate;
use fan_out::Sample;
use idle::Rest;
use machine::Machine;
use stand::Stand;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rounds of rows 1 and 2.
    pub rounds: u32,
    /// The gateway's binary.
    pub tidegate: PathBuf,
    /// Rows to measure: 1, 2, 6.
    pub rows: Vec<u32>,
    /// Subscribers of rows 1 and 2.
    pub subscribers: u32,
    /// Connections of row 6.
    pub idle: u32,
    /// Events under way in row 2.
    pub window: u32,
    /// The measured part of each measurement.
    pub length: Duration,
}

/// Who is measured in rows 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The floor server.
    Floor,
    /// The gateway's plain door.
    Plain,
    /// The gateway's native door, JSON.
    Native,
}

impl Subject {
    /// The door its subscribers come in by.
    #[must_use]
    pub fn door(self) -> Door {
        match self {
            Self::Floor | Self::Plain => Door::Plain,
            Self::Native => Door::Native,
        }
    }
}

/// One turn of all subjects at one row.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// 1 or 2.
    pub row: u32,
    /// One for each subject.
    pub samples: Vec<Sample>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Where.
    pub machine: Machine,
    /// Subscribers of rows 1 and 2.
    pub subscribers: u32,
    /// Events under way in row 2.
    pub window: u32,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Rows 1 and 2.
    pub rounds: Vec<Round>,
    /// Rows 6 and 7.
    pub rests: Vec<Rest>,
}

impl Findings {
    /// Whether every event of every measurement came once and in order, and nobody was thrown out.
    #[must_use]
    pub fn correct(&self) -> bool {
        let samples = self.rounds.iter().flat_map(|round| &round.samples);
        samples.fold(true, |well, sample| well && sample.faults.none() && sample.ended == 0)
            && self.rests.iter().all(|rest| rest.ended == 0)
    }
}

/// Measures all that is asked.
///
/// # Errors
/// When a process cannot be started or a connection fails.
pub fn run(settings: &Settings) -> Result<Findings> {
    ensure!(
        settings.rows.iter().all(|row| [1, 2, 6].contains(row)),
        "rows are 1, 2 and 6 (which brings 7 along)"
    );
    let machine = Machine::look();
    let stand = Stand::start(&settings.tidegate)?;
    if machine.load > 0.5 {
        say(&format!("the machine is not idle (load {:.1}): expect wide ranges", machine.load));
    }
    let mut findings = Findings {
        machine,
        subscribers: settings.subscribers,
        window: settings.window,
        seconds: settings.length.as_secs_f64(),
        rounds: Vec::new(),
        rests: Vec::new(),
    };
    for (row, rate) in [(1, Rate::PerSecond(20.0)), (2, Rate::Max)] {
        for round in 1..=settings.rounds {
            if !settings.rows.contains(&row) {
                break;
            }
            let mut samples = Vec::new();
            for subject in [Subject::Floor, Subject::Plain, Subject::Native] {
                let sample = fan_out::measure(&stand, subject, rate, settings)?;
                say(&format!("row {row}, round {round} of {}: {sample}", settings.rounds));
                samples.push(sample);
            }
            findings.rounds.push(Round { row, samples });
        }
    }
    if settings.rows.contains(&6) {
        for door in [Subject::Plain, Subject::Native] {
            let rest = idle::measure(&stand, door, settings.idle)?;
            say(&format!("row 6: {rest}"));
            findings.rests.push(rest);
        }
    }
    Ok(findings)
}

#[expect(clippy::print_stderr, reason = "how far it is; the table goes to standard output")]
fn say(line: &str) {
    eprintln!("{line}");
}
