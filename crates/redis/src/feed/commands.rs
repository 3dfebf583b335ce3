//! How a feed's wishes are spelled for Redis.

use std::collections::HashMap;

use crate::RedisError;
use crate::dialect::Dialect;
use crate::link::Link;
use futures_util::future::join_all;

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

/// Subscribes to all names, in one round trip.
pub(super) async fn subscribe(link: &Link, dialect: Dialect, names: &[String]) -> Failures {
    let commands = names.chunks(dialect.batch()).map(async |batch| {
        let result = match dialect {
            // redis-rs waits for all confirmations of a command only if it made it.
            Dialect::Plain => link.unless_closed(link.connection.clone().subscribe(batch)).await,
            Dialect::Sharded => link.join(&batch[0]).await,
        };
        result.err().map(|error| batch.iter().map(move |name| (name.clone(), error.clone())))
    });
    Failures(join_all(commands).await.into_iter().flatten().flatten().collect())
}

/// Ends subscriptions.
pub(super) async fn unsubscribe(link: &Link, dialect: Dialect, names: &[String]) -> Result<(), RedisError> {
    let commands = names.chunks(dialect.batch()).map(async |batch| match dialect {
        Dialect::Plain => link.unless_closed(link.connection.clone().unsubscribe(batch)).await,
        Dialect::Sharded => link.leave(&batch[0]).await,
    });
    join_all(commands).await.into_iter().collect()
}
