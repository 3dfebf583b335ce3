//! A real Redis with a replica and three Sentinels, which fail over in about two seconds.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::proxy::{Fault, Link};
use crate::{Process, Proxy, RedisServer, eventually, free_port, run};

const PATIENCE: Duration = Duration::from_secs(30);

/// The Sentinels' name of the master.
pub const MASTER: &str = "main";

/// A master, its replica and three Sentinels. All end with this value.
#[derive(Debug)]
pub struct SentinelSet {
    /// The servers; which of them is the master changes.
    pub servers: Vec<RedisServer>,
    /// What stands before each server, if anything: everybody comes through it, replicas and Sentinels too.
    proxies: Vec<Proxy>,
    sentinels: Vec<(u16, Process)>,
    _folder: TempDir,
}

impl SentinelSet {
    /// Starts them, and waits until the Sentinels know each other and the replica is in step.
    ///
    /// # Panics
    /// When that takes too long.
    ///
    /// # Errors
    /// When `redis-server` is not there.
    pub fn start() -> Result<Self> {
        let master = RedisServer::start()?;
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()])?;
        Self::watch(vec![master, replica], Vec::new())
    }

    /// The same behind proxies, so that replicas can [`lag`](Self::lag).
    ///
    /// # Panics
    /// When that takes too long.
    ///
    /// # Errors
    /// When `redis-server` is not there.
    pub fn start_behind_proxies() -> Result<Self> {
        let ports = [free_port(), free_port()];
        let proxies: Vec<Proxy> = ports.iter().map(|port| Proxy::start(*port)).collect();
        let [first, second] = [0, 1].map(|at| proxies[at].port().to_string());
        let announce = |port| ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", port];
        let master = RedisServer::start_at(ports[0], &announce(&first))?;
        let follow = [&announce(&second)[..], &["--replicaof", "127.0.0.1", &first]].concat();
        let replica = RedisServer::start_at(ports[1], &follow)?;
        Self::watch(vec![master, replica], proxies)
    }

    /// Starts Sentinels that watch the first of these servers.
    fn watch(servers: Vec<RedisServer>, proxies: Vec<Proxy>) -> Result<Self> {
        let port = proxies.first().map_or(servers[0].port(), Proxy::port);
        let folder = tempfile::tempdir()?;
        let mut sentinels = Vec::new();
        for number in 0..3 {
            let (own, name) = (free_port(), format!("sentinel-{number}"));
            let path = folder.path().join(format!("{name}.conf"));
            let lines = [
                format!("port {own}"),
                "bind 127.0.0.1".to_owned(),
                format!("dir {}", folder.path().display()),
                format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2"),
                format!("sentinel down-after-milliseconds {MASTER} 1000"),
                format!("sentinel failover-timeout {MASTER} 6000"),
            ];
            std::fs::write(&path, lines.join("\n") + "\n")?;
            let mut command = Command::new("redis-server");
            command.arg(&path).arg("--sentinel");
            let log = folder.path().join(format!("{name}.log"));
            sentinels.push((own, Process::start(&name, &mut command, &log, None)?));
        }
        let set = Self { servers, proxies, sentinels, _folder: folder };
        eventually(PATIENCE, "the Sentinels know each other and a replica", || {
            (0..3).all(|at| {
                let told = set.ask(at, &["SENTINEL", "MASTER", MASTER]).unwrap_or_default();
                field(&told, "num-slaves") == Some("1") && field(&told, "num-other-sentinels") == Some("2")
            })
        });
        set.wait_for_replica(1);
        Ok(set)
    }

    /// The Sentinels' URLs.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|(port, _)| format!("redis://127.0.0.1:{port}")).collect()
    }

    /// The lines of a configuration that name this set.
    pub fn config(&self) -> String {
        format!("[redis.sentinel]\nnodes = {:?}\nmaster = {MASTER:?}\n", self.urls())
    }

    /// Which server the Sentinels call the master.
    ///
    /// # Errors
    /// When none of them says so.
    pub fn master(&self) -> Result<usize> {
        let ask = |at| self.ask(at, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).ok();
        let told = (0..3).find_map(ask).context("no Sentinel answers")?;
        let port = told.lines().nth(1).context("no port")?.trim();
        let at = (0..self.servers.len()).find(|at| self.port(*at).to_string() == port);
        at.context("the master is none of ours")
    }

    /// The port at which a server is reached.
    pub fn port(&self, at: usize) -> u16 {
        self.proxies.get(at).map_or(self.servers[at].port(), Proxy::port)
    }

    /// From now on nothing that is written reaches a replica, until [`catch_up`](Self::catch_up). Only behind proxies.
    pub fn lag(&self) {
        for proxy in &self.proxies {
            proxy.set(replication, Fault::Hold);
        }
    }

    /// What was held back is passed on, if there still is somebody to take it.
    pub fn catch_up(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }

    /// Kills the master, waits until another is promoted, and returns which was killed.
    ///
    /// # Panics
    /// When none is promoted in time.
    ///
    /// # Errors
    /// When no Sentinel says who is the master.
    pub fn kill_master(&mut self) -> Result<usize> {
        let former = self.master()?;
        self.servers[former].stop();
        self.wait_for_master_other_than(former);
        Ok(former)
    }

    /// Waits until the Sentinels agree on another master, and it knows that it is one.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_for_master_other_than(&self, former: usize) {
        eventually(PATIENCE, "another master is promoted", || {
            self.master().is_ok_and(|at| {
                at != former && self.servers[at].cli(&["ROLE"]).is_ok_and(|role| role.starts_with("master"))
            })
        });
    }

    /// Waits until a server is a replica in step with its master.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_for_replica(&self, at: usize) {
        eventually(PATIENCE, "the replica is in step", || {
            let told = self.servers[at].cli(&["INFO", "replication"]).unwrap_or_default();
            told.contains("role:slave") && told.contains("master_link_status:up")
        });
    }

    /// A Sentinel's process: freeze, thaw.
    pub fn sentinel(&mut self, at: usize) -> &mut Process {
        &mut self.sentinels[at].1
    }

    fn ask(&self, at: usize, arguments: &[&str]) -> Result<String> {
        let port = self.sentinels[at].0.to_string();
        run(Command::new("redis-cli").args(["-p", &port]).args(arguments), Duration::from_secs(2))
    }
}

/// The links on which a replica is told what was written.
fn replication(link: &Link) -> bool {
    link.said("PSYNC")
}

/// The line after a name, in what `redis-cli` prints for a map.
fn field<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().skip_while(|line| *line != name).nth(1)
}
