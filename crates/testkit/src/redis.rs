//! A real redis-server: its own port and folder, nothing kept on disk, empty again after every start, unless it starts from a
//! snapshot.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::history::Lineage;
use crate::{Process, eventually, free_port, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis that ends with this value. It keeps its port over [`stop`](Self::stop) and [`start_again`](Self::start_again).
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

/// What a Redis held at some moment. Its file lives as long as its server.
#[derive(Debug, Clone)]
pub struct Snapshot(PathBuf);

impl RedisServer {
    /// Starts one on a free port and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer in time.
    ///
    /// # Errors
    /// When `redis-server` is not there.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments, such as `["--maxmemory", "50mb"]`; it keeps them.
    ///
    /// # Panics
    /// When it does not answer in time.
    ///
    /// # Errors
    /// When `redis-server` is not there.
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_at(free_port(), arguments)
    }

    /// [`start_with`](Self::start_with) on a port that was asked for before.
    pub(crate) fn start_at(port: u16, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = launch(port, &arguments, &folder)?;
        let mut server = Self { process, port, arguments, folder };
        server.wait_for_pong();
        Ok(server)
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, over all its lives.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process: freeze, thaw, log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL; connections break and the port refuses.
    pub fn stop(&mut self) {
        self.process.kill9();
    }

    /// Starts it again, empty, on the same port, and waits until it answers.
    ///
    /// # Panics
    /// When it does not answer in time.
    ///
    /// # Errors
    /// When `redis-server` is not there any more.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        self.process = launch(self.port, &self.arguments, &self.folder)?;
        self.wait_for_pong();
        Ok(())
    }

    /// Saves what it holds now, functions included.
    ///
    /// # Errors
    /// When it cannot save.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let answer = self.cli(&["SAVE"])?;
        anyhow::ensure!(answer.trim() == "OK", "{answer}");
        let file = tempfile::NamedTempFile::new_in(&self.folder)?.keep()?.1;
        std::fs::rename(self.dump(), &file)?;
        Ok(Snapshot(file))
    }

    /// `kill -9`, and back on the same port with what it held then: what was published since is gone.
    ///
    /// # Panics
    /// When it does not answer in time.
    ///
    /// # Errors
    /// When `redis-server` is not there any more, or the snapshot.
    pub fn start_from(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.stop();
        std::fs::copy(&snapshot.0, self.dump())?;
        self.start_again()?;
        std::fs::remove_file(self.dump()).context("the snapshot that was loaded")
    }

    /// The history of a channel as it stands now; none if the channel has none.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn lineage(&self, channel: &str) -> Result<Option<Lineage>> {
        let told = self.cli(&["HMGET", &format!("tg:{{{channel}}}"), "epoch", "offset", "chain"])?;
        let mut fields = told.lines();
        let mut next = || fields.next().unwrap_or_default();
        Ok(Lineage::parse(next(), next(), next()))
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// Runs `redis-cli` with these arguments and returns what it printed.
    ///
    /// # Errors
    /// When it is not there or fails.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(arguments), PATIENCE)
    }

    fn wait_for_pong(&mut self) {
        let port = self.port;
        eventually(PATIENCE, "redis-server answers PING", || {
            assert!(self.process.exited().is_none(), "redis-server ended:\n{}", self.process.log_tail(20));
            pong(port).is_some()
        });
    }
}

fn launch(port: u16, arguments: &[String], folder: &TempDir) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
            "0", // the default makes a replica wait for 5 s
            "--dir",
        ])
        .arg(folder.path())
        .args(arguments);
    Process::start("redis-server", &mut command, &folder.path().join("redis.log"), None)
}

fn pong(port: u16) -> Option<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"PING\r\n").ok()?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).ok()?;
    (&answer == b"+PONG\r\n").then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_empty_on_its_port() {
        let mut server = RedisServer::start().expect("redis");
        let port = server.port();
        server.cli(&["SET", "a", "1"]).expect("set");
        server.stop();
        server.start_again().expect("again");
        assert_eq!(server.cli(&["GET", "a"]).expect("get").trim(), "");
        assert_eq!(server.port(), port);
    }

    #[test]
    fn a_snapshot_brings_back_what_it_held_then() {
        let mut server = RedisServer::start().expect("redis");
        let get = |server: &RedisServer| server.cli(&["GET", "a"]).expect("get").trim().to_owned();
        server.cli(&["SET", "a", "1"]).expect("set");
        let snapshot = server.snapshot().expect("saved");
        server.cli(&["SET", "a", "2"]).expect("set");
        for _ in 0..2 {
            server.start_from(&snapshot).expect("from the snapshot");
            assert_eq!(get(&server), "1");
            server.start_again().expect("again");
            assert_eq!(get(&server), "", "once, and empty after");
        }
    }
}
