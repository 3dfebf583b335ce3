//! A real node: the `tidegate` binary as a process, found by the URLs that it prints.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{Process, Usage, free_port};

/// How long a node may take to listen, on a machine that builds something else at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    binary: PathBuf,
    name: String,
    listen: String,
    admin: String,
    redis: Option<String>,
    config: Option<String>,
    env: BTreeMap<String, String>,
    files: Option<u32>,
}

impl NodeBuilder {
    /// The name in messages; default `node`.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The public address; default a free port on 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The admin address; default a free port on 127.0.0.1.
    #[must_use]
    pub fn admin(mut self, address: &str) -> Self {
        address.clone_into(&mut self.admin);
        self
    }

    /// `redis.url`; default none, so the node keeps everything in memory.
    #[must_use]
    pub fn redis(mut self, url: &str) -> Self {
        self.redis = Some(url.to_owned());
        self
    }

    /// The text of a configuration file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// An environment variable. Others that start with `TIDEGATE_` are taken away.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// How many file descriptors it may have, soft and hard limit alike.
    #[must_use]
    pub fn files(mut self, most: u32) -> Self {
        self.files = Some(most);
        self
    }

    /// Starts the node and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead, or does not print its URLs in time; the message holds its log.
    pub fn start(self) -> Result<Node> {
        let folder = tempfile::tempdir()?;
        let (process, listening) = launch(&self, &folder)?;
        Ok(Node { builder: self, process, listening, folder })
    }
}

/// A running node. It ends with this value.
#[derive(Debug)]
pub struct Node {
    builder: NodeBuilder,
    process: Process,
    listening: Listening,
    folder: TempDir,
}

#[derive(Clone, Copy, Debug)]
struct Listening {
    public: SocketAddr,
    admin: SocketAddr,
}

impl Node {
    /// A node of this binary: in a test of the package `tidegate`, `env!("CARGO_BIN_EXE_tidegate")`.
    pub fn builder(binary: impl AsRef<Path>) -> NodeBuilder {
        NodeBuilder {
            binary: binary.as_ref().to_owned(),
            name: "node".to_owned(),
            // Not port 0: while a node is down, any other socket of the machine could get its port.
            listen: format!("127.0.0.1:{}", free_port()),
            admin: format!("127.0.0.1:{}", free_port()),
            redis: None,
            config: None,
            env: BTreeMap::new(),
            files: None,
        }
    }

    /// The address of the doors.
    pub fn public_addr(&self) -> SocketAddr {
        self.listening.public
    }

    /// The address of API, metrics and health.
    pub fn admin_addr(&self) -> SocketAddr {
        self.listening.admin
    }

    /// `http://address` of the doors: the page.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.listening.public)
    }

    /// The native door.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws", self.listening.public)
    }

    /// The plain door on one channel.
    pub fn plain_url(&self, channel: &str) -> String {
        format!("ws://{}/plain?channel={channel}", self.listening.public)
    }

    /// The SSE door on one channel.
    pub fn sse_url(&self, channel: &str) -> String {
        format!("http://{}/sse?channel={channel}", self.listening.public)
    }

    /// `http://address` of the admin port.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.listening.admin)
    }

    /// The process: pid, freeze, thaw, log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What its process uses now.
    pub fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// SIGTERM: it drains and stops.
    pub fn term(&mut self) {
        self.process.term();
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.wait(within)
    }

    /// Starts it again with the same settings on the very ports it had, after killing it if it still runs.
    ///
    /// # Errors
    /// As [`NodeBuilder::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.kill9();
        self.builder.listen = self.listening.public.to_string();
        self.builder.admin = self.listening.admin.to_string();
        (self.process, self.listening) = launch(&self.builder, &self.folder)?;
        Ok(())
    }
}

fn launch(node: &NodeBuilder, folder: &TempDir) -> Result<(Process, Listening)> {
    let (log, stdout) = (folder.path().join("stderr"), folder.path().join("stdout"));
    let mut command = match node.files {
        None => Command::new(&node.binary),
        Some(most) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -n $0 && exec \"$@\"", &most.to_string()]).arg(&node.binary);
            shell
        }
    };
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(key);
    }
    command.arg("serve").args(["--listen", &node.listen, "--admin", &node.admin]).envs(&node.env);
    if let Some(url) = &node.redis {
        command.args(["--redis", url]);
    }
    if let Some(toml) = &node.config {
        let path = folder.path().join("tidegate.toml");
        fs::write(&path, toml)?;
        command.arg("--config").arg(path);
    }
    let mut process = Process::start(&node.name, &mut command, &log, Some(&stdout))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let printed = fs::read_to_string(&stdout).unwrap_or_default();
        if let Some(listening) = listening(&printed) {
            return Ok((process, listening));
        }
        if let Some(status) = process.exited() {
            bail!("{} ended with {status}:\n{printed}{}", node.name, process.log_tail(20));
        }
        if Instant::now() > deadline {
            return Err(anyhow::anyhow!("{printed}{}", process.log_tail(20)))
                .with_context(|| format!("{} printed no URLs within {PATIENCE:?}", node.name));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Finds `ws://<public>/ws` and, in a line that names it, `http://<admin>`, among whole lines.
fn listening(printed: &str) -> Option<Listening> {
    let lines = || printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let address = |url: &str, scheme: &str| -> Option<SocketAddr> {
        url.strip_prefix(scheme)?.split(['/', '?']).next()?.replace("localhost", "127.0.0.1").parse().ok()
    };
    let public = lines()
        .flat_map(str::split_whitespace)
        .filter(|word| word.ends_with("/ws"))
        .find_map(|word| address(word, "ws://"))?;
    let admin = lines()
        .filter(|line| line.to_ascii_lowercase().contains("admin"))
        .flat_map(str::split_whitespace)
        .find_map(|word| address(word, "http://"))?;
    Some(Listening { public, admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_found_in_whole_lines_only() {
        let printed =
            "page     http://127.0.0.1:1000/\nnative   ws://127.0.0.1:1000/ws\nadmin    http://127.0.0.1:20";
        assert!(listening(printed).is_none());
        let found = listening(&format!("{printed}01/metrics\n")).expect("both");
        assert_eq!((found.public.port(), found.admin.port()), (1000, 2001));
    }
}
