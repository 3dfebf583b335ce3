//! What the picture shows, read from the files that have it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use toml::Table;

/// The three works of a delivery: row, how the picture calls it, whom it is held against, and how that is called.
const DELIVERIES: [(u64, &str, &str, &str); 3] = [
    (1, "2,000 in a channel", "floor", "floor: a bare loop of writes"),
    (3, "rooms of ten", "room_floor", "floor: bare reads and writes"),
    (4, "one event for one client", "room_floor", "floor: bare reads and writes"),
];

#[derive(Debug)]
pub(super) struct Figures {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) memory: Memory,
    pub(super) wire: Wire,
}

/// Medians over the rounds.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) work: &'static str,
    pub(super) floor: &'static str,
    pub(super) floor_us: f64,
    pub(super) node_us: f64,
}

/// Of one idle connection, in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) measured: f64,
    pub(super) task: f64,
    pub(super) registration: f64,
    pub(super) shared: f64,
    /// What was measured besides these.
    pub(super) rest: f64,
    pub(super) kernel: f64,
}

/// Of one delivery, in bytes.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) payload: f64,
    pub(super) frame: f64,
    pub(super) packet: f64,
}

impl Figures {
    pub(super) fn read(measured: &str, table: &str, input: &str) -> Result<Self> {
        let measured: Value = serde_json::from_str(measured).context(super::MEASURED)?;
        let input: Table = input.parse().context(super::INPUT)?;
        let mut deliveries = Vec::new();
        for (row, work, subject, floor) in DELIVERIES {
            let floor_us = median(&measured, row, subject, "cpu_us")?;
            let node_us = median(&measured, row, "plain", "cpu_us")?;
            deliveries.push(Delivery { work, floor, floor_us, node_us });
        }
        let entry = |section: &str, name: &str| {
            let entry = input.get(section).and_then(|section| section.get(name)?.get("value"));
            let number =
                entry.and_then(|value| value.as_float().or(value.as_integer().map(|whole| whole as f64)));
            number.with_context(|| format!("{}: {section}.{name}", super::INPUT))
        };
        let memory = {
            let measured = median(&measured, 6, "plain", "bytes")?;
            let task = of_table(table, "the task")?;
            let registration = of_table(table, "its socket's registration")?;
            let shared = of_table(table, "what it shares")?;
            let rest = measured - task - registration - shared;
            ensure!(rest >= 0.0, "{}: the table has more bytes than row 6 measured", super::TABLE);
            Memory {
                measured,
                task,
                registration,
                shared,
                rest,
                kernel: entry("connection", "kernel_bytes")?,
            }
        };
        let wire = Wire {
            payload: entry("wire", "payload_bytes")?,
            frame: entry("wire", "frame_bytes")?,
            packet: entry("wire", "packet_bytes")?,
        };
        Ok(Self { deliveries, memory, wire })
    }
}

/// The median of a figure over all rounds of a row, of one subject.
fn median(measured: &Value, row: u64, subject: &str, figure: &str) -> Result<f64> {
    let all = measured["measurements"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = all.iter().filter(|one| one["row"] == row && one["subject"] == subject);
    let mut values: Vec<f64> = ours.filter_map(|one| one["figures"][figure].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let middle = values.get(low).zip(values.get(high)).map(|(a, b)| f64::midpoint(*a, *b));
    middle.with_context(|| format!("{}: no {figure} of {subject} in row {row}", super::MEASURED))
}

/// The first number in the second column of the row that begins like this, below "The allocator".
fn of_table(page: &str, begins: &str) -> Result<f64> {
    let chapter = page.split("\n## ").find(|chapter| chapter.starts_with("The allocator"));
    let row =
        chapter.unwrap_or_default().lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(begins));
    let number = row.and_then(|row| row.split(" | ").nth(1)?.split([' ', ',', ':']).next()?.parse().ok());
    number.with_context(|| format!("{}, The allocator: no row `{begins} …` with a number", super::TABLE))
}
