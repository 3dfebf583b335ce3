//! Other people's servers, to compare with: Bun's built-in one, and Socket.IO. Their scripts are in
//! loadtest/peers; their packages come from npm (`cargo xtask bench` installs them).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process::{SERVER_CORE, Server};
use super::stand::{free_port, wait};
use super::subject::Subject;

/// Where the peers are, if they are.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The folder with `node_modules`.
    packages: Option<PathBuf>,
    node: bool,
}

impl Peers {
    /// Looks in `folder`, where `npm ci` was run.
    #[must_use]
    pub fn look(folder: Option<&Path>) -> Self {
        let packages = folder.map(|folder| folder.join("node_modules")).filter(|folder| folder.is_dir());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let node = std::env::split_paths(&path).any(|folder| folder.join("node").is_file());
        Self { packages, node }
    }

    /// Whether this peer can be started.
    #[must_use]
    pub fn has(&self, peer: Subject) -> bool {
        match peer {
            Subject::Bun => self.bun().is_some_and(|bun| bun.is_file()),
            Subject::SocketIo => self.node && self.version("socket.io").is_some(),
            _ => false,
        }
    }

    /// Names and versions of those that are there.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let packages = [("Bun", "@oven/bun-linux-x64"), ("Socket.IO", "socket.io")];
        let version = |(name, package)| Some(format!("{name} {}", self.version(package)?));
        packages.into_iter().filter_map(version).collect()
    }

    /// A fresh one, ready, and its `ws://…`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, peer: Subject, redis: &str) -> Result<(Server, String)> {
        let packages = self.packages.as_ref().context("its packages are not installed")?;
        let scripts = packages.with_file_name("");
        let (program, script) = match peer {
            Subject::Bun => (self.bun().context("no Bun")?, "bun.js"),
            _ => (PathBuf::from("node"), "socketio.cjs"),
        };
        let script = scripts.join(script);
        ensure!(script.is_file(), "{} is not there", script.display());
        let port = free_port()?.to_string();
        let script = script.to_str().context("the folder of the peers has a strange name")?;
        let mut server = Server::start(&program, &[script, &port, redis], SERVER_CORE)?;
        let address = format!("127.0.0.1:{port}");
        wait(&mut server, script, || std::net::TcpStream::connect(&address).is_ok())?;
        Ok((server, format!("ws://{address}")))
    }

    fn bun(&self) -> Option<PathBuf> {
        Some(self.packages.as_ref()?.join("@oven/bun-linux-x64/bin/bun"))
    }

    fn version(&self, package: &str) -> Option<String> {
        let text =
            std::fs::read_to_string(self.packages.as_ref()?.join(package).join("package.json")).ok()?;
        let package: Value = serde_json::from_str(&text).ok()?;
        Some(package.get("version")?.as_str()?.to_owned())
    }
}
