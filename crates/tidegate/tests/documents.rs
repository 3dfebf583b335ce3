//! Documents that are made from code are what the code makes now.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate_testkit::run;

#[test]
fn the_configuration_reference_is_in_step() {
    let made = run(
        Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["config", "reference"]),
        Duration::from_secs(20),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let there = std::fs::read_to_string(path).expect("docs/configuration.md: `cargo xtask docs` writes it");
    assert_eq!(made.expect("a reference"), there, "`cargo xtask docs` writes docs/configuration.md anew");
}
