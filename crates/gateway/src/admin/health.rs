//! Health, as load balancers and orchestrators ask for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::node::Node;

/// The process runs; being restarted would not help.
pub(super) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Whether clients should be sent here, and if not, why.
pub(super) async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, Json<Value>) {
    match node.not_ready() {
        None => (StatusCode::OK, Json(json!({"ready": true}))),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "reason": why}))),
    }
}
