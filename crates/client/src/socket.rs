//! One WebSocket to the native door: dialing, writing what waits, reading when wanted.
//!
//! Whole messages come out; pings are answered underneath. It must not know what they mean. wss://
//! will be one more stream type here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, StatusCode, Uri};
use tidegate_protocol::Codec;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::link::Cut;

/// Largest message taken; above, the connection ends with 1009. An event may have
/// `limits.event` (256 KiB by default), more in base64.
const LARGEST: usize = 16 << 20;

/// What a socket came up with.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A text or binary message.
    Message(Bytes),
    /// A ping or pong.
    Sign,
    /// The end; the socket is of no more use.
    Cut(Cut),
}

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    text: bool,
    /// What waits to be written. Bounded by the link: 256 requests, each below `limits.message`.
    waiting: VecDeque<Message>,
    unflushed: bool,
}

/// Checks a URL: `ws://host[:port]/path`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_url(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match uri.scheme_str() {
        Some("ws") => {}
        Some("wss") => return Err("wss:// is not supported yet; let a proxy speak TLS".into()),
        Some(other) => return Err(format!("it starts with {other}://, not with ws://")),
        None => return Err("it does not start with ws://".into()),
    }
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or("it names no host")?;
    // A port that is none reads like no port at all.
    let port = authority.as_str().rsplit('@').next().and_then(|rest| rest.strip_prefix(authority.host()));
    match port {
        Some("") => Ok(uri),
        _ if authority.port_u16().is_some() => Ok(uri),
        _ => Err("it names no port from 1 to 65535".into()),
    }
}

/// Dials and upgrades. Whoever drops the future gives up.
///
/// # Errors
/// How it failed; a refusal that will not change is final.
pub(crate) async fn dial(url: Uri, codec: Codec) -> Result<Box<Socket>, Cut> {
    let gone = |reason: String| Cut::new(None, reason);
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80)));
    let stream = stream.await.map_err(|error| gone(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| gone(error.to_string()))?;
    let mut request: Request = url.into_client_request().map_err(|error| gone(error.to_string()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(codec.subprotocol()));
    // The default read buffer of 128 KiB is zeroed at every read and kept for life.
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, _)) => {
            Ok(Box::new(Socket { stream, text: codec.is_text(), waiting: VecDeque::new(), unflushed: false }))
        }
        Err(Error::Http(response)) => Err(refused(response.status())),
        Err(error) => Err(gone(format!("the upgrade failed: {error}"))),
    }
}

fn refused(status: StatusCode) -> Cut {
    let never = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    Cut {
        code: Some(status.as_u16()),
        reason: format!("the server answered {status}"),
        never: never.contains(&status) || status == StatusCode::UPGRADE_REQUIRED,
    }
}

impl Socket {
    /// Appends a message; [`Socket::next`] writes it.
    pub(crate) fn send(&mut self, bytes: Bytes) {
        let message = match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) if self.text => Message::Text(text),
            _ => Message::Binary(bytes),
        };
        self.waiting.push_back(message);
    }

    /// Whether everything is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.unflushed
    }

    /// Writes what waits and, if `reading`, reads the next message. Safe to cancel.
    pub(crate) async fn next(&mut self, reading: bool) -> Heard {
        poll_fn(|cx| self.poll(reading, cx)).await
    }

    /// Says goodbye and waits for the answer. Whoever drops the future does not.
    pub(crate) async fn close(mut self, code: u16, reason: String) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.waiting.push_back(Message::Close(Some(frame)));
        while !matches!(self.next(true).await, Heard::Cut(_)) {}
    }

    fn poll(&mut self, reading: bool, cx: &mut Context<'_>) -> Poll<Heard> {
        if self.write(cx).is_err() {
            // What the server said before it went, above all its close code, is still to be read.
            self.waiting.clear();
            self.unflushed = false;
        }
        if !reading {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_next(cx).map(|read| match read {
            Some(Ok(Message::Text(text))) => Heard::Message(text.into()),
            Some(Ok(Message::Binary(bytes))) => Heard::Message(bytes),
            Some(Ok(Message::Close(frame))) => Heard::Cut(closed(frame)),
            Some(Ok(_)) => Heard::Sign,
            Some(Err(error)) => Heard::Cut(cut(error)),
            None => Heard::Cut(closed(None)),
        })
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.waiting.is_empty() {
            match stream.as_mut().poll_ready(cx)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => {}
            }
            if let Some(message) = self.waiting.pop_front() {
                self.unflushed = true;
                stream.as_mut().start_send(message)?;
            }
        }
        if self.unflushed && stream.poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }
}

fn closed(frame: Option<CloseFrame>) -> Cut {
    match frame {
        Some(frame) if frame.reason.is_empty() => Cut::new(Some(frame.code.into()), "the server closed"),
        Some(frame) => Cut::new(Some(frame.code.into()), frame.reason.as_str()),
        None => Cut::new(None, "the connection ended"),
    }
}

fn cut(error: Error) -> Cut {
    Cut::new(None, error.to_string())
}
