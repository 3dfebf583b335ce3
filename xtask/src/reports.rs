//! Documents that are made by running our binaries: measurements and the configuration reference.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{program, workspace};

/// Measures, and writes docs/results/first-figures.{md,json}.
///
/// # Errors
/// When a build or the measurement fails.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode> {
    // As the image is built: with jemalloc.
    let build = ["build", "--release", "--package", "tidegate", "--features", "jemalloc"];
    program::run(&mut workspace::cargo(build))?;
    program::run(&mut workspace::cargo(["build", "--release", "--package", "tidegate-loadtest"]))?;
    fs::create_dir_all(workspace::root().join("docs/results"))?;
    let mut command = std::process::Command::new(workspace::binary("tidegate-loadtest"));
    command
        .current_dir(workspace::root())
        .env("PATH", program::path())
        .args([
            "bench",
            "--out",
            "docs/results/first-figures.md",
            "--json",
            "docs/results/first-figures.json",
        ])
        .args(arguments);
    program::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes docs/configuration.md from the settings' own documentation.
///
/// # Errors
/// When the build fails or the file cannot be written.
pub(crate) fn docs() -> Result<ExitCode> {
    let mut command =
        workspace::cargo(["run", "--release", "--package", "tidegate", "--", "config", "reference"]);
    let text = program::output(&mut command)?;
    let path = workspace::root().join("docs/configuration.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}
