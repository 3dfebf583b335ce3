//! The front of the public port: reads the head of a request, opens the right door.
//!
//! Own code, since an event stream behind a general HTTP server costs ten times the memory. It
//! serves requests that open a connection, and the page; whatever else comes is refused, answered
//! once and closed. It must not know the hub or the broker.

mod head;
mod open;
mod origin;
mod page;
mod response;
mod turns;
mod upgrade;

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tidegate_metrics::RefusedFor;
use tokio::io::AsyncReadExt;

use crate::connection::Socket;
use crate::node::{Arrival, Node};
use head::{Head, MAX_HEAD};
use open::Opened;
pub(crate) use open::OpenedDoor;
pub(crate) use origin::{Origins, is_loopback};
pub(crate) use response::{Response, refusal_response};
use turns::Turn;
pub(crate) use turns::Turns;

/// From accepting to the end of the request's head. Counts the whole, not each byte. The session's own 5 s
/// begin at the same moment, so the two together are no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a refused peer may take to read why, before the socket is closed under it.
const LINGER: Duration = Duration::from_secs(1);

/// Handles an accepted socket until its door is open; the door then runs in a task of its own, whose
/// memory does not carry what the handshake needed.
pub(crate) async fn welcome(node: Arc<Node>, socket: Socket, turns: Arc<Turns>, arrival: Arrival) {
    let reading = tokio::time::timeout(HANDSHAKE_TIMEOUT, read_head(&socket, &turns));
    // A node that stops waits for no head that is still to come.
    let Some(read) = node.accepting.run_until_cancelled(reading).await else {
        let response = Response::text(503, "the node stops; come back, to any node").with("Retry-After", "1");
        return answer(socket, &response).await;
    };
    let read = match read {
        Ok(Ok(Some(read))) => read,
        Ok(Ok(None)) => return,
        Ok(Err(refusal)) => return answer(socket, &refusal).await,
        Err(_) => {
            node.metrics.refused(RefusedFor::Timeout).inc();
            return answer(socket, &Response::text(408, "the request's head did not come within 5 s")).await;
        }
    };
    let Read { head, leftover, turn } = read;
    let response = match open::open(&node, &head) {
        Ok(Opened::Door(opened)) => {
            node.serve(socket, *opened, &leftover, arrival);
            return turn.end().await;
        }
        Ok(Opened::Answer(response)) => response,
        Err(response) => {
            tracing::debug!(status = response.status(), path = head.path(), "request refused");
            response.reason().into_iter().for_each(|reason| node.refused(reason));
            // RFC 9110 section 9.3.2: an answer to HEAD has no content, whatever it says.
            if head.method() == "HEAD" { response.without_body() } else { response }
        }
    };
    turn.end().await;
    answer(socket, &response).await;
}

/// A request, read to the end of its head.
struct Read<'a> {
    head: Head,
    /// What came behind it.
    leftover: Vec<u8>,
    /// In which it is answered.
    turn: Turn<'a>,
}

/// Reads until the head is whole, and has a turn then. None if the peer left before it said anything.
async fn read_head<'a>(socket: &Socket, turns: &'a Turns) -> Result<Option<Read<'a>>, Response> {
    let mut bytes = Vec::new();
    loop {
        if socket.readable().await.is_err() {
            return Ok(None);
        }
        let turn = turns.take().await;
        let looked = look(socket, &mut bytes);
        if let Ok(ControlFlow::Break(Some((head, leftover)))) = looked {
            return Ok(Some(Read { head, leftover, turn }));
        }
        // A crowd of half heads, or of broken ones, is as large as one of whole heads.
        turn.end().await;
        if looked?.is_break() {
            return Ok(None);
        }
    }
}

/// Reads what there is. Ends with the head and what came behind it, or with nothing if the peer has left.
fn look(socket: &Socket, bytes: &mut Vec<u8>) -> Result<ControlFlow<Option<(Head, Vec<u8>)>>, Response> {
    let known = bytes.len();
    bytes.reserve(1024);
    match socket.try_read_buf(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(0) | Err(_) if bytes.is_empty() => return Ok(ControlFlow::Break(None)),
        Ok(0) => return Err(Response::text(400, "the request ended in the middle of its head")),
        Err(_) => return Ok(ControlFlow::Break(None)),
        Ok(_) => {}
    }
    // Without a line feed it cannot become whole. Parsing for each byte that dribbles in would cost
    // the square of the head.
    if known > 0 && bytes.len() <= MAX_HEAD && !bytes[known..].contains(&b'\n') {
        return Ok(ControlFlow::Continue(()));
    }
    match Head::parse(bytes)? {
        Some((head, length)) if length <= MAX_HEAD => {
            Ok(ControlFlow::Break(Some((head, bytes.split_off(length)))))
        }
        None if bytes.len() <= MAX_HEAD => Ok(ControlFlow::Continue(())),
        _ => Err(Response::text(431, &format!("the head of a request has at most {MAX_HEAD} bytes"))),
    }
}

/// Answers, and closes so that the answer arrives: a socket closed with unread bytes is reset.
async fn answer(mut socket: Socket, response: &Response) {
    let written = write_all(&mut socket, &response.to_bytes()).await;
    if written.is_ok() {
        let mut rest = [0; 1024];
        let drained = async { while matches!(socket.read(&mut rest).await, Ok(n) if n > 0) {} };
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}

async fn write_all(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let written = async {
        socket.write_all(bytes).await?;
        socket.shutdown().await
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, written)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
