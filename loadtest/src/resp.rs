//! A Redis subscription on one blocking socket: SUBSCRIBE out, pushes in, nothing between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use anyhow::{Result, bail, ensure};

use crate::http::host_of;

/// One answer or push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push<'a> {
    /// An event.
    Message {
        /// The Redis channel.
        channel: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// A SUBSCRIBE was confirmed.
    Subscribed,
}

/// A connection to Redis that only subscribes.
#[derive(Debug)]
pub struct Subscription {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet taken.
    held: Range<usize>,
}

impl Subscription {
    /// Connects to `redis://host:port` (no password: this is for a Redis of the test's own).
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(url: &str) -> Result<Self> {
        let stream = TcpStream::connect(host_of(url, &["redis"])?)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024], held: 0..0 })
    }

    /// Asks for a channel; the confirmation comes as a push.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn subscribe(&mut self, channel: &str) -> Result<()> {
        let length = channel.len();
        self.stream.write_all(format!("*2\r\n$9\r\nSUBSCRIBE\r\n${length}\r\n{channel}\r\n").as_bytes())?;
        Ok(())
    }

    /// Waits for the next push.
    ///
    /// # Errors
    /// When the connection ends, or a push is larger than the buffer (256 KiB).
    pub fn push(&mut self) -> Result<Push<'_>> {
        loop {
            if let Some((parts, used)) = parse(&self.buffer[self.held.clone()])? {
                let from = self.held.start;
                self.held.start += used;
                let part = |range: &Range<usize>| &self.buffer[from + range.start..from + range.end];
                return Ok(match parts {
                    Parts::Message(channel, payload) => {
                        Push::Message { channel: part(&channel), payload: part(&payload) }
                    }
                    Parts::Subscribed => Push::Subscribed,
                });
            }
            if self.held.start > 0 {
                self.buffer.copy_within(self.held.clone(), 0);
                self.held = 0..self.held.len();
            }
            ensure!(self.held.end < self.buffer.len(), "a push larger than the buffer");
            let read = self.stream.read(&mut self.buffer[self.held.end..])?;
            ensure!(read > 0, "Redis closed the connection");
            self.held.end += read;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Parts {
    Message(Range<usize>, Range<usize>),
    Subscribed,
}

/// `*3 $7 message $n channel $n payload`, or `*3 $9 subscribe $n channel :count`.
fn parse(bytes: &[u8]) -> Result<Option<(Parts, usize)>> {
    let mut at = 0;
    match line(bytes, &mut at) {
        None => return Ok(None),
        Some((b'*', 3)) => {}
        Some(_) => bail!("not a push: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)])),
    }
    let Some(kind) = bulk(bytes, &mut at) else { return Ok(None) };
    let Some(channel) = bulk(bytes, &mut at) else { return Ok(None) };
    if &bytes[kind] == b"message" {
        return Ok(bulk(bytes, &mut at).map(|payload| (Parts::Message(channel, payload), at)));
    }
    Ok(line(bytes, &mut at).map(|_| (Parts::Subscribed, at)))
}

/// A line of a type byte and a number.
fn line(bytes: &[u8], at: &mut usize) -> Option<(u8, usize)> {
    let rest = bytes.get(*at..)?;
    let end = rest.iter().position(|&byte| byte == b'\r')?;
    if rest.len() < end + 2 {
        return None;
    }
    *at += end + 2;
    let number = rest.get(1..end)?.iter().fold(0_usize, |number, &digit| {
        number.saturating_mul(10).saturating_add(usize::from(digit.wrapping_sub(b'0') & 0xf))
    });
    Some((rest[0], number))
}

fn bulk(bytes: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let (_, length) = line(bytes, at)?;
    let range = *at..at.checked_add(length)?;
    *at = range.end.checked_add(2)?;
    (*at <= bytes.len()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$6\r\ntg:{a}\r\n$4\r\na\r\nb\r\n";
    const CONFIRMED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$6\r\ntg:{a}\r\n:1\r\n";

    #[test]
    fn pushes_are_read_one_after_the_other() {
        let both = [CONFIRMED, MESSAGE].concat();
        assert_eq!(parse(&both).unwrap(), Some((Parts::Subscribed, CONFIRMED.len())));
        let (parts, used) = parse(&both[CONFIRMED.len()..]).unwrap().unwrap();
        assert_eq!(used, MESSAGE.len());
        let Parts::Message(channel, payload) = parts else { panic!("{parts:?}") };
        assert_eq!((&MESSAGE[channel], &MESSAGE[payload]), (&b"tg:{a}"[..], &b"a\r\nb"[..]));
    }

    #[test]
    fn a_push_cut_anywhere_waits() {
        for whole in [MESSAGE, CONFIRMED] {
            for cut in 0..whole.len() {
                assert_eq!(parse(&whole[..cut]).unwrap(), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn an_error_is_told() {
        assert!(parse(b"-NOAUTH Authentication required.\r\n").unwrap_err().to_string().contains("NOAUTH"));
    }
}
