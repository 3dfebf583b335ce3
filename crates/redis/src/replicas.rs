//! Whether what was written to a master is at one of its replicas, too.
//!
//! `WAIT` blocks the connection it is on, so it has one of its own, and publishing never stands behind it. It waits
//! for what its own connection wrote: a mark, written after what the callers wrote, stands for all of that. One
//! `WAIT` serves all who came before it began.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::address::Address;
use crate::command::{Call, Keyed};
use crate::dialect::Dialect;
use crate::rounds::Rounds;
use crate::whereabouts::Whereabouts;
use crate::{Patience, RedisError};

/// How long a replica may take. Who comes while one waits for it waits twice as long, and an answer within
/// 1.5 s is promised.
const ACKNOWLEDGE: Duration = Duration::from_millis(500);
/// For the way to the master and back, beyond that.
const WAY: Duration = Duration::from_millis(150);

/// One stretch of a server's life as a master: a restart, a promotion, a resynchronisation begins another. What
/// was written in it is there as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lineage(String);

/// Asks one master's replicas.
pub(crate) struct Replicas {
    whereabouts: Whereabouts,
    patience: Patience,
    connection: Mutex<Connection>,
    rounds: Rounds<Option<Lineage>>,
}

enum Connection {
    None,
    Kept(Box<(Address, MultiplexedConnection)>),
    /// No more is opened.
    Closed,
}

impl Lineage {
    /// That of the server that answers `INFO replication`.
    pub(crate) fn read(info: &Value) -> Option<Self> {
        let told = String::from_redis_value(info.clone()).ok()?;
        let id = told.lines().find_map(|line| line.strip_prefix("master_replid:"))?;
        Some(Self(id.trim().to_owned()))
    }
}

impl Replicas {
    /// Opens no connection before somebody asks.
    pub(crate) fn new(whereabouts: Whereabouts, patience: Patience) -> Self {
        Self { whereabouts, patience, connection: Mutex::new(Connection::None), rounds: Rounds::default() }
    }

    /// The lineage of which all that was written before this was called is at a replica; none if no replica says
    /// so in time. `mark` writes something, and changes nothing.
    pub(crate) async fn acknowledged(&self, mark: &Call) -> Option<Lineage> {
        let ask = async || match timeout(ACKNOWLEDGE + WAY, self.wait(mark)).await {
            Ok(Ok(lineage)) => lineage,
            Ok(Err(why)) => {
                tracing::debug!(%why, "cannot ask for replicas");
                None
            }
            Err(_) => None,
        };
        self.rounds.next(ask).await
    }

    /// Closes the connection, and opens none any more.
    pub(crate) async fn close(&self) {
        *self.connection.lock().await = Connection::Closed;
    }

    async fn wait(&self, mark: &Call) -> Result<Option<Lineage>, RedisError> {
        let mut question = Pipeline::new();
        mark.add_to(&mut question, Dialect::Plain);
        let millis = ACKNOWLEDGE.as_millis().to_string();
        question.cmd("WAIT").arg(1).arg(millis).cmd("INFO").arg("replication");
        let mut held = self.connection.lock().await;
        loop {
            let unknown = || RedisError::unavailable("it is not known where the master is");
            let address = self.whereabouts.now().ok_or_else(unknown)?;
            // It is kept again when it has answered: an open question makes it useless.
            let kept = match std::mem::replace(&mut *held, Connection::None) {
                Connection::Kept(kept) if kept.0 == address => Some(kept.1),
                Connection::Closed => {
                    *held = Connection::Closed;
                    return Err(RedisError::unavailable("it is stopped"));
                }
                _ => None,
            };
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.open(&address).await?,
            };
            match connection.send_packed_commands(&question, 0, 3).await {
                Ok(answers) => {
                    *held = Connection::Kept(Box::new((address, connection)));
                    return Ok(understand(&answers));
                }
                Err(_) if was_kept => {} // it may have ended long ago
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn open(&self, address: &Address) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect))
            .set_response_timeout(None); // whoever asks bounds the time
        Ok(address.client()?.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

/// The answers to the mark, `WAIT` and `INFO`.
fn understand(answers: &[Value]) -> Option<Lineage> {
    match answers {
        [Value::ServerError(_), ..] => None,
        [_, Value::Int(1..), info] => Lineage::read(info),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_a_mark_and_a_lineage_are_needed() {
        let info = || Value::BulkString(b"role:master\r\nmaster_replid:abc\r\nmaster_replid2:0\r\n".to_vec());
        let refused = redis::parse_redis_value(b"-ERR Function not found\r\n").expect("an error");
        assert_eq!(understand(&[Value::Okay, Value::Int(1), info()]), Some(Lineage("abc".to_owned())));
        assert_eq!(understand(&[Value::Okay, Value::Int(0), info()]), None);
        assert_eq!(understand(&[refused.clone(), Value::Int(1), info()]), None, "nothing was waited for");
        assert_eq!(understand(&[Value::Okay, refused, info()]), None, "a replica itself");
        assert_eq!(understand(&[Value::Okay, Value::Int(1)]), None);
    }
}
