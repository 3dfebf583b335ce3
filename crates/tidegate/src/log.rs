//! The log: text for people, JSON for machines, on standard error.
//!
//! `TIDEGATE_LOG` is the filter, in the usual notation (`info`, `tidegate_gateway=debug`).

use std::env::VarError;
use std::io::{IsTerminal, stderr};

use anyhow::anyhow;
use tidegate_gateway::settings::LogFormat;
use tracing_subscriber::EnvFilter;

use crate::exit::Exit;

/// Starts logging.
pub(crate) fn start(format: LogFormat) -> Result<(), Exit> {
    let filter = match std::env::var("TIDEGATE_LOG") {
        Ok(filter) => filter,
        Err(VarError::NotPresent) => "info".into(),
        Err(VarError::NotUnicode(_)) => {
            return Err(Exit::configuration(anyhow!("TIDEGATE_LOG is not UTF-8")));
        }
    };
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| Exit::configuration(anyhow!("TIDEGATE_LOG={filter:?} is no filter: {error}")))?;
    let terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(terminal);
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let started = if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    started.map_err(|error| Exit::failed(anyhow!("cannot start the log: {error}")))
}
