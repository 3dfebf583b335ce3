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
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// From accepting to the end of the request's head. Counts the whole, not each byte, and not what the peer waits for
/// a turn. The session's own 5 s begin at the same moment, so the two together are no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a refused peer may take to read why, before the socket is closed under it.
const LINGER: Duration = Duration::from_secs(1);

/// Handles an accepted socket until its door is open; the door then runs in a task of its own, whose
/// memory does not carry what the handshake needed.
pub(crate) async fn welcome(node: Arc<Node>, socket: Socket, turns: Arc<Turns>, mut arrival: Arrival) {
    // A node that stops waits for no head that is still to come.
    let Some(read) = node.accepting.run_until_cancelled(read_head(&socket, &turns, HANDSHAKE_TIMEOUT)).await
    else {
        let response = Response::text(503, "the node stops; come back, to any node").with("Retry-After", "1");
        return answer(socket, &response).await;
    };
    let read = match read {
        Ok(read) => read,
        Err(NoHead::Left) => return,
        Err(NoHead::Refused(refusal)) => return answer(socket, &refusal).await,
        Err(NoHead::Late) => {
            node.metrics.refused(RefusedFor::Timeout).inc();
            return answer(socket, &Response::text(408, "the request's head did not come within 5 s")).await;
        }
    };
    let Read { head, leftover, turn, waited } = read;
    arrival.at.monotonic_s += waited.as_secs();
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
    /// For how long it waited for turns.
    waited: Duration,
}

/// Why there is no head.
enum NoHead {
    /// The peer is gone.
    Left,
    /// The peer took too long.
    Late,
    Refused(Response),
}

/// Reads until the head is whole, and has a turn then.
async fn read_head<'a>(
    socket: &Socket,
    turns: &'a Turns,
    mut patience: Duration,
) -> Result<Read<'a>, NoHead> {
    let (mut bytes, mut waited) = (Vec::new(), Duration::ZERO);
    loop {
        let since = Instant::now();
        match tokio::time::timeout(patience, socket.readable()).await {
            Ok(Ok(())) => patience = patience.saturating_sub(since.elapsed()),
            Ok(Err(_)) => return Err(NoHead::Left),
            Err(_) => return Err(NoHead::Late),
        }
        let since = Instant::now();
        let turn = turns.take().await;
        waited += since.elapsed();
        let looked = look(socket, &mut bytes);
        if let Ok(Some((head, leftover))) = looked {
            return Ok(Read { head, leftover, turn, waited });
        }
        // A crowd of half heads, or of broken ones, is as large as one of whole heads.
        turn.end().await;
        looked?;
    }
}

/// Reads what there is. The head and what came behind it, once it is whole.
fn look(socket: &Socket, bytes: &mut Vec<u8>) -> Result<Option<(Head, Vec<u8>)>, NoHead> {
    let refused = |response| Err(NoHead::Refused(response));
    let known = bytes.len();
    bytes.reserve(1024);
    match socket.try_read_buf(bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            return Ok(None);
        }
        Ok(0) if !bytes.is_empty() => {
            return refused(Response::text(400, "the request ended in the middle of its head"));
        }
        Ok(0) | Err(_) => return Err(NoHead::Left),
        Ok(_) => {}
    }
    // Without a line feed it cannot become whole. Parsing for each byte that dribbles in would cost
    // the square of the head.
    if known > 0 && bytes.len() <= MAX_HEAD && !bytes[known..].contains(&b'\n') {
        return Ok(None);
    }
    match Head::parse(bytes).map_err(NoHead::Refused)? {
        Some((head, length)) if length <= MAX_HEAD => Ok(Some((head, bytes.split_off(length)))),
        None if bytes.len() <= MAX_HEAD => Ok(None),
        _ => refused(Response::text(431, &format!("the head of a request has at most {MAX_HEAD} bytes"))),
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
