use std::collections::BTreeMap;

use super::*;
use crate::bench::finding::{Measurement, rounded};
use crate::bench::machine::Machine;
use crate::bench::rows::ROWS;
use crate::bench::subject::Subject::{Bun, SocketIo};
use crate::checker::Faults;

fn measured(row: u32, case: &str, round: u32, subject: Subject, figures: &[(Figure, f64)]) -> Measurement {
    let (case, faults) = (case.to_owned(), Faults::default());
    let figures: BTreeMap<_, _> = figures.iter().map(|&(figure, value)| (figure, rounded(value))).collect();
    Measurement { row, case, round, subject, figures, faults, ended: 0 }
}

fn findings(measurements: Vec<Measurement>) -> Findings {
    let machine = Machine {
        cores: 2,
        memory_gib: 8,
        kernel: "6.1".to_owned(),
        congestion_control: "cubic".to_owned(),
        load: 0.1,
    };
    Findings {
        day: "2026-11-21".to_owned(),
        machine,
        programs: vec!["Redis 8.0".to_owned()],
        skipped: Vec::new(),
        failed: Vec::new(),
        quick: false,
        rounds: 3,
        seconds: 4.0,
        window: 32,
        measurements,
    }
}

/// Row 1: three rounds in which ours costs so many times the floor's.
fn low_rate(ours: [f64; 3]) -> Vec<Measurement> {
    let round = |(round, ratio): (u32, f64)| {
        let cost = |subject, cpu: f64| measured(1, case::LOW_RATE, round, subject, &[(Figure::CpuUs, cpu)]);
        let floor = 5.0 + f64::from(round);
        [cost(Floor, floor), cost(Plain, floor * ratio), cost(Bun, floor * 1.2), cost(SocketIo, floor * 2.4)]
    };
    (1..).zip(ours).flat_map(round).collect()
}

#[test]
fn a_bar_is_held_against_the_median_of_paired_ratios() {
    let lines = findings(low_rate([1.0, 1.04, 1.5])).lines();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].bar.as_str(), lines[0].measured.as_str()), ("≤ 1.1", "1.04 [1.00–1.50]"));
    assert_eq!(lines[0].met, Some(true));
    assert_eq!(lines[0].peers, ["1.20", "2.40"]);
    assert_eq!(findings(low_rate([1.0, 1.2, 1.5])).lines()[0].met, Some(false));
}

#[test]
fn a_row_below_its_bar_stays_in_the_table() {
    let findings = findings(low_rate([2.0, 2.0, 2.0]));
    assert!(findings.table().contains("| 2.00 "), "{}", findings.table());
    assert!(findings.table().contains("**no**"));
}

#[test]
fn rounds_are_paired_by_number_even_if_one_failed() {
    let mut measurements = low_rate([1.0, 1.0, 4.0]);
    measurements.retain(|known| !(known.round == 2 && known.subject == Plain));
    assert_eq!(findings(measurements).lines()[0].measured, "2.50 [1.00–4.00]");
}

#[test]
fn works_are_held_against_each_other() {
    let cost = |case, cpu| measured(5, case, 1, Native, &[(Figure::CpuUs, cpu)]);
    let lines = findings(vec![cost(case::LIVE, 10.0), cost(case::KEPT, 12.0)]).lines();
    assert_eq!((lines[0].measured.as_str(), lines[0].met), ("1.20", Some(false)));
}

#[test]
fn units_are_those_of_the_bar() {
    let figures = [(Figure::Bytes, 1200.0), (Figure::IdleUs, 0.44)];
    let lines = findings(vec![measured(6, case::IDLE, 1, Plain, &figures)]).lines();
    let got: Vec<_> =
        lines.iter().map(|line| (line.row, line.bar.as_str(), line.measured.as_str())).collect();
    assert_eq!(got, [(6, "≤ 1.25 KiB", "1.17 KiB"), (7, "≤ 0.5 µs/s", "0.44 µs/s")]);
    let calls = [(Figure::PerSecond, 91_234.0)];
    let lines = findings(vec![measured(12, case::FUNCTION, 1, Redis, &calls)]).lines();
    assert_eq!((lines[0].measured.as_str(), lines[0].met), ("91234/s", Some(true)));
    let late = [(Figure::P99Us, 4_900.0)];
    let lines = findings(vec![measured(11, case::HALF, 1, Plain, &late)]).lines();
    assert_eq!((lines[0].bar.as_str(), lines[0].measured.as_str()), ("≤ 5 ms", "4.9 ms"));
}

#[test]
fn every_row_has_a_bar() {
    let rows: Vec<u32> = bars().iter().map(|bar| bar.row).collect();
    for row in ROWS.into_iter().chain([7]) {
        assert!(rows.contains(&row), "row {row}");
    }
}

#[test]
fn the_table_is_aligned_markdown() {
    let table = findings(low_rate([1.0, 1.0, 1.0])).table();
    let lengths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
    assert!(lengths.len() == 3 && lengths.iter().all(|&length| length == lengths[0]), "{table}");
}

#[test]
fn the_page_says_when_its_figures_do_not_count() {
    let whole = findings(low_rate([1.0, 1.0, 1.0]));
    assert!(whole.correct() && whole.document().contains("once and in order"));
    let mut lossy = whole.clone();
    lossy.measurements[1].faults.lost = 1;
    assert!(!lossy.correct() && lossy.document().contains("do not count"));
    let mut broken = whole.clone();
    broken.failed.push("row 3: the gateway ended".to_owned());
    assert!(!broken.correct() && broken.document().contains("row 3: the gateway ended"));
    let mut peer = whole.clone();
    peer.measurements[3].faults.lost = 7;
    let said =
        "Socket.IO in row 1, 2,000 subscribers, 20/s: 7 deliveries lost, 0 connections ended (1 of 3 rounds)";
    assert!(peer.correct() && peer.document().contains(said), "{}", peer.document());
    assert!(Findings { quick: true, ..whole }.document().contains("do not count"));
}

#[test]
fn a_figure_of_who_fell_behind_says_so() {
    let rooms =
        |subject, held| measured(3, case::ROOMS, 1, subject, &[(Figure::CpuUs, 10.0), (Figure::Held, held)]);
    let measurements =
        vec![rooms(RoomFloor, 1.0), rooms(Plain, 0.97), rooms(Bun, 0.99), rooms(SocketIo, 0.62)];
    let findings = findings(measurements);
    let line = findings.lines().remove(0);
    assert_eq!(
        (line.measured.as_str(), line.peers),
        ("1.00", ["1.00".to_owned(), "1.00 at 62 %".to_owned()])
    );
    let said = "Socket.IO in row 3, 1,000 rooms × 10, 5/s each: held 62 % of the rate at worst (of 1 rounds)";
    assert!(findings.document().contains(said), "{}", findings.document());
}

#[test]
fn figures_are_read_as_they_are_written() {
    let findings = findings(low_rate([1.0, 1.04, 1.1]));
    let text = serde_json::to_string(&findings).unwrap();
    assert_eq!(serde_json::from_str::<Findings>(&text).unwrap(), findings);
}
