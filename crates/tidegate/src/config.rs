//! `tidegate config`: what is in force, what is wrong, what there is.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;
use tidegate_gateway::settings::{List, Settings, reference};

use crate::exit::Exit;
use crate::print;
use crate::serve::ServeArgs;

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the settings in force, as TOML; secrets are left out
    Show,
    /// Say what is wrong, if anything is
    Check,
    /// Print the reference of all settings, as Markdown
    Reference,
}

/// Runs `tidegate config`.
pub(crate) fn config(command: &ConfigCommand, file: Option<PathBuf>) -> Result<ExitCode, Exit> {
    match command {
        ConfigCommand::Reference => print::text(&reference()),
        ConfigCommand::Show => print::text(&show(ServeArgs::default().settings(file)?)?),
        ConfigCommand::Check => {
            ServeArgs::default().settings(file)?.verify().map_err(Exit::configuration)?;
            print::line("the configuration is valid");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(mut settings: Settings) -> Result<String, Exit> {
    let hidden = || Some("(hidden)".to_owned());
    settings.auth.hmac_secret = settings.auth.hmac_secret.and_then(|_| hidden());
    settings.server.admin_key = settings.server.admin_key.and_then(|_| hidden());
    settings.redis.url = settings.redis.url.map(|url| without_password(&url));
    let hide = |urls: &mut List| urls.0.iter_mut().for_each(|url| *url = without_password(url));
    hide(&mut settings.redis.cluster);
    if let Some(sentinel) = &mut settings.redis.sentinel {
        hide(&mut sentinel.nodes);
        sentinel.password = sentinel.password.take().and_then(|_| hidden());
    }
    toml::to_string(&settings).map_err(|error| Exit::failed(anyhow!("cannot write the settings: {error}")))
}

fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, host))) => format!("{scheme}://(hidden)@{host}"),
        None => url.to_owned(),
    }
}
