//! The connections of the admin port, and how long their peers may take.
//!
//! A head, a body, and the taking of an answer have 5 s each: neither hyper nor axum has a limit by itself, and a
//! few peers that stand still would keep Prometheus and the orchestrator out.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use crate::node::Node;

/// For a whole head, and between two requests; for a whole body; for the kernel to be rid of any byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of `accept`: a spin would only take the time that closing needs.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, at most `most` connections at once. One more waits in the kernel's backlog.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, most: usize, stop: CancellationToken) {
    let router = super::router(node).layer(middleware::from_fn(whole_body_in_time));
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= most {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        prepare(&socket);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(socket), service);
        let stop = stop.clone();
        connections.spawn(async move {
            // An error is the peer's: it left, stood still, or sent what is no HTTP.
            let _ = stop.run_until_cancelled(connection).await;
        });
    }
    while connections.join_next().await.is_some() {}
}

/// The kernel gives up a peer that takes nothing of an answer, be it gone or asleep. A socket that is gone
/// already says so at its first read.
fn prepare(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(PATIENCE));
}

/// Gives up a request whose body is not whole in time; nothing has been done for it then. How long the answer
/// takes after that is the answer's affair.
async fn whole_body_in_time(request: Request, next: Next) -> Response {
    let whole = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let watched = Arc::clone(&whole);
    let mut answer = pin!(next.run(request.map(|body| Body::new(Watched { body, whole: watched }))));
    if let Ok(response) = tokio::time::timeout(PATIENCE, &mut answer).await {
        return response;
    }
    if whole.load(Ordering::Relaxed) {
        return answer.await;
    }
    let problem = Problem::new(408, "bad_request", "the body did not come within 5 s");
    ([("connection", "close")], problem).into_response()
}

/// A body that says when it has come to its end.
struct Watched {
    body: Body,
    whole: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.whole.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
