use super::*;
use crate::bench::idle::Rest;
use crate::bench::machine::Machine;
use crate::bench::{Findings, Round};
use crate::checker::Faults;
use crate::latency::Percentiles;

fn sample(subject: Subject, cpu_us: f64, deliveries_per_second: f64, p99_us: f64) -> Sample {
    let latency = Percentiles { p99_us, ..Percentiles::default() };
    let faults = Faults::default();
    Sample { subject, deliveries: 1, deliveries_per_second, cpu_us, cores: 0.5, latency, faults, ended: 0 }
}

fn findings() -> Findings {
    let machine = Machine {
        cores: 2,
        memory_gib: 8,
        kernel: "6.1".to_owned(),
        congestion_control: "cubic".to_owned(),
        load: 0.1,
    };
    let round = |row, ours: f64| Round {
        row,
        samples: vec![
            sample(Subject::Floor, 5.0, 1e5, 200.0),
            sample(Subject::Plain, 5.0 * ours, 8e5, 100.0),
            sample(Subject::Native, 6.0 * ours, 4e5, 300.0),
        ],
    };
    let rest = Rest {
        subject: Subject::Plain,
        connections: 15_000,
        bytes: 1024.0,
        cpu_us_per_second: 0.9,
        open_cpu_us: 20.0,
        ended: 0,
    };
    let rounds = vec![round(1, 1.0), round(1, 1.04), round(1, 1.5), round(2, 1.0)];
    Findings { machine, subscribers: 2_000, window: 32, seconds: 5.0, rounds, rests: vec![rest] }
}

#[test]
fn each_bar_is_held_against_the_median_ratio() {
    let lines = findings().lines();
    let got: Vec<_> = lines.iter().map(|line| (line.row, line.measured.as_str(), line.met)).collect();
    assert_eq!(
        got,
        [
            (1, "1.04 [1.00–1.50]", true),
            (1, "1.25 [1.20–1.80]", false),
            (2, "8.00 [8.00–8.00]", true),
            (2, "0.50 [0.50–0.50]", true),
            (2, "4.00 [4.00–4.00]", false),
            (2, "1.50 [1.50–1.50]", false),
            (6, "1.00 KiB", true),
            (7, "0.90 µs/s", false),
        ]
    );
}

#[test]
fn a_row_that_was_not_measured_has_no_line() {
    let findings = Findings { rounds: Vec::new(), rests: Vec::new(), ..findings() };
    assert_eq!(findings.lines(), []);
}

#[test]
fn the_table_is_aligned_markdown() {
    let table = findings().table();
    let lengths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
    assert_eq!(lengths.len(), 2 + 8);
    assert!(lengths.iter().all(|&length| length == lengths[0]), "{table}");
}

#[test]
fn the_page_says_when_its_figures_do_not_count() {
    let mut findings = findings();
    assert!(findings.document().contains("once and in order"));
    findings.rounds[0].samples[1].faults.lost = 1;
    assert!(!findings.correct());
    assert!(findings.document().contains("do not count"));
}
