//! The model against numbers that were computed by hand.

use super::inputs::Inputs;
use super::model::{Case, answer, client_bits, copies, delivery_us, loads};
use super::page::grouped;
use crate::workspace;

/// Round figures: 8 cores at half, 1 KiB and 3 KiB a connection, 250 bytes a delivery.
const ROUND: &str = r#"
[delivery]
points = [
    { subscribers = 1, cpu_us = 30, source = "s" },
    { subscribers = 100, cpu_us = 10, source = "s" },
]
[connection]
memory_bytes = { value = 1024, source = "s" }
kernel_bytes = { value = 3072, source = "s" }
idle_cpu_us_s = { value = 1, source = "s" }
connect_cpu_us = { value = 40, source = "s" }
[redis]
publish_cpu_us = { value = 1, source = "s" }
relay_cpu_us = { value = 0.5, source = "s" }
durable_cpu_us = { value = 10, source = "s" }
[wire]
payload_bytes = { value = 100, source = "s" }
frame_bytes = { value = 60, source = "s" }
relay_bytes = { value = 25, source = "s" }
packet_bytes = { value = 90, source = "s" }
[assumed]
utilisation = { value = 0.5, source = "s" }
node_cores = { value = 8, source = "s" }
node_memory_gib = { value = 16, source = "s" }
node_network_gbit = { value = 10, source = "s" }
node_connections = { value = 250000, source = "s" }
return_s = { value = 20, source = "s" }
return_cores = { value = 0.25, source = "s" }
[cases]
connections = [1000]
deliveries_s = [1000]
rooms = [1]
"#;

fn round() -> Inputs {
    Inputs::parse(ROUND).expect("figures")
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6 * b.abs().max(1.0), "{a} is not {b}");
}

#[test]
fn a_room_is_on_as_many_nodes_as_its_subscribers_hit() {
    near(copies(1.0, 10.0), 1.0);
    near(copies(2.0, 2.0), 1.5); // both on one node, or one on each
    near(copies(7.0, 1.0), 1.0);
    near(copies(10.0, 1e6), 10.0);
}

#[test]
fn a_delivery_costs_what_was_measured_and_in_between_the_middle() {
    let inputs = round();
    for (subscribers, cost) in [(0.5, 30.0), (1.0, 30.0), (10.0, 20.0), (100.0, 10.0), (5000.0, 10.0)] {
        near(delivery_us(&inputs, subscribers), cost);
    }
}

#[test]
fn the_loads_of_a_node_are_those_computed_by_hand() {
    let case = Case { connections: 400_000.0, deliveries: 80_000.0, room: 1.0 };
    let loads = loads(&round(), case, 2.0);
    near(loads.cpu, 0.35); // 40,000 · 30 µs + 200,000 · 1 µs = 1.4 of 4 cores
    near(loads.memory, 200_000.0 * 4096.0 / (8.0 * 1_073_741_824.0));
    near(client_bits(&round()), 2000.0);
    near(loads.network, 0.016); // 80 Mbit of 5 Gbit
    near(loads.connections, 0.8);
    near(loads.storm, 0.2); // 200,000 to the other one in 20 s: 10,000 · 40 µs = 0.4 of 2 cores
}

#[test]
fn the_fewest_nodes_that_are_not_too_full_and_what_binds() {
    let of = |connections, deliveries, room| answer(&round(), Case { connections, deliveries, room });
    // 30 µs each: 1,000,000 take 30 cores, of 4 for each node.
    let busy = of(1000.0, 1_000_000.0, 1.0);
    assert_eq!((busy.nodes, busy.loads.bottleneck().0), (8, "CPU"));
    assert_eq!((busy.shards, busy.shards_bound_by), (3, "CPU")); // 1.5 cores at half
    assert_eq!(busy.durable_shards, 21); // 10.5 cores at half
    near(busy.out, 2e9);
    near(busy.relayed, 1e9);
    let many = of(1_000_000.0, 1.0, 1.0);
    assert_eq!((many.nodes, many.loads.bottleneck().0), (4, "connections of a node"));
    let few = of(1.0, 1.0, 1.0);
    assert_eq!((few.nodes, few.shards), (2, 1), "never one alone");
}

#[test]
fn a_figure_without_value_or_source_is_refused() {
    for (good, bad) in [
        (r#"return_s = { value = 20, source = "s" }"#, r#"return_s = { value = 20, source = "" }"#),
        (r#"return_s = { value = 20, source = "s" }"#, r#"return_s = { value = 0, source = "s" }"#),
        (r#"return_s = { value = 20, source = "s" }"#, ""),
        (r#"{ subscribers = 1, cpu_us"#, r#"{ subscribers = 200, cpu_us"#),
    ] {
        assert!(ROUND.contains(good) && Inputs::parse(&ROUND.replace(good, bad)).is_err(), "{bad}");
    }
}

#[test]
fn the_page_has_a_row_for_each_case_and_figure() {
    let input = std::fs::read_to_string(workspace::root().join(super::INPUT)).expect("the figures");
    let page = super::page(&input).expect("a page");
    assert_eq!(page.lines().filter(|line| line.contains("**")).count(), 18, "{page}");
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    assert_eq!([0.0, 999.0, 1000.0, 1e7].map(grouped), ["0", "999", "1,000", "10,000,000"]);
}
