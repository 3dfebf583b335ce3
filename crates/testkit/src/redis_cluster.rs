//! A real Redis Cluster: three masters with a replica each.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{RedisServer, eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(60);
const MASTERS: usize = 3;
/// First and last slot of each master.
const RANGES: [(u16, u16); MASTERS] = [(0, 5460), (5461, 10922), (10923, 16383)];

/// Six nodes. All end with this value.
#[derive(Debug)]
pub struct RedisCluster {
    /// At first three masters, then the replica of each.
    pub nodes: Vec<RedisServer>,
    ids: Vec<String>,
}

impl RedisCluster {
    /// Starts it, and waits until it serves and each replica is in step: a master that dies before is
    /// never replaced.
    ///
    /// # Panics
    /// When that takes too long.
    ///
    /// # Errors
    /// When `redis-server` is not there.
    pub fn start() -> Result<Self> {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..2 * MASTERS {
            let bus = free_port().to_string(); // the usual one is in the kernel's ephemeral range
            let arguments =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            nodes.push(RedisServer::start_with(&arguments)?);
            buses.push(bus);
        }
        for (at, node) in nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()])?;
            if let Some((first, last)) = RANGES.get(at) {
                node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            }
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus])?;
        }
        let id = |node: &RedisServer| Ok(node.cli(&["CLUSTER", "MYID"])?.trim().to_owned());
        let ids = nodes.iter().map(id).collect::<Result<Vec<_>>>()?;
        let cluster = Self { nodes, ids };
        cluster.wait("all nodes know each other", |info| info.contains("cluster_known_nodes:6"));
        for at in 0..MASTERS {
            cluster.nodes[MASTERS + at].cli(&["CLUSTER", "REPLICATE", &cluster.ids[at]])?;
        }
        cluster.wait("the Cluster serves", |info| info.contains("cluster_state:ok"));
        for at in 0..MASTERS {
            cluster.wait_for_replica(MASTERS + at);
        }
        eventually(PATIENCE, "every node knows every replica", || {
            cluster.nodes.iter().all(|node| {
                let told = node.cli(&["CLUSTER", "NODES"]).unwrap_or_default();
                told.matches("slave").count() == MASTERS
            })
        });
        Ok(cluster)
    }

    /// The nodes' URLs.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The lines of a configuration that name this Cluster.
    pub fn config(&self) -> String {
        format!("[redis]\ncluster = {:?}\n", self.urls())
    }

    /// The slot of a key.
    ///
    /// # Errors
    /// When no node answers.
    pub fn slot(&self, key: &str) -> Result<u16> {
        let any = self.nodes.iter().find_map(|node| node.cli(&["CLUSTER", "KEYSLOT", key]).ok());
        Ok(any.context("no node answers")?.trim().parse()?)
    }

    /// Which node holds a slot.
    ///
    /// # Errors
    /// When nobody does, or no node answers.
    pub fn master_of(&self, slot: u16) -> Result<usize> {
        let nodes = self.nodes.iter().find_map(|node| node.cli(&["CLUSTER", "NODES"]).ok());
        let nodes = nodes.context("no node answers")?;
        let holds = |line: &&str| {
            line.contains("master")
                && !line.contains("fail")
                && line.split_whitespace().skip(8).any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
                })
        };
        let line = nodes.lines().find(holds).context("nobody holds the slot")?;
        let id = line.split(' ').next().unwrap_or_default();
        self.ids.iter().position(|known| known == id).context("the holder is none of ours")
    }

    /// Moves a slot to another master with all its keys, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.master_of(slot)?;
        if from == to {
            return Ok(());
        }
        let (slot, target, source) = (slot.to_string(), &self.ids[to], &self.ids[from]);
        let set = |at: usize, words: &[&str]| {
            let answer = self.nodes[at].cli(&[&["CLUSTER", "SETSLOT", &slot], words].concat())?;
            anyhow::ensure!(answer.trim() == "OK", "node {at}: {answer}");
            Ok(())
        };
        set(to, &["IMPORTING", source])?;
        set(from, &["MIGRATING", target])?;
        let port = self.nodes[to].port().to_string();
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"])?;
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let answer = self.nodes[from].cli(&[&migrate, &keys[..]].concat())?;
            anyhow::ensure!(["OK", "NOKEY"].contains(&answer.trim()), "node {from}: {answer}");
        }
        // The new owner first, so that the slot is never nobody's; the others learn it by themselves.
        set(to, &["NODE", target])?;
        set(from, &["NODE", target])
    }

    /// Waits until all nodes that live agree that `at` holds the slot.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_for_promotion_of(&self, at: usize, slot: u16) {
        eventually(PATIENCE, "the replica is promoted", || self.master_of(slot).is_ok_and(|now| now == at));
    }

    /// Waits until what every master wrote is acknowledged by a replica; something was written at each. A replica's
    /// link is up a second before its master streams to it.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_for_acknowledgements(&self) {
        let acknowledged = |node: &RedisServer| {
            let told = node.cli(&["INFO", "replication"]).unwrap_or_default();
            let value = |name: &str| told.split([',', '\n']).find_map(|part| part.trim().strip_prefix(name));
            told.contains("role:slave")
                || value("master_repl_offset:").is_some_and(|all| all != "0" && value("offset=") == Some(all))
        };
        eventually(PATIENCE, "replicas acknowledge", || self.nodes.iter().all(acknowledged));
    }

    /// Waits until a node is a replica in step with its master.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_for_replica(&self, at: usize) {
        eventually(PATIENCE, "the replica is in step", || {
            let told = self.nodes[at].cli(&["INFO", "replication"]).unwrap_or_default();
            told.contains("role:slave") && told.contains("master_link_status:up")
        });
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        eventually(PATIENCE, what, || {
            self.nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).is_ok_and(|info| is_so(&info)))
        });
    }
}
