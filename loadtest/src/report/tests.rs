use super::*;
use crate::door::{Door, Doors};
use crate::tally::Tally;

fn report(faults: Faults) -> Report {
    let scenario = Scenario::new("ws://h", 10, 2, Doors::One(Door::Plain), 128);
    // 750 deliveries, 250 of them of the warm-up.
    let mut tally = Tally { delivered: 750, last: 4_000_000_000, ..Tally::default() };
    for _ in 0..250 {
        tally.latency.record(1_500_000);
        tally.latency.record(750_000);
    }
    let second = |at: f64, open, delivered, latency| Second {
        at,
        length: 1.0,
        open,
        published: 50,
        delivered,
        deliveries_per_second: 250.0,
        missing: 0,
        latency,
        cores: Some(0.25),
        memory: Some(4 << 20),
        generator_cores: 0.1,
    };
    let latency = Some(tally.latency.percentiles());
    let series = vec![second(0.0, 10, 0, None), second(1.0, 10, 250, latency), second(2.0, 10, 250, latency)];
    let outcome = Heard { tally, faults };
    let times = Times { ramp: 500_000_000, start: 1_000_000_000, measured_from: 2_000_000_000 };
    Report::new(&scenario, "50".to_owned(), times, 150, &outcome, series)
}

/// A small run where all was well.
pub(crate) fn sample() -> Report {
    Report { made_at: 1_800_000_000, ..report(Faults::default()) }
}

#[test]
fn the_table_has_every_figure() {
    let table = sample().to_string();
    let rows: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "delivered 750",
        "lost 0",
        "deliveries/s 250",
        "p99 1.500 ms",
        "CPU a delivery 1000.00 µs",
        "server memory 4 MiB",
        "verdict all well",
    ] {
        assert!(rows.iter().any(|row| row == line), "{line} in\n{table}");
    }
}

#[test]
fn any_fault_fails_the_run() {
    assert!(report(Faults::default()).passed());
    for faults in [
        Faults { lost: 1, ..Faults::default() },
        Faults { twice: 1, ..Faults::default() },
        Faults { reordered: 1, ..Faults::default() },
        Faults { stray: 1, ..Faults::default() },
    ] {
        assert!(!report(faults).passed());
        assert!(report(faults).to_string().contains("FAILED"));
    }
}

#[test]
fn a_threshold_that_is_not_met_fails_the_run_and_so_does_one_of_nothing() {
    let judged = |key, most, least| {
        let threshold = Threshold::judge(&sample(), key, most, least);
        (threshold.met, sample().with_thresholds(vec![threshold]).passed())
    };
    assert_eq!(judged("p99_us", Some(2_000.0), None), (true, true));
    assert_eq!(judged("p99_us", Some(1_000.0), None), (false, false));
    assert_eq!(judged("deliveries_per_second", None, Some(100.0)), (true, true));
    assert_eq!(judged("deliveries_per_second", None, Some(300.0)), (false, false));
    assert_eq!(judged("happiness", None, Some(0.0)), (false, false));
    let threshold = Threshold::judge(&sample(), "p99_us", Some(1_000.0), None);
    assert_eq!(threshold.to_string(), "latency p99: at most 1 ms, is 1.5 ms");
}

#[test]
fn what_the_server_used_counts_from_the_first_event() {
    let server = sample().server.unwrap();
    assert_eq!((server.cores, server.cpu_us_per_delivery, server.memory), (0.25, 1_000.0, 4 << 20));
    let unwatched = sample().series.into_iter().map(|row| Second { cores: None, memory: None, ..row });
    assert_eq!(ServerUse::of(&unwatched.collect::<Vec<_>>()), None);
}
