//! As much HTTP as the generator needs: read a response head, and ask a kept-open connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Longer heads and bodies are refused.
const LARGEST: usize = 64 * 1024;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Bytes up to and with the blank line.
    pub length: usize,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` when it is not all there yet.
    ///
    /// # Errors
    /// When it is no HTTP response or too long.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(bytes).context("not an HTTP response")?
        else {
            ensure!(bytes.len() < LARGEST, "the response head is too long");
            return Ok(None);
        };
        let headers = response.headers.iter();
        let headers = headers
            .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
        Ok(Some(Self { status: response.code.unwrap_or(0), length, headers: headers.collect() }))
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// One kept-open connection to an HTTP server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to `http://host:port`.
    ///
    /// # Errors
    /// When the URL is another kind or nobody listens.
    pub fn connect(url: &str) -> Result<Self> {
        let host = host_of(url, &["http"])?;
        let stream = TcpStream::connect(&host).with_context(|| format!("connecting to {url}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, host, buffer: Vec::new() })
    }

    /// Sends one request and returns the status and the body. The server must give a
    /// `Content-Length`.
    ///
    /// # Errors
    /// When the connection breaks, is silent, or the answer is not HTTP.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let host = &self.host;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request)?;
        self.buffer.clear();
        let head = loop {
            if let Some(head) = Head::read(&self.buffer)? {
                break head;
            }
            self.read_more()?;
        };
        let length = head.header("content-length").map_or(Ok(0), str::parse::<usize>)?;
        ensure!(length <= LARGEST, "an answer of {length} bytes");
        while self.buffer.len() < head.length + length {
            self.read_more()?;
        }
        Ok((head.status, self.buffer[head.length..head.length + length].to_vec()))
    }

    fn read_more(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let read = self.stream.read(&mut chunk)?;
        ensure!(read > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(())
    }
}

/// `host:port` of a URL of one of `schemes`, without its path.
///
/// # Errors
/// When the scheme is another one. TLS is not spoken.
pub fn host_of(url: &str, schemes: &[&str]) -> Result<String> {
    let (scheme, rest) = url.split_once("://").with_context(|| format!("{url} is no URL"))?;
    let spoken = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" and ");
    ensure!(
        !matches!(scheme, "wss" | "https" | "rediss"),
        "{url}: TLS comes with a later version; {spoken} works, straight to the server, behind what ends TLS"
    );
    ensure!(schemes.contains(&scheme), "{url}: only {spoken} works");
    let host = rest.split('/').next().unwrap_or(rest);
    Ok(if host.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:80")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00";
        assert_eq!(Head::read(&bytes[..30]).unwrap(), None);
        let head = Head::read(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.length), (101, bytes.len() - 2));
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert!(Head::read(b"SSH-2.0-x\r\n\r\n").is_err());
    }

    #[test]
    fn a_url_gives_its_host() {
        assert_eq!(host_of("ws://127.0.0.1:8080/ws", &["ws"]).unwrap(), "127.0.0.1:8080");
        assert_eq!(host_of("ws://[::1]:8080", &["ws"]).unwrap(), "[::1]:8080");
        assert_eq!(host_of("http://example.org", &["http"]).unwrap(), "example.org:80");
        assert!(host_of("wss://example.org", &["ws"]).is_err());
        assert!(host_of("example.org", &["ws"]).is_err());
    }
}
