//! The admin port: API, metrics, health. Kept off the public port.
//!
//! Small traffic, so a general HTTP server is right here. Health answers at once from what the node
//! knows; it never asks the broker.

mod channels;
mod event;
mod health;
mod history;
mod many;
mod problem;
mod publish;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tidegate_core::{Reason, Refusal};

use crate::front::is_loopback;
use crate::node::{ApiKey, Node};
use problem::Problem;
pub(crate) use server::serve;

fn router(node: Arc<Node>) -> Router {
    let most = single_body(&node);
    let many = DefaultBodyLimit::max(many::body_limit(most));
    let api = Router::new()
        .route("/publish", post(publish::publish))
        .route("/broadcast", post(many::broadcast).layer(many))
        .route("/batch", post(many::batch).layer(many))
        .route("/channels", get(channels::channels))
        .route("/channels/{channel}/history", get(history::history))
        .layer(DefaultBodyLimit::max(most))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), check_key));
    Router::new()
        .nest("/api/v1", api)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics))
        .fallback(|| async {
            Problem::new(404, "not_found", "API under /api/v1; /metrics; /health/live and /health/ready")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(405, "bad_request", "this path has other methods")
        })
        .layer(middleware::from_fn(sound))
        .with_state(node)
}

/// The largest body with one event.
fn single_body(node: &Node) -> usize {
    node.policy.limits.event_bytes * 2 + (64 << 10) // base64, and room for the rest
}

/// Refuses what two readers could understand in two ways; hyper passes it on.
async fn sound(request: Request, next: Next) -> Response {
    // RFC 9112 section 6.1: whoever sends Content-Length beside chunks is answered and then closed.
    // hyper takes the chunks and hides the other, so all that comes in chunks is closed.
    let chunked = request.headers().contains_key("transfer-encoding");
    let mut response = match ambiguous(&request) {
        Some(refusal) => Problem::from(refusal).into_response(),
        None => next.run(request).await,
    };
    if chunked {
        response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    }
    response
}

fn ambiguous(request: &Request) -> Option<Refusal> {
    let times = |name: &str| request.headers().get_all(name).iter().count();
    let twice = ["host", "authorization", "origin"].into_iter().find(|name| times(name) > 1);
    let message = match twice {
        Some(name) => format!("header {name} is there twice"),
        None if request.version() == Version::HTTP_11 && times("host") == 0 => {
            "header host is missing".into() // RFC 9112 section 3.2
        }
        None => return None,
    };
    Some(Refusal::new(Reason::BadRequest, message))
}

async fn metrics(State(node): State<Arc<Node>>) -> Response {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], node.render()).into_response()
}

/// The API needs `server.admin_key`, unless only this machine reaches the port.
async fn check_key(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let message = match &node.settings.api {
        ApiKey::Open => match foreign(request.headers()) {
            None => return next.run(request).await,
            Some(refusal) => return Problem::from(refusal).into_response(),
        },
        ApiKey::Needed(key) if same(given.as_bytes(), key.as_bytes()) => return next.run(request).await,
        ApiKey::Needed(_) => "Authorization: Bearer <server.admin_key> is needed",
        ApiKey::Closed => "the API is closed: set server.admin_key, or keep server.admin on loopback",
    };
    Problem::from(Refusal::new(Reason::Unauthorized, message)).into_response()
}

/// Why a request is not of this machine, although it comes from it: a web page can make a browser
/// send one, or give its own name to our address. Without a key nothing else tells them apart.
fn foreign(headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let why = match (headers.contains_key("origin"), text("host")) {
        (true, _) => "web pages may not use the API; set server.admin_key if a proxy should",
        (false, Some(host)) if is_loopback(host) => return None,
        _ => "without server.admin_key the API is for this machine: use 127.0.0.1 or localhost",
    };
    Some(Refusal::new(Reason::Forbidden, why))
}

/// Compares in a time that does not tell how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}
