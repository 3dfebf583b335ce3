//! What the nodes of a Cluster say: which slot is whose.
//!
//! Three nodes are asked at a time. One that does not see most masters says that the Cluster is down, and
//! is not believed: a master that was cut off goes on claiming its slots. Of the others, who knows of the
//! latest change (the highest epoch) is right.

use std::collections::{HashMap, VecDeque};

use futures_util::future::join_all;
use redis::{FromRedisValue, Pipeline, Value};

use super::witness::Witness;
use crate::address::Address;
use crate::{Patience, RedisError};

/// Slots of a Cluster (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
pub(crate) const SLOTS: usize = 16384;
/// Nodes that are asked at a time. A few, so that one that is cut off alone is not believed.
const ASKED: usize = 3;

/// Which slot is whose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SlotMap {
    pub(crate) masters: Vec<Master>,
    /// Replicas, which know the slots too.
    pub(crate) replicas: Vec<(String, u16)>,
}

/// A master and its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Master {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// First and last of each range.
    pub(crate) ranges: Vec<(u16, u16)>,
}

impl SlotMap {
    /// The id of the master that holds a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        let holds =
            |master: &&Master| master.ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot));
        self.masters.iter().find(holds).map(|master| master.id.as_str())
    }
}

/// The nodes that can be asked.
pub(crate) struct Lookout {
    seeds: Vec<Address>,
    witnesses: VecDeque<Witness>,
    /// Whether a map was ever seen.
    is_known: bool,
}

/// What one node says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Testimony {
    /// Whether it sees most masters, and all slots are served.
    pub(super) is_ok: bool,
    pub(super) epoch: u64,
    pub(super) map: SlotMap,
}

impl Lookout {
    /// # Panics
    /// Without a seed there is nobody to ask.
    pub(crate) fn new(seeds: Vec<Address>) -> Self {
        assert!(!seeds.is_empty(), "a Cluster has at least one node");
        let witnesses = seeds.iter().cloned().map(Witness::new).collect();
        Self { seeds, witnesses, is_known: false }
    }

    /// Asks some nodes, others than last time.
    ///
    /// # Errors
    /// When none of them knows, or the Cluster is down.
    pub(crate) async fn look(&mut self, patience: &Patience) -> Result<SlotMap, RedisError> {
        let mut questions = Pipeline::new();
        questions.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        let mut asked: Vec<Witness> = self.witnesses.drain(..ASKED.min(self.witnesses.len())).collect();
        let asking = asked.iter_mut().map(async |witness| {
            let answers = witness.ask(&questions, patience).await?;
            let strange = || RedisError::Unavailable(format!("{} is no node of a Cluster", witness.address));
            understand(&answers, witness.address.host()).ok_or_else(strange)
        });
        let answers = join_all(asking).await;
        self.witnesses.extend(asked);

        let mut why = RedisError::unavailable("the Cluster is down, or these nodes are cut off");
        let mut newest: Option<Testimony> = None;
        for answer in answers {
            match answer {
                // At the start a map of what is down is better than none: there is something to wait for.
                Ok(testimony) if testimony.is_ok || !self.is_known => {
                    let rank = |testimony: &Testimony| (testimony.is_ok, testimony.epoch);
                    if newest.as_ref().is_none_or(|best| rank(&testimony) > rank(best)) {
                        newest = Some(testimony);
                    }
                }
                Ok(_) => {}
                Err(error) => why = error,
            }
        }
        let map = newest.map(|testimony| testimony.map).filter(|map| !map.masters.is_empty()).ok_or(why)?;
        self.is_known = true;
        self.learn(&map);
        Ok(map)
    }

    /// Asks those from now on that the map names, and always the seeds.
    fn learn(&mut self, map: &SlotMap) {
        let masters = map.masters.iter().map(|master| (master.host.as_str(), master.port));
        let replicas = map.replicas.iter().map(|(host, port)| (host.as_str(), *port));
        let mut known: Vec<Address> = self.seeds.clone();
        for (host, port) in masters.chain(replicas) {
            let address = self.seeds[0].at(host, port);
            if !known.contains(&address) {
                known.push(address);
            }
        }
        self.witnesses.retain(|witness| known.contains(&witness.address));
        for address in known {
            if !self.witnesses.iter().any(|witness| witness.address == address) {
                self.witnesses.push_front(Witness::new(address));
            }
        }
    }
}

/// Reads the answers to `CLUSTER INFO` and `CLUSTER SLOTS`. A node that does not know its own name is
/// where it was `asked`.
pub(super) fn understand(answers: &[Value], asked: &str) -> Option<Testimony> {
    let [info, slots] = answers else { return None };
    let info = String::from_redis_value(info.clone()).ok()?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(Testimony {
        is_ok: field("cluster_state:")? == "ok",
        epoch: field("cluster_current_epoch:")?.parse().ok()?,
        map: read_slots(slots, asked)?,
    })
}

