//! `cargo xtask`: what developers and CI do with this repository besides building it.
//!
//! Knows the repository's layout and other people's tools; depends on none of our crates, so that it builds in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod capacity;
mod cluster;
mod instructions;
mod picture;
mod process;
mod program;
mod reports;
mod suites;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of Tidegate.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must hold: format, lints, tidy, all tests. Installs what they need
    Test(test::Arguments),
    /// Installs what the tests need: Debian packages, and npm, PyPI and Go packages under target/tools
    Install,
    /// The house rules that no compiler knows: layers, file sizes, documents in step
    Tidy,
    /// Redis, nodes and nginx on loopback with the files of deploy/, until Ctrl-C
    Cluster(cluster::Arguments),
    /// The integration tests in full length; writes docs/results/faults.md
    Faults,
    /// Twenty minutes of clients that come and go: memory, descriptors, loss; writes docs/results/soak.md
    Soak,
    /// Measures against the floors and peers; writes docs/benchmarks.md and its raw figures
    Bench {
        /// Passed on to `tidegate-loadtest bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Counts the instructions of the micro benchmarks with callgrind; writes docs/results/instructions.md
    Instructions(instructions::Arguments),
    /// Writes the documents that are made from code and figures: docs/configuration.md, docs/capacity.md,
    /// docs/benchmarks.md, docs/img/where-it-goes.svg
    Docs,
}

fn main() -> ExitCode {
    let done = process::watch_signals().and_then(|()| match Arguments::parse().task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Install => tools::install().map(|()| ExitCode::SUCCESS),
        Task::Tidy => Ok(tidy::run()),
        Task::Cluster(arguments) => cluster::run(&arguments),
        Task::Faults => test::full_length(None),
        Task::Soak => test::full_length(Some(test::SOAK)),
        Task::Bench { arguments } => reports::bench(&arguments),
        Task::Instructions(arguments) => instructions::run(&arguments),
        Task::Docs => reports::docs(),
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
