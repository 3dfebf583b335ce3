//! Questions to a node's admin port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tidegate_testkit::Node;

/// An answer: status and body.
pub(crate) fn ask(address: SocketAddr, request: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Ok((status, body))
}

/// `GET path`.
pub(crate) fn get(node: &Node, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ask(node.admin_addr(), &request).unwrap_or((0, String::new()))
}

/// `POST /api/v1/publish`.
pub(crate) fn publish(admin: SocketAddr, channel: &str, data: &str) -> (u16, String) {
    let body = format!(r#"{{"channel":"{channel}","data":{data}}}"#);
    let request = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(admin, &request).unwrap_or((0, String::new()))
}

/// The value of a metric's line; 0 without one.
pub(crate) fn metric(node: &Node, line: &str) -> u64 {
    let (_, text) = get(node, "/metrics");
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// How many clients a node has at a door.
pub(crate) fn connections(node: &Node, door: &str) -> u64 {
    metric(node, &format!("tidegate_connections{{door=\"{door}\"}}"))
}
