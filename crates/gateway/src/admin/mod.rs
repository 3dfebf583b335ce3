//! The admin port: API, metrics, health. Kept off the public port.
//!
//! Small traffic, so a general HTTP server is right here. Health answers at once from what the node
//! knows; it never asks the broker.

mod channels;
mod health;
mod problem;
mod publish;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tidegate_core::{Reason, Refusal};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::front::is_loopback;
use crate::node::{ApiKey, Node};
use problem::Problem;

/// For a whole head; hyper and axum have no limit by themselves.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections at once. One more waits in the kernel's backlog.
const CONNECTIONS: usize = 512;

/// Serves until `stop`.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, stop: CancellationToken) {
    let router = router(node);
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await; // EMFILE: no spin
            continue;
        };
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(socket), service);
        let stop = stop.clone();
        connections.spawn(async move {
            // An error is the peer's: it left, or sent what is no HTTP.
            let _ = stop.run_until_cancelled(connection).await;
        });
    }
    while connections.join_next().await.is_some() {}
}

fn router(node: Arc<Node>) -> Router {
    let most = node.policy.limits.event_bytes * 2 + (64 << 10); // base64, and room for the rest
    let api = Router::new()
        .route("/publish", post(publish::publish))
        .route("/channels", get(channels::channels))
        .layer(axum::extract::DefaultBodyLimit::max(most))
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
        .with_state(node)
}

async fn metrics(State(node): State<Arc<Node>>) -> Response {
    node.measure();
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], node.metrics.render()).into_response()
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
