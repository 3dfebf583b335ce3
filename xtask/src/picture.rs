//! The picture of docs/performance.md: where time, memory and bytes of a delivery go.
//!
//! Drawn from figures that are committed anyway: the benchmark's raw ones, the table "The allocator" of the page it stands
//! on, and what docs/capacity.toml says of the wire and of the kernel. It measures nothing.

mod bars;
mod figures;
#[cfg(test)]
mod tests;

use anyhow::Result;

use bars::{Bar, Part};
use figures::Figures;

/// What is drawn, and where it goes.
pub(crate) const PICTURE: &str = "docs/img/where-it-goes.svg";
/// What it is drawn from.
pub(crate) const MEASURED: &str = "docs/results/benchmarks.json";
pub(crate) const TABLE: &str = "docs/performance.md";
pub(crate) const INPUT: &str = crate::capacity::INPUT;

/// The colours of parts: the kernel's are blue, ours orange.
const KERNEL: &str = "#2f6f9f";
const KERNEL_TOO: &str = "#79b4d6";
const OURS: &str = "#e08a3c";
const OURS_TOO: &str = "#f0c48a";
const OURS_AGAIN: &str = "#b4452c";
const REST: &str = "#c9ced6";

/// The picture that these three texts make: [`MEASURED`], [`TABLE`] and [`INPUT`].
///
/// # Errors
/// When a figure is missing, or the table's sum is above what was measured.
pub(crate) fn draw(measured: &str, table: &str, input: &str) -> Result<String> {
    let figures = Figures::read(measured, table, input)?;
    let longest = figures.deliveries.iter().map(|delivery| delivery.node_us).fold(1.0, f64::max);
    let mut bars = Vec::new();
    for delivery in &figures.deliveries {
        let floor = delivery.floor_us.min(delivery.node_us);
        let more = delivery.node_us - floor;
        bars.push(Bar {
            title: format!("CPU of a delivery, {}: {:.1} µs", delivery.work, delivery.node_us),
            parts: vec![
                Part { of: format!("{} {floor:.1} µs", delivery.floor), size: floor, colour: KERNEL },
                Part { of: format!("what the node adds {more:.1} µs"), size: more, colour: OURS },
            ],
            whole: longest,
        });
    }
    let own = |name: &str, bytes: f64, colour| Part { of: format!("{name} {bytes:.0}"), size: bytes, colour };
    let memory = &figures.memory;
    bars.push(Bar::full(
        format!("Memory of an idle connection in the node: {:.0} bytes", memory.measured),
        vec![
            own("task", memory.task, OURS),
            own("socket's registration", memory.registration, OURS_TOO),
            own("shared with channels and lanes", memory.shared, OURS_AGAIN),
            own("entries and the rest", memory.rest, REST),
        ],
    ));
    bars.push(Bar::full(
        format!(
            "The same with its socket in the kernel: {:.1} KiB",
            (memory.measured + memory.kernel) / 1024.0
        ),
        vec![own("node", memory.measured, OURS), own("kernel", memory.kernel, KERNEL)],
    ));
    let wire = &figures.wire;
    bars.push(Bar::full(
        format!(
            "Bytes of a delivery on the wire, native JSON: {:.0}",
            wire.payload + wire.frame + wire.packet
        ),
        vec![
            own("payload", wire.payload, OURS),
            own("JSON frame and WebSocket header", wire.frame, OURS_TOO),
            own("TCP, IP and Ethernet", wire.packet, KERNEL_TOO),
        ],
    ));
    Ok(bars::svg("Where time, memory and bytes of a delivery go", &bars))
}
