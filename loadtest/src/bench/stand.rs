//! What a measurement needs around it: Redis of its own, fresh gateways, fresh floors, fresh peers.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::peers::Peers;
use super::process::{OTHER_CORE, SERVER_CORE, Server, pin};
use crate::http::Client;
use crate::rate::Rate;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// What gateways with history remember: the scenario's channels are in the namespace `load`.
const HISTORY: &str = "[namespaces.load]\npublish = \"anyone\"\nhistory = { size = 100, ttl = \"10m\" }\n";
/// How Redis is read in a paced way; a gateway that does not know it is not measured so.
const PACED: &str = "[redis]\nread_pace = \"1ms\"\n";

/// Redis, running, and the binaries.
#[derive(Debug)]
pub struct Stand {
    /// `redis://…` of the Redis for what is only live.
    pub redis: String,
    /// `redis://…` of the Redis with histories: it keeps what namespaces remember, so it has its own.
    pub kept: String,
    /// The other servers.
    pub peers: Peers,
    tidegate: PathBuf,
    reference: String,
    servers: [Server; 2],
}

/// How a gateway is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// As it is out of the box.
    Usual,
    /// The scenario's channels have histories.
    History,
    /// Redis is read in a paced way.
    Paced,
    /// Tokens are checked, and who has none stays out.
    Tokens,
}

/// The secret of [`TOKEN`].
const SECRET: &str = "a secret for the benchmark only, 32 bytes";
/// HS256, `{"sub":"bench","exp":4102444800}`: good until 2100.
pub const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJiZW5jaCIsImV4cCI6NDEwMjQ0NDgwMH0.\
                         5qfDzTrJqBj7Da-kHN9iaeUfjKvGJufRAvTf8onM0gI";

impl Stand {
    /// Starts Redis twice, on free ports, and moves to the generator's core.
    ///
    /// # Errors
    /// When `redis-server` or the gateway's binary is missing.
    pub fn start(tidegate: &Path, peers: Peers) -> Result<Self> {
        ensure!(
            tidegate.exists(),
            "{} is not there: `cargo build --release` makes it, --tidegate names another",
            tidegate.display()
        );
        crate::files::raise_limit()?;
        let reference =
            Command::new(tidegate).args(["config", "reference"]).stderr(Stdio::null()).output()?;
        let reference = String::from_utf8_lossy(&reference.stdout).into_owned();
        pin(OTHER_CORE)?;
        let ((live, redis), (histories, kept)) = (start_redis()?, start_redis()?);
        Ok(Self { redis, kept, peers, tidegate: tidegate.to_owned(), reference, servers: [live, histories] })
    }

    /// Whether the gateway can be set up so.
    #[must_use]
    pub fn knows(&self, setup: Setup) -> bool {
        setup != Setup::Paced || self.reference.contains("| `read_pace`")
    }

    /// A fresh gateway, ready, and its `ws://…`.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn gateway(&self, setup: Setup) -> Result<(Server, String)> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let admin = format!("127.0.0.1:{}", free_port()?);
        let (redis, text) = match setup {
            Setup::Usual => (&self.redis, String::new()),
            Setup::History => (&self.kept, HISTORY.to_owned()),
            Setup::Paced => (&self.redis, PACED.to_owned()),
            Setup::Tokens => {
                (&self.redis, format!("[auth]\nanonymous = false\nhmac_secret = \"{SECRET}\"\n"))
            }
        };
        let file = SettingsFile::write(&text)?;
        let path = file.0.to_str().context("the folder for temporary files has a strange name")?;
        let args = ["--config", path, "serve", "--listen", &listen, "--admin", &admin, "--redis", redis];
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
        listening(&[&args[..], &["--rate", &rate, "--seconds", "300"]].concat())
    }

    /// A fresh room floor for `connections`, and its `ws://…`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn room_floor(&self, connections: u32) -> Result<(Server, String)> {
        let connections = connections.to_string();
        let args = ["room-floor", "--listen", "127.0.0.1:0", "--redis", &self.redis];
        listening(&[&args[..], &["--connections", &connections]].concat())
    }

    /// CPU time so far of the Redis with histories, in nanoseconds.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kept_cpu(&self) -> Result<u64> {
        self.servers[1].cpu()
    }

    /// `Redis 8.0.1`.
    ///
    /// # Errors
    /// When it is gone.
    pub fn version(&self) -> Result<String> {
        let redis::Value::BulkString(text) = self.ask(&self.redis, &["INFO", "server"])? else {
            bail!("INFO answered something else");
        };
        let text = String::from_utf8_lossy(&text);
        let version = text.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(format!("Redis {}", version.unwrap_or("of an unknown version")))
    }

    /// Asks one of the two Redis.
    ///
    /// # Errors
    /// When it is gone.
    pub fn ask(&self, redis: &str, words: &[&str]) -> Result<redis::Value> {
        let mut connection = redis::Client::open(redis)?.get_connection()?;
        let mut command = redis::cmd(words.first().context("no command")?);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        Ok(command.query(&mut connection)?)
    }
}

/// Our own floors say where they listen.
fn listening(args: &[&str]) -> Result<(Server, String)> {
    let mut server = Server::start(&std::env::current_exe()?, args, SERVER_CORE)?;
    let line = server.first_line()?;
    let url = line.strip_prefix("listening on ").context("the floor did not say where it listens")?;
    Ok((server, url.to_owned()))
}

fn start_redis() -> Result<(Server, String)> {
    let port = free_port()?.to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let args = [&args[..], &["--loglevel", "warning"]].concat();
    let mut server = Server::start(Path::new("redis-server"), &args, OTHER_CORE)?;
    let redis = format!("redis://127.0.0.1:{port}");
    let client = redis::Client::open(redis.as_str())?;
    wait(&mut server, "redis-server", || client.get_connection().is_ok())?;
    Ok((server, redis))
}

/// Removed once the gateway has read it.
struct SettingsFile(PathBuf);

impl SettingsFile {
    fn write(text: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tidegate-bench-{}-{}.toml", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Below the ports that the kernel gives to who dials: the generator holds them by the ten thousand, and a server
/// that starts a moment later would find its own taken. And apart from those of the tests.
const PORTS: std::ops::Range<u16> = 12_000..16_000;

/// A port that was free a moment ago, and is not given a second time soon.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    let own = u16::try_from(std::process::id() % u32::from(count))?;
    for _ in PORTS {
        let port = PORTS.start + (own + NEXT.fetch_add(1, Relaxed) % count) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {} to {} is free", PORTS.start, PORTS.end - 1)
}

/// Waits until a server is ready.
///
/// # Errors
/// When it ends, or 20 s are over.
pub fn wait(server: &mut Server, name: &str, ready: impl Fn() -> bool) -> Result<()> {
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
