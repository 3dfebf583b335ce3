//! How a feed's wishes are spelled for Redis.

use std::collections::HashMap;

use crate::RedisError;
use crate::dialect::Dialect;
use crate::link::Link;
use futures_util::future::join_all;

/// Commands that wait for their answers at once. Each costs about 3 kB, and a node may want 100,000 names; what is
/// beyond goes when all of these are answered.
const COMMANDS: usize = 4096;

/// Which names could not be subscribed, and why.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<String, RedisError>);

impl Failures {
    /// What became of these names: the first failure among them, if there is one.
    pub(super) fn of(&self, names: &[String]) -> Result<(), RedisError> {
        match names.iter().find_map(|name| self.0.get(name)) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Names that another node must be asked for; an error if there is any other failure.
    pub(super) fn moved(self) -> Result<Vec<String>, RedisError> {
        let moved = self.0.into_iter().map(|(name, error)| match error {
            RedisError::Moved(_) => Ok(name),
            other => Err(other),
        });
        moved.collect()
    }
}

/// Subscribes to all names, in few round trips.
pub(super) async fn subscribe(link: &Link, dialect: Dialect, names: &[String]) -> Failures {
    let command = async |batch: &[String]| {
        let result = match dialect {
            // redis-rs waits for all confirmations of a command only if it made it.
            Dialect::Plain => link.unless_closed(link.connection.clone().subscribe(batch)).await,
            Dialect::Sharded => link.join(&batch[0]).await,
        };
        result.err().map(|error| batch.iter().map(|name| (name.clone(), error.clone())).collect::<Vec<_>>())
    };
    let mut failures = Failures::default();
    for part in names.chunks(COMMANDS * dialect.batch()) {
        let commands = part.chunks(dialect.batch()).map(command);
        failures.0.extend(join_all(commands).await.into_iter().flatten().flatten());
    }
    failures
}

/// Ends subscriptions.
pub(super) async fn unsubscribe(link: &Link, dialect: Dialect, names: &[String]) -> Result<(), RedisError> {
    let command = async |batch: &[String]| match dialect {
        Dialect::Plain => link.unless_closed(link.connection.clone().unsubscribe(batch)).await,
        Dialect::Sharded => link.leave(&batch[0]).await,
    };
    let mut result = Ok(());
    for part in names.chunks(COMMANDS * dialect.batch()) {
        let commands = part.chunks(dialect.batch()).map(command);
        result = join_all(commands).await.into_iter().fold(result, Result::and);
    }
    result
}
