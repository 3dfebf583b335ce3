//! `tidegate serve`: one node, from its settings to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tidegate_gateway::settings::{Settings, Sources};
use tidegate_gateway::{Addresses, Gateway, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::{log, print};

/// Flags of `serve`; they win over file and environment.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct ServeArgs {
    /// Address of the public port; may be given several times [default: 127.0.0.1:8080 and [::1]:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Address of the admin port: API, metrics, health [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Redis that relays between nodes [default: none, one node works alone]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Threads that serve [default: one for each core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl ServeArgs {
    /// The settings that file, environment and these flags make together.
    pub(crate) fn settings(self, file: Option<PathBuf>) -> Result<Settings, Exit> {
        let environment = Sources::from_environment().map_err(Exit::configuration)?;
        let mut sources = Sources { file, ..environment };
        let mut flag = |key: &str, value: Option<String>| {
            sources.flags.extend(value.map(|value| (key.to_owned(), value)));
        };
        flag("server.listen", (!self.listen.is_empty()).then(|| self.listen.join(",")));
        flag("server.admin", self.admin);
        flag("redis.url", self.redis);
        flag("server.workers", self.workers.map(|n| n.to_string()));
        sources.load().map_err(Exit::configuration)
    }
}

/// Runs a node until a signal ends it.
pub(crate) fn serve(args: ServeArgs, file: Option<PathBuf>) -> Result<ExitCode, Exit> {
    let settings = args.settings(file)?;
    log::start(settings.server.log)?;
    raise_file_limit();
    settings.verify().map_err(Exit::configuration)?;
    let workers = match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let runtime = if workers == 1 {
        // One thread needs no stealing, no locks between workers and fewer wake-ups.
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    };
    let runtime = runtime.context("cannot start the runtime").map_err(Exit::failed)?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<ExitCode, Exit> {
    // Before listening: whoever sees the port open may send a signal at once.
    let mut signals = Signals::new().map_err(Exit::failed)?;
    let gateway = Gateway::start(settings).await.map_err(|error| match error {
        StartError::Settings(_) | StartError::Broker(_) | StartError::Nowhere => Exit::configuration(error),
        StartError::Listen(..) => Exit::failed(error.into()),
    })?;
    announce(gateway.addresses());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let node = tokio::spawn(gateway.run(stop));
    let mut node = std::pin::pin!(node);
    let (number, name) = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut node => return ended.map(|()| ExitCode::SUCCESS).map_err(|e| Exit::failed(e.into())),
    };
    tracing::info!(signal = name, "stopping; a second signal stops at once");
    shutdown.cancel();
    tokio::select! {
        (second, name) = signals.next() => {
            tracing::warn!(signal = name, "second signal: stopping at once");
            // Connections are cut as they are; that is what was asked for.
            std::process::exit(128 + second)
        }
        ended = &mut node => match ended {
            Ok(()) => { tracing::info!(signal = number, "stopped"); Ok(ExitCode::SUCCESS) }
            Err(error) => Err(Exit::failed(error.into())),
        },
    }
}

/// Says where the node is, for people and for whoever started it.
fn announce(addresses: &Addresses) {
    for address in &addresses.public {
        print::line(&format!("native   ws://{address}/ws"));
        print::line(&format!("plain    ws://{address}/plain?channel=lobby"));
        print::line(&format!("events   http://{address}/sse?channel=lobby"));
        if addresses.page {
            print::line(&format!("page     http://{address}/"));
        }
    }
    print::line(&format!("admin    http://{}", addresses.admin));
    print::line("ready for connections; Ctrl-C stops");
}

/// One connection is one descriptor: the soft limit is only a default.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the file limit; fewer connections fit");
    }
}

/// The two signals that stop a node.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    /// Number and name of the next.
    async fn next(&mut self) -> (i32, &'static str) {
        tokio::select! {
            _ = self.interrupt.recv() => (2, "SIGINT"),
            _ = self.terminate.recv() => (15, "SIGTERM"),
        }
    }
}
