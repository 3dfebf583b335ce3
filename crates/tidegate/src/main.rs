//! `tidegate`: the one binary. Reads the command line and hands over to the subcommands.
//!
//! What a subcommand answers becomes the exit code here; see `exit`.

mod config;
mod exit;
mod http;
mod log;
mod print;
mod publish;
mod serve;
mod subscribe;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::ConfigCommand;
use crate::publish::PublishArgs;
use crate::serve::ServeArgs;
use crate::subscribe::SubscribeArgs;

/// Small, long-lived objects of a few sizes, as idle connections are, take less room in it.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A realtime gateway cluster: backends publish to Redis, clients on every node hear it
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, after_help = EXITS)]
struct CommandLine {
    /// Configuration file (TOML); none is read unless it is named here or in TIDEGATE_CONFIG
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXITS: &str = "Without a subcommand: serve.\n\
    Exit codes: 0 done, also after SIGTERM; 1 failed; 2 usage or configuration; 128+n second signal n.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node (the default)
    Serve(ServeArgs),
    /// Publish one event over HTTP
    Publish(PublishArgs),
    /// Print the events of channels, one a line
    Subscribe(SubscribeArgs),
    /// Show, check or explain the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

fn main() -> ExitCode {
    let CommandLine { config: file, serve, command } = CommandLine::parse();
    if command.is_some() && serve != ServeArgs::default() {
        let message = "flags of `serve` stand behind `serve`";
        CommandLine::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    let file =
        file.or_else(|| std::env::var_os("TIDEGATE_CONFIG").filter(|f| !f.is_empty()).map(PathBuf::from));
    let done = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(args) => serve::serve(args, file),
        Command::Publish(args) => publish::publish(args),
        Command::Subscribe(args) => subscribe::subscribe(args),
        Command::Config(command) => config::config(&command, file),
    };
    done.unwrap_or_else(|exit| exit.report())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_file_stands_before_or_behind_the_subcommand() {
        for line in [["tidegate", "--config", "x", "serve"], ["tidegate", "serve", "--config", "x"]] {
            let parsed = CommandLine::try_parse_from(line).unwrap();
            assert_eq!(parsed.config, Some(PathBuf::from("x")));
        }
    }
}