fn read_slots(answer: &Value, asked: &str) -> Option<SlotMap> {
    let mut map = SlotMap::default();
    let Value::Array(ranges) = answer else { return None };
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &parts[..] else { return None };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        if first > last || usize::from(last) >= SLOTS {
            return None;
        }
        let (id, host, port) = read_node(master, asked)?;
        match map.masters.iter_mut().find(|known| known.id == id) {
            Some(known) => known.ranges.push((first, last)),
            None => map.masters.push(Master { id, host, port, ranges: vec![(first, last)] }),
        }
        for replica in replicas {
            let (_, host, port) = read_node(replica, asked)?;
            if !map.replicas.contains(&(host.clone(), port)) {
                map.replicas.push((host, port));
            }
        }
    }
    Some(map)
}

fn read_node(node: &Value, asked: &str) -> Option<(String, String, u16)> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), id, ..] = &parts[..] else { return None };
    let host: Option<String> = FromRedisValue::from_redis_value(host.clone()).ok()?;
    let host = match host.filter(|host| !host.is_empty()) {
        None => asked.to_owned(),
        // It prefers host names, and this node has none yet: its address is among what else is said.
        Some(host) if host == "?" => ip(parts.get(3)).unwrap_or_else(|| asked.to_owned()),
        Some(host) => host,
    };
    let id = String::from_redis_value(id.clone()).ok()?;
    Some((id, host, u16::try_from(*port).ok()?))
}

/// The address among a node's metadata.
fn ip(metadata: Option<&Value>) -> Option<String> {
    let metadata: HashMap<String, String> = FromRedisValue::from_redis_value(metadata?.clone()).ok()?;
    metadata.get("ip").filter(|ip| !ip.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn node(host: &str, port: i64, id: &str) -> Value {
        Value::Array(vec![text(host), Value::Int(port), text(id), Value::Array(Vec::new())])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
    }

    #[test]
    fn ranges_of_one_master_belong_together() {
        let slots = Value::Array(vec![
            range(0, 99, vec![node("10.0.0.1", 7000, "a"), node("10.0.0.4", 7003, "d")]),
            range(100, 16383, vec![node("", 7001, "b")]),
            range(50, 50, vec![node("10.0.0.1", 7000, "a"), node("10.0.0.4", 7003, "d")]),
        ]);
        let map = read_slots(&slots, "asked").unwrap();
        let masters: Vec<_> = map.masters.iter().map(|m| (&*m.host, m.port, m.ranges.clone())).collect();
        assert_eq!(
            masters,
            [("10.0.0.1", 7000, vec![(0, 99), (50, 50)]), ("asked", 7001, vec![(100, 16383)])]
        );
        assert_eq!(map.replicas, [("10.0.0.4".to_owned(), 7003)]);
    }

    #[test]
    fn a_node_without_a_host_name_is_at_its_address() {
        let unnamed = |ip: &[&str]| {
            let metadata = Value::Array(ip.iter().map(|&word| text(word)).collect());
            Value::Array(vec![text("?"), Value::Int(7000), text("a"), metadata])
        };
        for (metadata, host) in [(&["ip", "10.0.0.9"][..], "10.0.0.9"), (&[], "asked")] {
            let map = read_slots(&Value::Array(vec![range(0, 9, vec![unnamed(metadata)])]), "asked").unwrap();
            assert_eq!(map.masters[0].host, host);
        }
    }

    #[test]
    fn what_is_no_map_is_refused() {
        for slots in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(5, 4, vec![node("a", 1, "a")])]),
            Value::Array(vec![range(0, 16384, vec![node("a", 1, "a")])]),
            Value::Array(vec![range(0, 1, vec![node("a", 65536, "a")])]),
            Value::Array(vec![range(0, 1, vec![])]),
        ] {
            assert_eq!(read_slots(&slots, "asked"), None, "{slots:?}");
        }
    }

    #[test]
    fn state_and_epoch_say_who_is_right() {
        let info = "cluster_state:ok\r\ncluster_current_epoch:12\r\ncluster_my_epoch:3\r\n";
        let answers = [text(info), Value::Array(Vec::new())];
        let said = Testimony { is_ok: true, epoch: 12, map: SlotMap::default() };
        assert_eq!(understand(&answers, "x"), Some(said));
        assert_eq!(understand(&[text("cluster_enabled:0"), Value::Array(Vec::new())], "x"), None);
    }
}
