//! The server's side of a WebSocket upgrade on a blocking socket, for the floors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const LARGEST: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that asked to upgrade and waits for the answer.
#[derive(Debug)]
pub struct Upgrade {
    stream: TcpStream,
    /// What it asked for, with the query.
    pub target: String,
    accept: String,
}

impl Upgrade {
    /// Reads the request.
    ///
    /// # Errors
    /// When it does not come within 5 s or is no upgrade.
    pub fn read(mut stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 2048];
        loop {
            let read = stream.read(&mut chunk)?;
            ensure!(read > 0 && bytes.len() < LARGEST, "no upgrade request");
            bytes.extend_from_slice(&chunk[..read]);
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            if request.parse(&bytes)?.is_partial() {
                continue;
            }
            let target = request.path.context("no target")?.to_owned();
            let key =
                request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
            let accept = derive_accept_key(key.context("no Sec-WebSocket-Key")?.value);
            return Ok(Self { stream, target, accept });
        }
    }

    /// Answers and gives the open socket.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn agree(mut self) -> Result<TcpStream> {
        let accept = &self.accept;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.stream.write_all(answer.as_bytes())?;
        Ok(self.stream)
    }

    /// The first `channel` of the query.
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix("channel="))
    }
}
