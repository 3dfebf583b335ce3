//! A native client that only publishes: blocking, and it waits for each `ok`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::door::Door;
use crate::frame::{self, Opcode, write_client};
use crate::greeting;
use crate::http::{Head, host_of};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One such client.
#[derive(Debug)]
pub struct Speaker {
    stream: TcpStream,
    /// Read, not yet taken.
    buffer: Vec<u8>,
    id: u64,
}

impl Speaker {
    /// Connects to the native door of a gateway.
    ///
    /// # Errors
    /// When nobody listens there, or it refuses.
    pub fn connect(url: &str, token: Option<&str>) -> Result<Self> {
        let host = host_of(url, &["ws", "http"])?;
        let mut stream = TcpStream::connect(&host).with_context(|| format!("connecting to {url}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(Door::Native.request(&host, &[], token, None).as_bytes())?;
        let mut speaker = Self { stream, buffer: Vec::new(), id: 1 };
        let head = loop {
            if let Some(head) = Head::read(&speaker.buffer)? {
                break head;
            }
            speaker.read_more()?;
        };
        ensure!(head.status == 101, "a publishing client was refused with {}", head.status);
        speaker.buffer.drain(..head.length);
        let (connect, replies) = greeting::frames(Door::Native, &[], |_| None)?;
        speaker.stream.write_all(&connect)?;
        speaker.await_replies(replies)?;
        Ok(speaker)
    }

    /// Publishes these (channel name, payload) and waits until all are accepted.
    ///
    /// # Errors
    /// When one is refused or the connection is lost.
    pub fn publish<'a>(&mut self, events: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<()> {
        let mut out = Vec::new();
        let mut replies = 0;
        for (channel, payload) in events {
            self.id += 1;
            // A payload is a JSON string as it is.
            let head = format!(r#"{{"type":"publish","id":{},"channel":"{channel}","data":"#, self.id);
            write_client(Opcode::Text, &[head.as_bytes(), payload, b"}"].concat(), &mut out);
            replies += 1;
        }
        self.stream.write_all(&out)?;
        self.await_replies(replies)
    }

    fn await_replies(&mut self, mut replies: usize) -> Result<()> {
        loop {
            let mut used = 0;
            while let Some((frame, length)) = frame::read(&self.buffer[used..])? {
                used += length;
                match frame.opcode {
                    Opcode::Text | Opcode::Binary => {
                        let reply = greeting::read(Door::Native, frame.payload)?;
                        match reply.r#type.as_str() {
                            "ok" | "connected" => replies = replies.saturating_sub(1),
                            "error" => bail!("publish: {} ({})", reply.code, reply.message),
                            _ => {}
                        }
                    }
                    Opcode::Ping => {
                        let mut pong = Vec::new();
                        write_client(Opcode::Pong, frame.payload, &mut pong);
                        self.stream.write_all(&pong)?;
                    }
                    Opcode::Close => bail!("the gateway closed a publishing client"),
                    Opcode::Pong => {}
                }
            }
            self.buffer.drain(..used);
            if replies == 0 {
                return Ok(());
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let read = self.stream.read(&mut chunk)?;
        ensure!(read > 0, "the gateway closed the connection of a publishing client");
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(())
    }
}
