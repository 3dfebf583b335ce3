//! The page of sizes is the one that its figures make, and what its figures take from the benchmark stands there.

use serde_json::Value;
use toml::Table;

use super::sources::Tree;
use crate::capacity::{self, INPUT, PAGE};

/// What the benchmark measured.
const FIGURES: &str = "docs/results/benchmarks.json";
/// Figures are written with three digits.
const ROUNDING: f64 = 0.005;

/// The time of a call: the share of a core that was used, by calls a second.
const PER_CALL: &str = "cores / per_second";

/// A figure that comes from a row.
struct Taken {
    /// Where it is written; of deliveries, the subscribers of its point.
    written: (&'static str, &'static str),
    /// Rows 6 and 7 are measured as row 6.
    row: u64,
    case: &'static str,
    /// The dearest of these doors.
    subjects: &'static [&'static str],
    figure: &'static str,
}

const TAKEN: [Taken; 8] = [
    delivery("1", 4, "10,000 own channels, 5,000/s"),
    delivery("10", 3, "1,000 rooms × 10, 5/s each"),
    delivery("2000", 1, "2,000 subscribers, 20/s"),
    connection("memory_bytes", 6, "15,000 idle", &["plain"], "bytes"),
    connection("idle_cpu_us_s", 6, "15,000 idle", &["plain", "native"], "idle_us"),
    connection("connect_cpu_us", 9, "connect, subscribe", &["native"], "open_us"),
    call("publish_cpu_us", "PUBLISH"),
    call("durable_cpu_us", "tg_publish"),
];

/// Of Redis' core.
const fn call(name: &'static str, case: &'static str) -> Taken {
    Taken { written: ("redis", name), row: 12, case, subjects: &["redis"], figure: PER_CALL }
}

const fn delivery(subscribers: &'static str, row: u64, case: &'static str) -> Taken {
    Taken { written: ("delivery", subscribers), row, case, subjects: &["plain"], figure: "cpu_us" }
}

const fn connection(
    name: &'static str,
    row: u64,
    case: &'static str,
    subjects: &'static [&'static str],
    figure: &'static str,
) -> Taken {
    Taken { written: ("connection", name), row, case, subjects, figure }
}

/// Compares the page with its figures, and these with the benchmark's.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let Some(input) = tree.text(INPUT) else { return Vec::new() };
    match capacity::page(input) {
        Err(error) => vec![format!("{INPUT}: {error:#}")],
        Ok(page) if Some(page.as_str()) != tree.text(PAGE) => {
            vec![format!("{PAGE} is not what {INPUT} makes: `cargo xtask docs` writes it anew")]
        }
        Ok(_) => tree.text(FIGURES).map_or_else(Vec::new, |figures| taken(input, figures)),
    }
}

fn taken(input: &str, figures: &str) -> Vec<String> {
    let table: Table = input.parse().unwrap_or_default();
    let figures: Value = serde_json::from_str(figures).unwrap_or_default();
    let mut problems = Vec::new();
    if input.matches("results/benchmarks.json").count() != TAKEN.len() {
        problems.push(format!("{INPUT}: xtask/src/tidy/capacity.rs lists other figures of the benchmark"));
    }
    for taken in &TAKEN {
        let (section, name) = taken.written;
        match (taken.written(&table), taken.measured(&figures)) {
            (Some(written), Some(measured)) if (written - measured).abs() <= ROUNDING * measured => {}
            (written, measured) => problems.push(format!(
                "{INPUT}: {section}.{name} is {written:?}, row {} of {FIGURES} says {measured:?}",
                taken.row
            )),
        }
    }
    problems
}

impl Taken {
    fn written(&self, table: &Table) -> Option<f64> {
        let (section, name) = self.written;
        let section = table.get(section)?;
        let Some(points) = section.get("points") else { return number(section.get(name)?.get("value")?) };
        let subscribers = name.parse::<f64>().ok();
        let mut points = points.as_array()?.iter();
        number(points.find(|point| point.get("subscribers").and_then(number) == subscribers)?.get("cpu_us")?)
    }

    /// The median of the rounds.
    fn measured(&self, figures: &Value) -> Option<f64> {
        let measurements = figures.get("measurements")?.as_array()?;
        let median = |subject: &&str| {
            let of_it = |known: &&Value| {
                known["row"] == self.row && known["case"] == self.case && known["subject"] == **subject
            };
            let rounds = measurements.iter().filter(of_it);
            let mut rounds: Vec<f64> = rounds.filter_map(|known| self.figure_of(&known["figures"])).collect();
            rounds.sort_by(f64::total_cmp);
            let (low, high) = (rounds.get(rounds.len().checked_sub(1)? / 2)?, rounds.get(rounds.len() / 2)?);
            Some(f64::midpoint(*low, *high))
        };
        self.subjects.iter().filter_map(median).reduce(f64::max)
    }

    fn figure_of(&self, figures: &Value) -> Option<f64> {
        match self.figure {
            PER_CALL => Some(figures["cores"].as_f64()? * 1e6 / figures["per_second"].as_f64()?),
            figure => figures[figure].as_f64(),
        }
    }
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}
