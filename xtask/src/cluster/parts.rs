//! The servers of a cluster: how each is started, and how it shows that it is ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::ports::Ports;
use super::probe::Probe;
use crate::process::{Child, logged};
use crate::{program, workspace};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. It ends with this value.
pub(super) struct Part {
    pub(super) name: String,
    child: Child,
    log: PathBuf,
    probe: Probe,
}

impl Part {
    fn start(name: &str, folder: &Path, probe: Probe, command: &mut Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let child = logged(command, &log)?;
        Ok(Self { name: name.to_owned(), child, log, probe })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.ended()
    }

    /// # Errors
    /// When it ends instead, or takes too long; the message holds its log.
    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.probe.ready() {
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(status) = self.child.ended() {
                bail!("{} ended: {status}\n{}", self.name, log());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {PATIENCE:?}\n{}", self.name, log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn server(name: &str) -> Result<Command> {
    Ok(Command::new(program::find(name).with_context(|| format!("{name} is not installed"))?))
}

pub(super) fn redis(folder: &Path, ports: &Ports) -> Result<Part> {
    let mut command = server("redis-server")?;
    // What follows the file counts more than the file.
    command.arg(folder.join("redis/redis.conf")).args([
        "--port",
        &ports.redis.to_string(),
        "--bind",
        "127.0.0.1",
    ]);
    command.arg("--dir").arg(folder.join("redis/data"));
    Part::start("redis", folder, Probe::Redis(ports.redis), &mut command)
}

pub(super) fn node(folder: &Path, ports: &Ports, number: usize) -> Result<Part> {
    let own = &ports.nodes[number];
    let mut command = Command::new(workspace::binary("tidegate"));
    let settings = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_"));
    settings.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.arg("serve").arg("--config").arg(folder.join("tidegate.toml"));
    command.args([
        "--listen",
        &format!("127.0.0.1:{}", own.public),
        "--admin",
        &format!("127.0.0.1:{}", own.admin),
    ]);
    command.args(["--redis", &format!("redis://127.0.0.1:{}", ports.redis)]);
    Part::start(
        &format!("node-{}", number + 1),
        folder,
        Probe::Http(own.admin, "/health/ready"),
        &mut command,
    )
}

pub(super) fn nginx(folder: &Path, ports: &Ports) -> Result<Part> {
    let mut command = server("nginx")?;
    // Its prefix ends with a slash or is no folder to it.
    command
        .args(["-e", "stderr", "-p"])
        .arg(folder.join("nginx/run/"))
        .arg("-c")
        .arg(folder.join("nginx/nginx.conf"));
    Part::start("nginx", folder, Probe::Http(ports.public, "/"), &mut command)
}

pub(super) fn prometheus(folder: &Path, ports: &Ports) -> Result<Part> {
    let mut command = server("prometheus")?;
    let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
    command
        .arg(option("config.file", &folder.join("prometheus/prometheus.yml")))
        .arg(option("storage.tsdb.path", &folder.join("prometheus/data")))
        .arg(format!("--web.listen-address=127.0.0.1:{}", ports.prometheus));
    Part::start("prometheus", folder, Probe::Http(ports.prometheus, "/-/ready"), &mut command)
}
