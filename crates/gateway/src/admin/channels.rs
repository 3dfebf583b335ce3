//! `GET /api/v1/channels`: the channels somebody subscribes to, on any node.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::problem::Problem;
use crate::node::Node;

/// Channels in one answer. More: the answer says that it is cut.
const MOST: usize = 10_000;

/// The answer.
#[derive(Serialize)]
pub(super) struct Channels {
    channels: Vec<String>,
    /// Whether there are more than stand here.
    truncated: bool,
}

pub(super) async fn channels(State(node): State<Arc<Node>>) -> Result<Json<Channels>, Problem> {
    let names = node.relay.occupied(MOST + 1).await.map_err(|refusal| {
        node.refused(refusal.reason);
        Problem::from(refusal)
    })?;
    let truncated = names.len() > MOST;
    let mut channels: Vec<String> = names.into_iter().take(MOST).map(|name| name.to_string()).collect();
    channels.sort_unstable();
    Ok(Json(Channels { channels, truncated }))
}
