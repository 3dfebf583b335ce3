//! Which part listens where.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// The ports of one node.
pub(super) struct NodePorts {
    pub(super) public: u16,
    pub(super) admin: u16,
}

/// The ports of all parts, on 127.0.0.1.
pub(super) struct Ports {
    pub(super) public: u16,
    pub(super) redis: u16,
    pub(super) prometheus: u16,
    pub(super) nodes: Vec<NodePorts>,
}

impl Ports {
    /// Fixed ones. With 8080 the first node's admin port is 8081, so our commands need no `--url` and no `--admin`.
    ///
    /// # Errors
    /// When there is no room above `first`, or one of them is taken.
    pub(super) fn from(first: u16, nodes: u16) -> Result<Self> {
        first.checked_add(202).with_context(|| format!("no room for the other ports above {first}"))?;
        let nodes =
            (1..=nodes).map(|number| NodePorts { admin: first + number, public: first + 100 + number });
        let ports =
            Self { public: first, redis: first + 200, prometheus: first + 201, nodes: nodes.collect() };
        for port in ports.all() {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .with_context(|| format!("port {port}; choose another --port"))?;
        }
        Ok(ports)
    }

    /// Free ones. All are held until the last is chosen, so they differ.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn free(nodes: u16) -> Result<Self> {
        let mut held = Vec::new();
        let mut next = || -> Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        let nodes =
            (0..nodes).map(|_| Ok(NodePorts { public: next()?, admin: next()? })).collect::<Result<_>>()?;
        Ok(Self { public: next()?, redis: next()?, prometheus: next()?, nodes })
    }

    fn all(&self) -> impl Iterator<Item = u16> {
        let nodes = self.nodes.iter().flat_map(|node| [node.public, node.admin]);
        [self.public, self.redis, self.prometheus].into_iter().chain(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports = Ports::free(9).expect("ports");
        let distinct: std::collections::BTreeSet<u16> = ports.all().collect();
        assert_eq!(distinct.len(), 3 + 2 * 9);
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        assert!(Ports::from(65_500, 3).is_err());
    }
}
