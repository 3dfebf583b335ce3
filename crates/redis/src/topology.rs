//! Which servers there are, in the words of the settings.

use std::fmt;

use crate::RedisError;
use crate::address::Address;

/// How the servers that hold our channels belong together. Holds passwords: printed without them.
#[derive(Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server: `redis://[user:password@]host[:6379][/database]`, or `rediss://` for TLS.
    Standalone(String),
    /// A master with replicas, looked after by Sentinels.
    Sentinel(SentinelTopology),
    /// A Redis Cluster: some of its nodes; the others are learnt from them. User, password and TLS
    /// are the same for all nodes, and taken from the first.
    Cluster(Vec<String>),
}

/// Where the Sentinels are, and how the servers they look after are entered.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SentinelTopology {
    /// The Sentinels, `redis://[user:password@]host[:26379]`, or `rediss://`: then the servers are
    /// spoken to over TLS, too.
    pub nodes: Vec<String>,
    /// The name they know the master by.
    pub master: String,
    /// The servers' own user; a Sentinel's is in its URL.
    pub username: Option<String>,
    /// The servers' own password.
    pub password: Option<String>,
    /// The servers' database.
    pub database: i64,
}

/// What is asked of a Sentinel's own port when its URL names none.
const SENTINEL_PORT: u16 = 26379;

impl Topology {
    /// Whether servers are spoken to over TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        let urls = match self {
            Self::Standalone(url) => std::slice::from_ref(url),
            Self::Sentinel(sentinel) => &sentinel.nodes,
            Self::Cluster(nodes) => nodes,
        };
        urls.first().is_some_and(|url| url.starts_with("rediss://"))
    }

    /// Whether all addresses can be some.
    pub(crate) fn check(&self) -> Result<(), RedisError> {
        match self {
            Self::Standalone(url) => Address::parse("redis.url", url).map(drop),
            Self::Sentinel(sentinel) => sentinel.entrance().and(sentinel.sentinels()).map(drop),
            Self::Cluster(nodes) => cluster_nodes(nodes).map(drop),
        }
    }
}

impl SentinelTopology {
    /// The Sentinels.
    pub(crate) fn sentinels(&self) -> Result<Vec<Address>, RedisError> {
        if self.master.is_empty() {
            let why =
                "redis.sentinel.master is empty: the name is expected that the Sentinels know the master by";
            return Err(RedisError::Address(why.to_owned()));
        }
        addresses("redis.sentinel.nodes", &self.nodes, Some(SENTINEL_PORT))
    }

    /// How a server is entered that a Sentinel names.
    pub(crate) fn entrance(&self) -> Result<Address, RedisError> {
        let any = self.sentinels()?.swap_remove(0);
        Ok(any.with_credentials(self.username.as_deref(), self.password.as_deref(), self.database))
    }
}

/// The nodes of a Cluster that the settings name.
pub(crate) fn cluster_nodes(nodes: &[String]) -> Result<Vec<Address>, RedisError> {
    let nodes = addresses("redis.cluster", nodes, None)?;
    match nodes.iter().find(|node| node.database() != 0) {
        Some(node) => Err(RedisError::Address(format!(
            "redis.cluster: {node} names database {}; a Cluster has only database 0",
            node.database()
        ))),
        None => Ok(nodes),
    }
}

fn addresses(field: &str, urls: &[String], port: Option<u16>) -> Result<Vec<Address>, RedisError> {
    if urls.is_empty() {
        return Err(RedisError::Address(format!("{field} is empty: at least one redis:// URL is expected")));
    }
    urls.iter()
        .map(|url| {
            let address = Address::parse(field, url)?;
            Ok(match port {
                Some(port) if !names_port(url) => address.at_port(port),
                _ => address,
            })
        })
        .collect()
}

/// Whether a valid URL says a port.
fn names_port(url: &str) -> bool {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next()).unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    host.rsplit(']').next().unwrap_or("").contains(':')
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone(_) => f.write_str("Standalone"),
            Self::Sentinel(sentinel) => sentinel.fmt(f),
            Self::Cluster(nodes) => write!(f, "Cluster({} nodes)", nodes.len()),
        }
    }
}

impl fmt::Debug for SentinelTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sentinel({} nodes, master {:?})", self.nodes.len(), self.master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinel(nodes: &[&str], master: &str) -> SentinelTopology {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        SentinelTopology { nodes, master: master.to_owned(), ..SentinelTopology::default() }
    }

    fn refusal(topology: &Topology) -> String {
        topology.check().expect_err("refused").to_string()
    }

    #[test]
    fn a_refusal_names_the_setting() {
        assert!(refusal(&Topology::Standalone("http://x".into())).starts_with("redis.url: "));
        for (nodes, text) in [
            (&[][..], "redis.cluster is empty"),
            (&["redis://a:7000", "b:7000"][..], "redis.cluster: "),
            (&["redis://a:7000/3"][..], "database 3"),
        ] {
            let error = refusal(&Topology::Cluster(nodes.iter().map(|&node| node.to_owned()).collect()));
            assert!(error.contains(text), "{error}");
        }
        for (nodes, master, text) in [
            (&[][..], "m", "redis.sentinel.nodes is empty"),
            (&["redis://a"][..], "", "redis.sentinel.master is empty"),
            (&["a"][..], "m", "redis.sentinel.nodes: "),
        ] {
            let error = refusal(&Topology::Sentinel(sentinel(nodes, master)));
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_sentinel_has_its_own_port_and_the_servers_their_own_credentials() {
        let nodes = ["redis://u:p@a", "redis://b:1", "redis://[::1]", "redis://[::1]:2"];
        let mut sentinel = sentinel(&nodes, "m");
        let found = sentinel.sentinels().unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a:26379", "b:1", "::1:26379", "::1:2"]);
        sentinel.password = Some("secret".into());
        let server = sentinel.entrance().unwrap().at("10.0.0.1", 6379);
        assert_eq!(server.to_string(), "10.0.0.1:6379");
        assert_eq!(server.credentials(), (None, Some("secret")), "not the Sentinel's");
    }

    #[test]
    fn passwords_are_not_printed() {
        let mut sentinel = sentinel(&["redis://u:secret@a"], "m");
        sentinel.password = Some("secret".into());
        let urls = vec!["redis://u:secret@host".to_owned()];
        for topology in
            [Topology::Standalone(urls[0].clone()), Topology::Cluster(urls), Topology::Sentinel(sentinel)]
        {
            assert!(!format!("{topology:?}").contains("secret"));
        }
    }
}
