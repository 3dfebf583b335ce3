//! The command line of the benchmark.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::finding::Findings;
use super::{Settings, rows};

/// What to measure, and where to write it.
#[derive(Args, Debug)]
pub struct Command {
    /// Rounds, the servers taking turns; the median of the paired ratios counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/tidegate")]
    tidegate: PathBuf,
    /// Which rows of the table; rows 6 and 7 are one work.
    #[arg(long, value_delimiter = ',', default_values_t = rows::ROWS)]
    rows: Vec<u32>,
    /// Events under way in row 2: more make larger writes and later deliveries.
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// How long each measurement takes, in seconds, after one second of warming up.
    #[arg(long, default_value_t = 4.0, value_parser = seconds)]
    seconds: f64,
    /// One round, one second each, a fifth of the connections: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Where the scripts and packages of the peers are.
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Measure nothing: read these figures.
    #[arg(long, conflicts_with_all = ["json", "quick"])]
    from: Option<PathBuf>,
    /// The table and how it was measured.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Every figure of every round.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    (0.1..=600.0).contains(&seconds).then_some(seconds).ok_or_else(|| "from 0.1 to 600".to_owned())
}

/// Row 7 is measured with row 6.
fn works(rows: Vec<u32>) -> Vec<u32> {
    let mut works: Vec<u32> = rows.into_iter().map(|row| if row == 7 { 6 } else { row }).collect();
    let mut seen = Vec::new();
    works.retain(|work| {
        !seen.contains(work) && {
            seen.push(*work);
            true
        }
    });
    works
}

impl Command {
    /// Measures or reads, prints the table, writes what is asked for. Whether all events came once
    /// and in order.
    ///
    /// # Errors
    /// When the stand cannot be set up, or a file not be read or written.
    #[expect(clippy::print_stdout, reason = "the table is what the command is for")]
    pub fn start(self) -> Result<bool> {
        let findings = match &self.from {
            Some(path) => read(path)?,
            None => super::run(Settings {
                rounds: if self.quick { 1 } else { self.rounds },
                tidegate: self.tidegate,
                peers: self.peers,
                rows: works(self.rows),
                window: self.window,
                length: Duration::from_secs_f64(if self.quick { 1.0 } else { self.seconds }),
                quick: self.quick,
            })?,
        };
        print!("{}", findings.table());
        if let Some(path) = self.out {
            fs::write(&path, findings.document()).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = self.json {
            let file = File::create(&path).with_context(|| path.display().to_string())?;
            serde_json::to_writer_pretty(file, &findings)?;
        }
        // What was read is as it is; the page says so.
        Ok(self.from.is_some() || findings.correct())
    }
}

/// Reads figures that were written before.
///
/// # Errors
/// When they are not there, or of another shape.
pub fn read(path: &Path) -> Result<Findings> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
