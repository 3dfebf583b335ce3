//! A WebSocket client that can be wrong: frames as they are asked for, each byte its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

const KEY: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request to upgrade, with more headers.
pub(crate) fn upgrade(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{KEY}{headers}\r\n").into_bytes()
}

/// A masked frame; the mask is zeros, so the payload is readable.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = match payload.len() {
        n @ 0..=125 => vec![0x80 | n as u8],
        n @ 126..=0xffff => [&[0xfe][..], &(n as u16).to_be_bytes()].concat(),
        n => [&[0xff][..], &(n as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &head, &[0; 4], payload].concat()
}

/// A frame with any first byte, its length written in `bytes` bytes (2 or 8).
pub(crate) fn declared(first: u8, bytes: usize, length: u64, payload: &[u8]) -> Vec<u8> {
    let kind = if bytes == 2 { 0xfe } else { 0xff };
    [&[first, kind][..], &length.to_be_bytes()[8 - bytes..], &[0; 4], payload].concat()
}

/// First byte and payload of the frame that `bytes` start with, and where it ends.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (header, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    Some((bytes[0], bytes.get(header..header + length)?, header + length))
}

/// An open WebSocket.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Connects and upgrades.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let mut socket = Self { stream, buffer: Vec::new() };
        socket.send(&upgrade(path, headers));
        let end = loop {
            match socket.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(socket.fill(), "{:?}", String::from_utf8_lossy(&socket.buffer)),
            }
        };
        assert!(socket.buffer.starts_with(b"HTTP/1.1 101"), "{:?}", String::from_utf8_lossy(&socket.buffer));
        socket.buffer.drain(..end);
        socket
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // Who was closed meanwhile finds out by reading.
        let _ = self.stream.write_all(bytes);
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = self.stream.read(&mut piece).expect("something within the patience");
        self.buffer.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// First byte and payload of the next frame; none at the end.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, end)) = first_frame(&self.buffer) {
                let frame = (first, payload.to_vec());
                self.buffer.drain(..end);
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The code of the close that comes, whatever comes before it.
    pub(crate) fn closed(&mut self) -> u16 {
        while let Some((first, payload)) = self.next() {
            if first == 0x88 {
                return payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
            }
        }
        0
    }
}
