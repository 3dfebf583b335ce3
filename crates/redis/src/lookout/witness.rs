//! One server that is asked where the masters are.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, Value};
use tokio::time::timeout;

use crate::address::Address;
use crate::{Patience, RedisError};

/// A Sentinel, or a node of a Cluster. Its connection is kept from one question to the next.
pub(super) struct Witness {
    pub(super) address: Address,
    connection: Option<MultiplexedConnection>,
}

impl Witness {
    pub(super) fn new(address: Address) -> Self {
        Self { address, connection: None }
    }

    /// Its answers to these commands. One that is slow is as good as gone: another is asked.
    pub(super) async fn ask(
        &mut self,
        questions: &Pipeline,
        patience: &Patience,
    ) -> Result<Vec<Value>, RedisError> {
        let asking = self.try_ask(questions, patience);
        let late = |_| RedisError::unavailable("no answer in time");
        let answers = timeout(patience.ping_timeout, asking).await.map_err(late).flatten();
        if answers.is_err() {
            self.connection = None; // a connection with an open question is of no more use
        }
        answers
    }

    async fn try_ask(&mut self, questions: &Pipeline, patience: &Patience) -> Result<Vec<Value>, RedisError> {
        if self.connection.is_none() {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(patience.connect))
                .set_response_timeout(Some(patience.response));
            let opening = self.address.client()?.get_multiplexed_async_connection_with_config(&config).await;
            self.connection = Some(opening?);
        }
        let Some(connection) = &mut self.connection else { return Ok(Vec::new()) };
        let answers = connection.send_packed_commands(questions, 0, questions.len()).await?;
        answers.into_iter().map(|answer| Ok(answer.extract_error()?)).collect()
    }
}
