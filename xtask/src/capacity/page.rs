//! docs/capacity.md: the tables, the formulas, the figures.

use std::fmt::Write as _;

use super::inputs::{FIGURES, Inputs};
use super::model::{Case, answer};

const HEAD: &str = "# Capacity

<!-- Made by `cargo xtask docs` from docs/capacity.toml: edit that, or xtask/src/capacity/. -->

How many nodes, how many shards of Redis and how much network a load takes: computed from measured figures, not tried at this size.
The figures, with where each comes from, stand at the end; put your own into `docs/capacity.toml` and run `cargo xtask docs`. Take the
tables as a first size and measure yours before you buy ([performance.md](performance.md), [loadtest](../loadtest/README.md)).

";

const FORMULAS: &str = "## How it is computed

Subscribers of a room sit on any node. With `n` nodes and `r` subscribers a room is on `c = n · (1 − (1 − 1/n)^r)` nodes: its *copies*. Each
of them has `r / c` of its subscribers.

| what | of each node |
| --- | --- |
| CPU | (deliveries/s ÷ n · cost of a delivery at r / c subscribers + connections ÷ n · idle cost) ÷ (cores · utilisation) |
| memory | connections ÷ n · (node's bytes + kernel's bytes) ÷ (memory · utilisation) |
| network | deliveries/s ÷ n · (payload + frame + packet) · 8 ÷ (network · utilisation) |
| connections of a node | connections ÷ n ÷ the most that shall come back at once |
| return after a death | connections ÷ n ÷ (n − 1) ÷ seconds of return · cost of connecting ÷ (cores · their share) |

The nodes are the fewest, at least two, for which none of the five is above 1; the fullest is the bottleneck. Add one to lose one without
going above the utilisation. Of Redis, events/s = deliveries/s ÷ r:

- CPU of all shards = events/s · (cost of a publish + copies · cost of a copy) ÷ utilisation. A server is one core.
- Network of all shards = events/s · copies · (payload + RESP) · 8 ÷ utilisation.
- Shards are the larger of the two, rounded up. *With history* is the same with the cost of an event that is numbered and kept.

What it leaves out: TLS (a proxy's), replicas of Redis, history that is read, presence, the publishers' own connections, what clients send, and
acknowledgements on the network. Deliveries count as packets of their own: at saturation several share one, and a
delivery costs a twentieth (row 2), so the CPU here is that of an even load. One channel lives on one shard: a single
channel gets no more events than one core of Redis publishes to all nodes that hear it.

";

/// The whole page.
pub(super) fn write(inputs: &Inputs) -> String {
    let mut page = HEAD.to_owned();
    for room in &inputs.rooms {
        let _ = match *room as u64 {
            1 => writeln!(page, "## Each event to one client\n"),
            room => writeln!(page, "## Rooms of {}\n", grouped(room as f64)),
        };
        page.push_str(
            "| connections | deliveries/s | nodes | bottleneck | CPU | memory | network | to clients | events/s | copies | shards | bound by | with history | from Redis |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for connections in &inputs.connections {
            for deliveries in &inputs.deliveries {
                row(
                    &mut page,
                    inputs,
                    Case { connections: *connections, deliveries: *deliveries, room: *room },
                );
            }
        }
        page.push('\n');
    }
    page.push_str(
        "Percentages are of the whole node. *Nodes* is without a spare one; *to clients* and *from Redis* are sums over all.\n\n",
    );
    page.push_str(FORMULAS);
    figures(&mut page, inputs);
    page
}

fn row(page: &mut String, inputs: &Inputs, case: Case) {
    let answer = answer(inputs, case);
    let whole = |load: f64| format!("{:.0} %", load * inputs.get("assumed.utilisation") * 100.0);
    let _ = writeln!(
        page,
        "| {} | {} | **{}** | {} | {} | {} | {} | {} | {} | {:.1} | **{}** | {} | {} | {} |",
        grouped(case.connections),
        grouped(case.deliveries),
        answer.nodes,
        answer.loads.bottleneck().0,
        whole(answer.loads.cpu),
        whole(answer.loads.memory),
        whole(answer.loads.network),
        gbit(answer.out),
        grouped(answer.events),
        answer.copies,
        answer.shards,
        answer.shards_bound_by,
        answer.durable_shards,
        gbit(answer.relayed),
    );
}

fn figures(page: &mut String, inputs: &Inputs) {
    page.push_str("## The figures\n\n| what | value | where from |\n| --- | --- | --- |\n");
    for (path, what) in FIGURES {
        if path == "delivery" {
            for point in &inputs.points {
                let _ = writeln!(
                    page,
                    "| {what}, {} on the node | {} | {} |",
                    grouped(point.subscribers),
                    point.cpu_us,
                    point.source
                );
            }
        } else {
            let _ = writeln!(page, "| {what} | {} | {} |", plain(inputs.get(path)), inputs.source(path));
        }
    }
}

fn plain(value: f64) -> String {
    if value >= 1000.0 { grouped(value) } else { value.to_string() }
}

fn gbit(bits: f64) -> String {
    format!("{:.1} Gbit/s", bits / 1e9)
}

/// 1000000 as 1,000,000.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
