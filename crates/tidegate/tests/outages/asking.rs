//! Who goes on asking a node during an outage: a watcher of `/health/ready`, a backend that publishes over HTTP, and clients
//! that open, subscribe and publish. Each notes what it was answered, and after how long.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tidegate_testkit::Node;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::PATIENCE;
use crate::support::backend::Book;

/// One answer over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) asked: Instant,
    pub(crate) took: Duration,
    pub(crate) status: u16,
    /// Head and body.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn retry_after(&self) -> bool {
        self.text.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n")
    }
}

/// Sends a whole request and reads the answer to its end.
pub(crate) fn http(address: SocketAddr, request: &str) -> Answer {
    let asked = Instant::now();
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = ask().unwrap_or_else(|error| error.to_string());
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Answer { asked, took: asked.elapsed(), status, text }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// A thread that asks again and again; it ends with this value.
pub(crate) struct Asker<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<T>>>,
}

impl<T: Send + 'static> Asker<T> {
    fn start(every: Duration, mut ask: impl FnMut() -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut notes = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                notes.push(ask());
                std::thread::sleep(every);
            }
            notes
        });
        Self { stop, thread: Some(thread) }
    }

    /// Everything it noted.
    pub(crate) fn stop(mut self) -> Vec<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("it does not panic")
    }
}

impl<T> Drop for Asker<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks `/health/ready` a hundred times a second, and notes the place among all events after each answer.
pub(crate) fn watch_ready(node: &Node, book: &Book) -> Asker<(Answer, usize)> {
    let (admin, book) = (node.admin_addr(), Arc::clone(book));
    Asker::start(Duration::from_millis(10), move || {
        let answer = get(admin, "/health/ready");
        let place = book.lock().expect("whole").count();
        (answer, place)
    })
}

/// Publishes over HTTP into one channel, one after the other, and notes the place of each.
pub(crate) fn publish_http(node: &Node, channel: &str, book: &Book) -> Asker<(Answer, usize)> {
    let (admin, channel, book) = (node.admin_addr(), channel.to_owned(), Arc::clone(book));
    Asker::start(Duration::from_millis(30), move || {
        let (place, payload) = {
            let mut book = book.lock().expect("whole");
            let place = book.count();
            let payload = format!(r#"{{"channel":"{channel}","number":{place}}}"#);
            book.push(&channel, &payload);
            (place, payload)
        };
        let body = format!(r#"{{"channel":"{channel}","data":{payload}}}"#);
        let request = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        (http(admin, &request), place)
    })
}

/// A bare client that asks to open a door; a 101 or 200 would leave it waiting, and the test failing.
pub(crate) fn open_bare(address: SocketAddr, path: &str) -> Answer {
    let upgrade = match path.starts_with("/plain") {
        true => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        false => "",
    };
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n"))
}

/// A client over a bare WebSocket, which sees every frame.
pub(crate) struct Raw {
    socket: WebSocketStream<tokio::net::TcpStream>,
    id: u64,
}

impl Raw {
    /// A connection of the native door, connected.
    pub(crate) async fn native(node: &Node) -> Self {
        let mut raw = Self::open(node.public_addr(), "/ws").await;
        let (answer, _) = raw.ask(r#""type":"connect""#).await;
        assert_eq!(answer["type"], "connected", "{answer}");
        raw
    }

    pub(crate) async fn plain(node: &Node, channel: &str) -> Self {
        Self::open(node.public_addr(), &format!("/plain?channel={channel}")).await
    }

    async fn open(address: SocketAddr, path: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.expect("the node accepts");
        let (socket, _) = client_async(format!("ws://{address}{path}"), stream).await.expect("the door");
        Self { socket, id: 0 }
    }

    /// Sends a request of these fields, and returns the reply and how long it took.
    pub(crate) async fn ask(&mut self, fields: &str) -> (Value, Duration) {
        self.id += 1;
        let id = self.id;
        let since = Instant::now();
        self.say(&format!(r#"{{{fields},"id":{id}}}"#)).await;
        loop {
            let text = self.hear().await;
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            if frame["id"] == id {
                return (frame, since.elapsed());
            }
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the socket is open");
    }

    /// The next text.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something is heard");
            match message.expect("the socket stays open").expect("the socket stays open") {
                Message::Text(text) => return text.to_string(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }
}
