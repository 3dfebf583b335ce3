//! Asking a server on loopback whether it is there, without an HTTP or Redis client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

/// How a part shows that it is ready.
pub(super) enum Probe {
    /// `PING` is answered.
    Redis(u16),
    /// This path answers 200.
    Http(u16, &'static str),
}

impl Probe {
    pub(super) fn ready(&self) -> bool {
        match self {
            Self::Redis(port) => ask(*port, "PING\r\n").is_some_and(|answer| answer.starts_with("+PONG")),
            Self::Http(port, path) => {
                let request =
                    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
                ask(*port, &request).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
            }
        }
    }
}

/// The first bytes of an answer.
fn ask(port: u16, request: &str) -> Option<String> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 12];
    let mut read = 0;
    while read < answer.len() {
        match stream.read(&mut answer[read..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
        // Redis's answer is shorter than that.
        if answer[..read].ends_with(b"\r\n") {
            break;
        }
    }
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}
