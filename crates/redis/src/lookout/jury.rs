//! Whom the topology itself calls master, asked now.
//!
//! The lookouts follow masters, and believe whoever knows of the latest change. Here nothing is believed that
//! is not said by most of those who decide it, and over connections of its own, so that no answer is old.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{FromRedisValue, Pipeline, Value};

use super::witness::Witness;
use super::{sentinel, slots};
use crate::address::Address;
use crate::topology::SentinelTopology;
use crate::{Patience, RedisError};

/// The Sentinels of one master.
pub(crate) struct Sentinels {
    sentinels: Vec<Address>,
    entrance: Address,
    master: String,
}

/// What the masters of a Cluster say of its slots.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    voters: usize,
    testimonies: Arc<Vec<slots::Testimony>>,
}

impl Sentinels {
    pub(crate) fn new(topology: &SentinelTopology) -> Result<Self, RedisError> {
        let (sentinels, entrance) = (topology.sentinels()?, topology.entrance()?);
        Ok(Self { sentinels, entrance, master: topology.master.clone() })
    }

    /// The master that most Sentinels name; none while any of them sees it down or a failover going on, or
    /// knows of a later one.
    pub(crate) async fn verdict(&self, patience: &Patience) -> Option<Address> {
        let mut question = Pipeline::new();
        question.cmd("SENTINEL").arg("MASTER").arg(&self.master);
        let answers = ask(&self.sentinels, &question, patience).await;
        let said: Vec<_> = answers.iter().filter_map(|(_, answers)| answers.first()).collect();
        if said.iter().any(|answer| is_in_trouble(answer)) {
            return None;
        }
        let testimonies: Vec<_> =
            said.into_iter().filter_map(|answer| sentinel::understand(Some(answer))).collect();
        let newest = testimonies.iter().max()?;
        let named = |one: &&sentinel::Testimony| (&one.host, one.port) == (&newest.host, newest.port);
        let votes = testimonies.iter().filter(named).count();
        (votes * 2 > self.sentinels.len()).then(|| self.entrance.at(&newest.host, newest.port))
    }
}

/// Whether a Sentinel sees its master down, or being replaced.
fn is_in_trouble(answer: &Value) -> bool {
    let fields = std::collections::HashMap::<String, String>::from_redis_value(answer.clone());
    let Ok(fields) = fields else { return false };
    fields.get("flags").is_some_and(|flags| {
        flags.split(',').any(|flag| ["s_down", "o_down", "failover_in_progress"].contains(&flag))
    })
}

/// What these masters of a Cluster say.
pub(crate) async fn of_cluster(masters: &[Address], patience: &Patience) -> Verdict {
    let mut questions = Pipeline::new();
    questions.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let answers = ask(masters, &questions, patience).await;
    let understood =
        answers.iter().filter_map(|(address, answers)| slots::understand(answers, address.host()));
    Verdict { voters: masters.len(), testimonies: Arc::new(understood.collect()) }
}

impl Verdict {
    /// The id of the node that most masters name as the slot's, if the one that knows of the latest change
    /// does so, too. One that does not see most masters has no vote.
    pub(crate) fn owner(&self, slot: u16) -> Option<&str> {
        let valid = self.testimonies.iter().filter(|one| one.is_ok);
        let named: Vec<_> = valid.map(|one| (one.epoch, one.map.owner(slot))).collect();
        let (_, owner) = named.iter().max()?;
        let votes = named.iter().filter(|(_, other)| other == owner).count();
        (*owner).filter(|_| votes * 2 > self.voters)
    }
}

/// The answers of those that answer.
async fn ask<'a>(
    addresses: &'a [Address],
    questions: &Pipeline,
    patience: &Patience,
) -> Vec<(&'a Address, Vec<Value>)> {
    let asking = addresses.iter().map(async |address| {
        let answers = Witness::new(address.clone()).ask(questions, patience).await;
        Some((address, answers.ok()?))
    });
    join_all(asking).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(is_ok: bool, epoch: u64, owner: &str) -> slots::Testimony {
        let (id, host) = (owner.to_owned(), "h".to_owned());
        let master = slots::Master { id, host, port: 1, ranges: vec![(0, 100)] };
        slots::Testimony { is_ok, epoch, map: slots::SlotMap { masters: vec![master], replicas: Vec::new() } }
    }

    #[test]
    fn most_masters_decide_and_the_latest_change() {
        for (testimonies, expected) in [
            (vec![said(true, 1, "a"), said(true, 1, "a")], Some("a")),
            (vec![said(true, 1, "a")], None), // one of three
            (vec![said(true, 1, "a"), said(true, 1, "a"), said(true, 2, "b")], None),
            (vec![said(true, 1, "a"), said(true, 2, "b"), said(true, 2, "b")], Some("b")),
            (vec![said(true, 1, "a"), said(false, 1, "a")], None), // cut off
            (vec![said(true, 1, "a"), said(true, 1, "a"), said(false, 9, "b")], Some("a")),
            (vec![], None),
        ] {
            let verdict = Verdict { voters: 3, testimonies: Arc::new(testimonies) };
            assert_eq!(verdict.owner(7), expected, "{verdict:?}");
            assert_eq!(verdict.owner(101), None, "nobody's slot");
        }
    }

    #[test]
    fn a_sentinel_that_sees_trouble_says_so() {
        let master = |flags: &str| {
            let text = |text: &str| Value::BulkString(text.into());
            Value::Map(vec![(text("ip"), text("h")), (text("flags"), text(flags))])
        };
        assert!(!is_in_trouble(&master("master")));
        for flags in ["s_down,master", "master,o_down", "master,failover_in_progress"] {
            assert!(is_in_trouble(&master(flags)), "{flags}");
        }
    }
}
