//! A row of a table: bytes, and the number that must come back. The one checker of all tables.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

/// What is sent, and the status or code that answers it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: u16,
}

pub(crate) fn row(what: &'static str, bytes: impl Into<Vec<u8>>, expected: u16) -> Row {
    Row { what, bytes: bytes.into(), expected }
}

/// Sends bytes, and reads until the server closes. None if it never does.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut socket = TcpStream::connect(address).expect("the node listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // A server that refuses early may close while we write.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        _ => Some(answer),
    }
}

/// The status of an HTTP answer; 0 without one.
pub(crate) fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Sends each row and compares what `reads` finds in the answer. Returns a line for each that differs.
pub(crate) fn faults(address: SocketAddr, rows: &[Row], reads: fn(&[u8]) -> u16) -> Vec<String> {
    let fault = |row: &Row| {
        let answer = exchange(address, &row.bytes);
        let given = answer.as_deref().map(reads);
        (given != Some(row.expected)).then(|| {
            let answer = answer.map_or("no end".into(), |a| String::from_utf8_lossy(&a).into_owned());
            format!("{}: {given:?} instead of {}: {answer:?}", row.what, row.expected)
        })
    };
    rows.iter().filter_map(fault).collect()
}

/// The control of each table: the same rows with other answers expected. The checker must find all.
pub(crate) fn finds_all(address: SocketAddr, rows: &[Row], reads: fn(&[u8]) -> u16) -> bool {
    let wrong: Vec<Row> =
        rows.iter().take(5).map(|row| Row { expected: row.expected + 1, ..row.clone() }).collect();
    faults(address, &wrong, reads).len() == wrong.len()
}
