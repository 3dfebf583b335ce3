//! A pool of connections for what blocks and for scans, so that publishing never waits behind them.

use deadpool_redis::{Manager, PoolError, Runtime};
use redis::AsyncConnectionConfig;
use tokio::time::timeout;

use crate::{Keys, Patience, RedisError, Settings};

/// Connections that are opened when they are needed.
pub struct Pool {
    pool: deadpool_redis::Pool,
    patience: Patience,
    keys: Keys,
}

impl Pool {
    /// An empty pool. One caller more than `patience.pool` waits for a connection.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub fn new(settings: &Settings) -> Result<Self, RedisError> {
        let patience = settings.patience;
        let address = |error: &dyn std::fmt::Display| RedisError::Address(error.to_string());
        let info = settings.client()?.get_connection_info().clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(Some(patience.response));
        let manager = Manager::new_with_config(info, config).map_err(|error| address(&error))?;
        let pool = deadpool_redis::Pool::builder(manager)
            .max_size(patience.pool)
            .wait_timeout(Some(patience.response))
            .create_timeout(Some(patience.connect))
            .recycle_timeout(Some(patience.ping_timeout)) // a connection that died silently is replaced
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| address(&error))?;
        Ok(Self { pool, patience, keys: Keys::new(&settings.prefix) })
    }

    /// The pub/sub names with our prefix that somebody is subscribed to on this server, in no order.
    /// Redis looks at all its names and sends them at once: for people and tools.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] when no connection is free or Redis does not answer in time.
    pub async fn subscribed_names(&self) -> Result<Vec<Vec<u8>>, RedisError> {
        let ask = async {
            let mut connection = self.pool.get().await.map_err(understand)?;
            let mut command = redis::cmd("PUBSUB");
            command.arg("CHANNELS").arg(self.keys.pattern());
            command.query_async::<Vec<Vec<u8>>>(&mut connection).await.map_err(RedisError::from)
        };
        let late = |_| RedisError::unavailable("no answer in time");
        timeout(self.patience.response, ask).await.map_err(late)?
    }

    /// Closes the connections; afterwards nothing is answered.
    pub fn close(&self) {
        self.pool.close();
    }
}

fn understand(error: PoolError) -> RedisError {
    match error {
        PoolError::Backend(error) => error.into(),
        other => RedisError::Unavailable(other.to_string()),
    }
}
