//! The input file: figures, each with its source, and the cases to compute.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

/// The figures that the model asks for, as `table.name`, with what each is.
pub(super) const FIGURES: [(&str, &str); 19] = [
    ("connection.memory_bytes", "memory of a connection in the node"),
    ("connection.kernel_bytes", "memory of its socket in the kernel"),
    ("connection.idle_cpu_us_s", "CPU of an idle connection, µs each second"),
    ("connection.connect_cpu_us", "CPU of connecting and subscribing, µs"),
    ("redis.publish_cpu_us", "CPU of Redis for a `PUBLISH`, µs"),
    ("redis.relay_cpu_us", "CPU of Redis for each node that hears it, µs"),
    ("redis.durable_cpu_us", "CPU of Redis for an event with history, µs"),
    ("wire.payload_bytes", "payload of an event, bytes"),
    ("wire.frame_bytes", "what the native door puts around it, bytes"),
    ("wire.relay_bytes", "what Redis puts around it, bytes"),
    ("wire.packet_bytes", "headers of a packet, bytes"),
    ("assumed.utilisation", "share of anything that the peak may use"),
    ("assumed.node_cores", "cores of a node"),
    ("assumed.node_memory_gib", "memory of a node, GiB"),
    ("assumed.node_network_gbit", "network of a node, Gbit/s"),
    ("assumed.node_connections", "connections of a node at most"),
    ("assumed.return_s", "seconds in which clients of a dead node return"),
    ("assumed.return_cores", "share of the cores for them"),
    ("delivery", "CPU of a delivery, µs"),
];

/// A measured cost of one delivery.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) subscribers: f64,
    pub(super) cpu_us: f64,
    pub(super) source: String,
}

/// All that the model is told.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    figures: BTreeMap<String, (f64, String)>,
    /// By growing number of subscribers.
    pub(super) points: Vec<Point>,
    pub(super) connections: Vec<f64>,
    pub(super) deliveries: Vec<f64>,
    pub(super) rooms: Vec<f64>,
}

impl Inputs {
    /// # Errors
    /// When a figure is missing, is no positive number, or has no source.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse().context(super::INPUT)?;
        let mut figures = BTreeMap::new();
        for (path, _) in FIGURES {
            let Some((section, name)) = path.split_once('.') else { continue };
            let entry = table.get(section).and_then(|section| section.get(name));
            figures.insert(path.to_owned(), figure(entry, "value").with_context(|| path.to_owned())?);
        }
        let points = table.get("delivery").and_then(|delivery| delivery.get("points"));
        let points = points.and_then(Value::as_array).context("delivery.points")?;
        let point = |entry: &Value| -> Result<Point> {
            let (cpu_us, source) = figure(Some(entry), "cpu_us")?;
            let subscribers = entry.get("subscribers").and_then(number).context("subscribers")?;
            Ok(Point { subscribers, cpu_us, source })
        };
        let points = points.iter().map(point).collect::<Result<Vec<_>>>().context("delivery.points")?;
        ensure!(
            !points.is_empty() && points.is_sorted_by(|a, b| a.subscribers < b.subscribers),
            "delivery.points: some, by growing number of subscribers"
        );
        let cases = |name: &str| -> Result<Vec<f64>> {
            let list = table.get("cases").and_then(|cases| cases.get(name)).and_then(Value::as_array);
            let numbers = list.map(|list| list.iter().map(number).collect::<Option<Vec<f64>>>());
            numbers.flatten().with_context(|| format!("cases.{name}"))
        };
        let (connections, deliveries, rooms) =
            (cases("connections")?, cases("deliveries_s")?, cases("rooms")?);
        Ok(Self { figures, points, connections, deliveries, rooms })
    }

    /// The figure of this path.
    ///
    /// # Panics
    /// When it is none of [`FIGURES`].
    pub(super) fn get(&self, path: &str) -> f64 {
        self.figures.get(path).unwrap_or_else(|| panic!("{path} is not in FIGURES")).0
    }

    pub(super) fn source(&self, path: &str) -> &str {
        self.figures.get(path).map_or("", |(_, source)| source)
    }
}

fn figure(entry: Option<&Value>, name: &str) -> Result<(f64, String)> {
    let entry = entry.context("it is missing")?;
    let value = entry.get(name).and_then(number).context("it has no value")?;
    ensure!(value.is_finite() && value > 0.0, "{value} is not positive");
    let source = entry.get("source").and_then(Value::as_str).filter(|source| !source.is_empty());
    Ok((value, source.context("it has no source")?.to_owned()))
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}
