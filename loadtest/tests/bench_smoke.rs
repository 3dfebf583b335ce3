//! The benchmark measures every subject that it says it measures, and names those that it cannot.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tidegate_loadtest::bench::command;
use tidegate_loadtest::bench::finding::Figure;

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");

#[test]
fn a_quick_run_of_two_rows_measures_every_subject_and_names_the_peers_that_are_not_there() {
    let folder = TempDir::new().expect("a folder");
    let json = folder.path().join("figures.json");
    let mut bench = Command::new(BINARY);
    bench.args(["bench", "--quick", "--rows", "1,9", "--tidegate"]);
    bench.arg(Path::new(BINARY).with_file_name("tidegate")).arg("--json").arg(&json);
    let output = bench.arg("--peers").arg(folder.path()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let findings = command::read(&json).expect("figures");
    assert!(findings.quick && findings.correct() && findings.failed.is_empty(), "{said}");
    let mut measured: Vec<String> = findings
        .measurements
        .iter()
        .map(|known| {
            let cost = if known.row == 1 { Figure::CpuUs } else { Figure::OpenUs };
            assert!(known.get(cost).is_some_and(|cost| cost > 0.0), "{known}");
            format!("{} {} {:?}", known.row, known.case, known.subject)
        })
        .collect();
    measured.sort();
    assert_eq!(
        measured,
        [
            "1 2,000 subscribers, 20/s Floor",
            "1 2,000 subscribers, 20/s Native",
            "1 2,000 subscribers, 20/s Plain",
            "9 connect, subscribe Native",
            "9 connect, subscribe Plain",
            "9 the same with a token Native",
            "9 the same with a token Plain",
        ],
        "{said}"
    );
    // Each once, whatever the number of works: the peers of an empty folder.
    assert_eq!(findings.skipped.len(), 2, "{:?}", findings.skipped);
    for skipped in &findings.skipped {
        assert!(skipped.contains("not installed") && said.contains(skipped.as_str()), "{skipped}");
    }
}
