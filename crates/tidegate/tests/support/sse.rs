//! A reader of Server-Sent Events, over hyper so that a proxy may send them in chunks.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One open stream of events.
pub(crate) struct Sse {
    body: Incoming,
    connection: JoinHandle<()>,
    text: String,
}

impl Sse {
    /// Opens it; none when it is refused.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(async move {
            let _ = connection.await; // its end shows in the body
        });
        let request = Request::get(format!("/sse?{query}")).header("host", address.to_string());
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = sender.send_request(request).await.ok()?;
        (response.status() == 200).then(|| Self {
            body: response.into_body(),
            connection,
            text: String::new(),
        })
    }

    /// The `data` of the next event; none at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                if !data.is_empty() {
                    return Some(data.join("\n"));
                }
            }
            let frame = self.body.frame().await?.ok()?;
            let data = frame.into_data().ok()?;
            // Payloads of these tests are ASCII, so no character is cut in two.
            self.text.push_str(std::str::from_utf8(&data).expect("ASCII"));
        }
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
