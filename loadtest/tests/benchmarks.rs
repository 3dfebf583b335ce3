//! The page of the benchmark says what its committed figures say.

use std::fs;
use std::path::Path;

use tidegate_loadtest::bench::command;

#[test]
fn the_page_is_what_the_figures_give() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let findings = command::read(&docs.join("results/benchmarks.json")).unwrap();
    let page = fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    assert_eq!(page, findings.document(), "`cargo xtask docs` makes docs/benchmarks.md anew");
}
