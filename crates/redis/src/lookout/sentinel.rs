//! Follows a master that Sentinels look after.
//!
//! All Sentinels are asked; who knows of the latest failover (the highest `config-epoch`) is right: one
//! that was cut off goes on naming the former master.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{FromRedisValue, Pipeline, Value};
use tokio::sync::{Notify, watch};

use super::witness::Witness;
use super::{LogPace, next_look};
use crate::address::Address;
use crate::task::Task;
use crate::topology::SentinelTopology;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// What one Sentinel says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Testimony {
    /// Grows with each failover.
    config_epoch: u64,
    pub(super) host: String,
    pub(super) port: u16,
}

/// Starts to follow the master. The task must be kept.
pub(crate) fn follow(
    topology: &SentinelTopology,
    patience: Patience,
) -> Result<(Task, Whereabouts), RedisError> {
    let (entrance, sentinels) = (topology.entrance()?, topology.sentinels()?);
    let (place, known) = watch::channel(None);
    let doubt = Arc::new(Notify::new());
    let whereabouts = Whereabouts::followed(known, Arc::clone(&doubt), true);
    let master = topology.master.clone();
    let task = Task::spawn(async move {
        let mut witnesses: Vec<Witness> = sentinels.into_iter().map(Witness::new).collect();
        let mut pace = LogPace::default();
        let mut newest = None;
        loop {
            match ask(&mut witnesses, &master, &patience).await {
                Ok((testimony, are_most)) => {
                    // Most of them may also know less than before: they were set up anew.
                    let is_news =
                        |newest: &Testimony| testimony > *newest || are_most && testimony != *newest;
                    if newest.as_ref().is_none_or(is_news) {
                        let address = entrance.at(&testimony.host, testimony.port);
                        newest = Some(testimony);
                        // Sentinels that were set up anew count from 0, and the master is where it was.
                        if place.borrow().as_ref() != Some(&address) {
                            tracing::info!(%master, %address, "the Sentinels name the master");
                            place.send_replace(Some(address));
                        }
                    }
                }
                Err(why) if pace.is_time() => {
                    tracing::warn!(%why, %master, "no Sentinel says where the master is; asking for ever");
                }
                Err(_) => {}
            }
            next_look(&doubt).await;
        }
    });
    Ok((task, whereabouts))
}

/// The newest of what the Sentinels say, and whether most of them were heard; an error of one of them if
/// none knows.
async fn ask(
    witnesses: &mut [Witness],
    master: &str,
    patience: &Patience,
) -> Result<(Testimony, bool), RedisError> {
    let mut question = Pipeline::new();
    question.cmd("SENTINEL").arg("MASTER").arg(master);
    let asking = witnesses.iter_mut().map(async |witness| {
        let answers = witness.ask(&question, patience).await;
        answers.and_then(|answers| understand(answers.first()).ok_or_else(|| strange(&witness.address)))
    });
    let mut why = RedisError::unavailable("there are no Sentinels");
    let mut testimonies = Vec::new();
    for answer in join_all(asking).await {
        match answer {
            Ok(testimony) => testimonies.push(testimony),
            Err(error) => why = error,
        }
    }
    let are_most = testimonies.len() * 2 > witnesses.len();
    Ok((testimonies.into_iter().max().ok_or(why)?, are_most))
}

pub(super) fn understand(answer: Option<&Value>) -> Option<Testimony> {
    let fields: HashMap<String, String> = FromRedisValue::from_redis_value(answer?.clone()).ok()?;
    Some(Testimony {
        config_epoch: fields.get("config-epoch")?.parse().ok()?,
        host: fields.get("ip").filter(|host| !host.is_empty())?.clone(),
        port: fields.get("port")?.parse().ok()?,
    })
}

fn strange(sentinel: &Address) -> RedisError {
    RedisError::Unavailable(format!("{sentinel} does not answer as a Sentinel does"))
}
