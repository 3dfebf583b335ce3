//! Reading what a channel remembers, for somebody who asks once.

use tidegate_broker::{History, HistoryError, Query, Since};
use tidegate_core::session::Past;
use tidegate_core::{ChannelName, Position, Reason, Refusal};
use tokio::time::timeout;

use super::BROKER_DEADLINE;
use super::broker::AnyBroker;

/// What follows `since`, or the last events; at most `limit`, and at most about a megabyte.
///
/// # Errors
/// `bad_request` where nothing is kept, `behind`, `unavailable`.
pub(super) async fn read(
    broker: &AnyBroker,
    channel: ChannelName,
    since: Option<Position>,
    limit: u32,
) -> Result<Past, Refusal> {
    if !broker.has_history(&channel) {
        let message = format!(
            "{channel} keeps no history (namespaces.{}.history)",
            if broker.declares(channel.namespace()) { channel.namespace() } else { "default" }
        );
        return Err(Refusal::new(Reason::BadRequest, message));
    }
    if !broker.hears(&channel) {
        return Err(Refusal::unavailable());
    }
    let asked = timeout(BROKER_DEADLINE, ask(broker, channel, since, limit)).await;
    asked.unwrap_or_else(|_| Err(Refusal::unavailable()))
}

async fn ask(
    broker: &AnyBroker,
    channel: ChannelName,
    since: Option<Position>,
    limit: u32,
) -> Result<Past, Refusal> {
    let from = since.map_or(Since::Last(limit), Since::Position);
    let query = Query { channel: channel.clone(), since: from, count: limit };
    let mut found = one(broker, broker.read(vec![query.clone()]).await)?;
    if found.is_none() {
        // Nothing was ever published: even that has a name.
        one(broker, broker.begin(vec![channel.clone()]).await)?;
        found = one(broker, broker.read(vec![query]).await)?;
    }
    let read = found.ok_or_else(Refusal::unavailable)?;
    let older = since.is_some_and(|since| read.epoch < since.epoch);
    // Where the topology stands by this server, what is later than it is gone: who asks would come back for ever.
    if older && !broker.confirm(&channel).await {
        return Err(super::behind(&channel));
    }
    let top = Position { epoch: read.epoch, offset: read.offset };
    Ok(Past { top, recovered: since.map(|_| !read.lost && !older), events: read.events })
}

fn one<T>(broker: &AnyBroker, answers: Vec<Result<T, HistoryError>>) -> Result<T, Refusal> {
    let answer = answers.into_iter().next().ok_or_else(Refusal::unavailable)?;
    answer.map_err(|error| {
        broker.note_unread(&error);
        super::refusals::history_refusal(&error)
    })
}
