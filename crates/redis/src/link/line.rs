//! A link's other end, for a question beside its use: which server it is, and whether it is a master.
//!
//! It does not keep the link: once that is dropped, every answer is none.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::{InFlight, Link, Signs, is_master};
use crate::address::Address;

/// The way to the other end of a link.
#[derive(Clone)]
pub(crate) struct Line {
    address: Address,
    connection: MultiplexedConnection,
    signs: Arc<Signs>,
}

/// A server that says it is a master.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Master {
    /// Where the link went when it was opened.
    pub(crate) address: Address,
    /// Of its process. Behind one address may be several: a name or a proxy that was pointed elsewhere.
    run_id: String,
}

impl Link {
    /// The way to its other end.
    pub(crate) fn line(&self) -> Line {
        let (address, connection) = (self.address.clone(), self.connection.clone());
        Line { address, connection, signs: Arc::clone(&self.signs) }
    }
}

impl Line {
    /// The master that answers now; none if it is no master, or no answer comes. Who asks bounds the time.
    pub(crate) async fn master(&self) -> Option<Master> {
        let role = self.ask(&cmd("ROLE")).await?;
        let told = self.ask(cmd("INFO").arg("server")).await?;
        let told = String::from_redis_value(told).ok()?;
        let run_id = told.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim().to_owned();
        is_master(&role).then(|| Master { address: self.address.clone(), run_id })
    }

    async fn ask(&self, command: &Cmd) -> Option<Value> {
        let mut connection = self.connection.clone();
        let _in_flight = InFlight::start(&self.signs.in_flight);
        let answer = tokio::select! {
            biased;
            () = self.signs.closed.cancelled() => None,
            answer = connection.send_packed_command(command) => answer.ok(),
        };
        let is_in_use = *self.signs.open.lock();
        answer.filter(|_| is_in_use)
    }
}
