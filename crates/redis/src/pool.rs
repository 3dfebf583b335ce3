//! A pool of connections for what blocks and for scans, so that publishing never waits behind them.

use deadpool_redis::{Manager, PoolError, Runtime};
use parking_lot::Mutex;
use redis::AsyncConnectionConfig;
use tokio::time::timeout;

use crate::address::Address;
use crate::dialect::Dialect;
use crate::whereabouts::Whereabouts;
use crate::{Keys, Patience, RedisError};

/// Connections to one master, opened when they are needed.
pub(crate) struct Pool {
    whereabouts: Whereabouts,
    dialect: Dialect,
    patience: Patience,
    keys: Keys,
    /// The pool to where the master was last.
    current: Mutex<Current>,
}

enum Current {
    None,
    To(Box<(Address, deadpool_redis::Pool)>),
    /// None is opened any more.
    Closed,
}

impl Pool {
    /// An empty pool. One caller more than `patience.pool` waits for a connection.
    pub(crate) fn new(whereabouts: Whereabouts, dialect: Dialect, patience: Patience, keys: Keys) -> Self {
        Self { whereabouts, dialect, patience, keys, current: Mutex::new(Current::None) }
    }

    /// The pub/sub names with our prefix that somebody is subscribed to on this server, in no order.
    /// Redis looks at all its names and sends them at once: for people and tools.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] when no connection is free or Redis does not answer in time.
    pub(crate) async fn subscribed_names(&self) -> Result<Vec<Vec<u8>>, RedisError> {
        let ask = async {
            let mut connection = self.pool()?.get().await.map_err(understand)?;
            let mut command = redis::cmd("PUBSUB");
            command.arg(self.dialect.list()).arg(self.keys.pattern());
            command.query_async::<Vec<Vec<u8>>>(&mut connection).await.map_err(RedisError::from)
        };
        let late = |_| RedisError::unavailable("no answer in time");
        timeout(self.patience.response, ask).await.map_err(late)?
    }

    /// Closes the connections; who waits for one, or asks later, gets an error.
    pub(crate) fn close(&self) {
        if let Current::To(last) = std::mem::replace(&mut *self.current.lock(), Current::Closed) {
            last.1.close();
        }
    }

    /// The pool to where the master is now.
    fn pool(&self) -> Result<deadpool_redis::Pool, RedisError> {
        let unknown = || RedisError::unavailable("it is not known yet where the master is");
        let address = self.whereabouts.now().ok_or_else(unknown)?;
        let mut current = self.current.lock();
        match &*current {
            Current::To(last) if last.0 == address => return Ok(last.1.clone()),
            Current::Closed => return Err(RedisError::unavailable("it is stopped")),
            _ => {}
        }
        let pool = self.build(&address)?;
        let now = Current::To(Box::new((address, pool.clone())));
        if let Current::To(former) = std::mem::replace(&mut *current, now) {
            former.1.close();
        }
        Ok(pool)
    }

    fn build(&self, address: &Address) -> Result<deadpool_redis::Pool, RedisError> {
        let patience = &self.patience;
        let wrong = |error: &dyn std::fmt::Display| RedisError::Address(error.to_string());
        let info = address.client()?.get_connection_info().clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(Some(patience.response));
        let manager = Manager::new_with_config(info, config).map_err(|error| wrong(&error))?;
        deadpool_redis::Pool::builder(manager)
            .max_size(patience.pool)
            .wait_timeout(Some(patience.response))
            .create_timeout(Some(patience.connect))
            .recycle_timeout(Some(patience.ping_timeout)) // a connection that died silently is replaced
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| wrong(&error))
    }
}

fn understand(error: PoolError) -> RedisError {
    match error {
        PoolError::Backend(error) => error.into(),
        other => RedisError::Unavailable(other.to_string()),
    }
}
