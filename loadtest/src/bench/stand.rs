//! What a measurement needs around it: a Redis of its own, a fresh gateway, a fresh floor.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::process::{OTHER_CORE, SERVER_CORE, Server, pin};
use crate::http::Client;
use crate::rate::Rate;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// Redis, running, and the binaries.
#[derive(Debug)]
pub struct Stand {
    /// `redis://…` of the Redis.
    pub redis: String,
    tidegate: PathBuf,
    _redis: Server,
}

impl Stand {
    /// Starts Redis on a free port and moves to the generator's core.
    ///
    /// # Errors
    /// When `redis-server` or the gateway's binary is missing.
    pub fn start(tidegate: &Path) -> Result<Self> {
        ensure!(
            tidegate.exists(),
            "{} is not there: `cargo build --release` makes it, --tidegate names another",
            tidegate.display()
        );
        crate::files::raise_limit()?;
        pin(OTHER_CORE)?;
        let port = free_port()?.to_string();
        let args = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
        ];
        let mut server = Server::start(Path::new("redis-server"), &args, OTHER_CORE)?;
        let redis = format!("redis://127.0.0.1:{port}");
        let client = redis::Client::open(redis.as_str())?;
        wait(&mut server, "redis-server", || client.get_connection().is_ok())?;
        Ok(Self { redis, tidegate: tidegate.to_owned(), _redis: server })
    }

    /// A fresh gateway, ready, and its `ws://…`.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn gateway(&self) -> Result<(Server, String)> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let admin = format!("127.0.0.1:{}", free_port()?);
        let args = ["serve", "--listen", &listen, "--admin", &admin, "--redis", &self.redis];
        let mut server = Server::start(&self.tidegate, &args, SERVER_CORE)?;
        let admin = format!("http://{admin}");
        wait(&mut server, "the gateway", || {
            let answer =
                Client::connect(&admin).and_then(|mut client| client.ask("GET", "/health/ready", b""));
            answer.is_ok_and(|(status, _)| status == 200)
        })?;
        Ok((server, format!("ws://{listen}")))
    }

    /// A fresh floor that sends once `connections` are there, and its `ws://…`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn floor(&self, connections: u32, payload: usize, rate: Rate) -> Result<(Server, String)> {
        let (connections, payload, rate) = (connections.to_string(), payload.to_string(), rate.to_string());
        let args = ["floor", "--listen", "127.0.0.1:0", "--connections", &connections, "--payload", &payload];
        let args = [&args[..], &["--rate", &rate, "--seconds", "300"]].concat();
        let mut server = Server::start(&std::env::current_exe()?, &args, SERVER_CORE)?;
        let line = server.first_line()?;
        let url = line.strip_prefix("listening on ").context("the floor did not say where it listens")?;
        Ok((server, url.to_owned()))
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn wait(server: &mut Server, name: &str, ready: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        ensure!(!server.ended(), "{name} ended while starting");
        if Instant::now() > deadline {
            bail!("{name} was not ready within {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
