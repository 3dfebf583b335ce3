//! Connections that say something once they are in, and wait for answers: enough for rows 8 and 10.
//!
//! Frames come in whole and leave to the caller, who says when a visitor is done. All visitors stay
//! open until dropped. They are here for seconds: pings are not answered.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::door::KEY;
use crate::frame::{self, Opcode};
use crate::http::{Head, host_of};

/// Visitors that may be on their way at once: well below any listen backlog.
const OPENING: usize = 128;
const SCRATCH: usize = 64 * 1024;
const TICK: Duration = Duration::from_millis(50);

/// What one visitor says.
#[derive(Clone, Debug)]
pub struct Speech {
    /// The HTTP request.
    pub request: Vec<u8>,
    /// Frames to send after the upgrade.
    pub frames: Vec<u8>,
}

impl Speech {
    /// What is said at `url`, at this path, with this subprotocol if any, and then these frames.
    #[must_use]
    pub fn at(url: &str, path: &str, protocol: Option<&str>, frames: Vec<u8>) -> Self {
        let host = url.trim_start_matches("ws://");
        let protocol =
            protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{protocol}\r\n"
        );
        Self { request: request.into_bytes(), frames }
    }
}

/// What a visitor does after a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Waits for more.
    Wait,
    /// Sends these frames, and waits.
    Say(Vec<u8>),
    /// It has all that it came for.
    Done,
}

struct Visitor {
    stream: TcpStream,
    /// What has not been written yet.
    out: Vec<u8>,
    frames: Vec<u8>,
    carry: Vec<u8>,
    connected: bool,
    upgraded: bool,
    done: bool,
}

/// Open connections. Dropping closes them.
pub struct Visitors {
    poll: Poll,
    visitors: Vec<Visitor>,
}

impl Visitors {
    /// Lets `count` visitors in at `url`. `speech` says what each says; `hear` is given each of
    /// its messages and says what comes next. Returns when all are done.
    ///
    /// # Errors
    /// When one is refused or closed, or they are not done within `patience`.
    pub fn send(
        url: &str,
        count: u32,
        patience: Duration,
        speech: impl Fn(u32) -> Speech,
        mut hear: impl FnMut(u32, &[u8]) -> Result<Next>,
    ) -> Result<Self> {
        crate::files::check_room(count as usize)?;
        let host = host_of(url, &["ws"])?;
        let address = host.to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
        let mut all = Self { poll: Poll::new()?, visitors: Vec::with_capacity(count as usize) };
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; SCRATCH];
        let deadline = Instant::now() + patience;
        let (mut next, mut done) = (0, 0);
        while done < count {
            while next < count && ((next - done) as usize) < OPENING {
                all.open(address, speech(next))?;
                next += 1;
            }
            ensure!(Instant::now() < deadline, "only {done} of {count} were done in time");
            match all.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let number = event.token().0;
                let visitor = &mut all.visitors[number];
                let was_done = visitor.done;
                visitor.write()?;
                let number = u32::try_from(number)?;
                visitor.read(&mut scratch, |message| hear(number, message))?;
                done += u32::from(visitor.done && !was_done);
            }
        }
        Ok(all)
    }

    fn open(&mut self, address: SocketAddr, speech: Speech) -> Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let token = Token(self.visitors.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.visitors.push(Visitor {
            stream,
            out: speech.request,
            frames: speech.frames,
            carry: Vec::new(),
            connected: false,
            upgraded: false,
            done: false,
        });
        Ok(())
    }
}

impl Visitor {
    /// Writes what waits, as far as the socket takes it; readiness is edge-triggered.
    fn write(&mut self) -> Result<()> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error).context("connecting");
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.stream.set_nodelay(true)?;
            self.connected = true;
        }
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        Ok(())
    }

    fn read(&mut self, scratch: &mut [u8], mut hear: impl FnMut(&[u8]) -> Result<Next>) -> Result<()> {
        while self.connected {
            match self.stream.read(scratch) {
                Ok(0) => bail!("a connection was closed"),
                Ok(read) => self.carry.extend_from_slice(&scratch[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading"),
            }
        }
        let held = std::mem::take(&mut self.carry);
        let mut used = 0;
        if !self.upgraded {
            let Some(head) = Head::read(&held)? else {
                self.carry = held;
                return Ok(());
            };
            ensure!(head.status == 101, "refused with {}", head.status);
            used = head.length;
            self.upgraded = true;
            self.out = std::mem::take(&mut self.frames);
            self.write()?;
        }
        while let Some((frame, length)) = frame::read(&held[used..])? {
            used += length;
            match frame.opcode {
                Opcode::Ping | Opcode::Pong => {}
                Opcode::Close => {
                    bail!("closed: {:?}", frame.payload.first_chunk().map(|&code| u16::from_be_bytes(code)))
                }
                Opcode::Text | Opcode::Binary => match hear(frame.payload)? {
                    Next::Wait => {}
                    Next::Say(frames) => {
                        self.out.extend(frames);
                        self.write()?;
                    }
                    Next::Done => self.done = true,
                },
            }
        }
        if used < held.len() {
            self.carry = held[used..].to_vec();
        }
        Ok(())
    }
}
