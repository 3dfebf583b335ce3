//! One client connection: a socket that opens by its door, then takes events.
//!
//! Readiness and bytes come in from the receiver; events leave to the ear, pings are answered on
//! the spot. It holds no buffer while frames arrive whole. It does not know which thread reads it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::door::Door;
use crate::frame::{self, Frame, Opcode};
use crate::greeting::{self, Heard};
use crate::http::Head;
use crate::scenario::Scenario;
use crate::seat::Seat;
use crate::socket_io;
use crate::sse;
use crate::stamp::Stamp;
use crate::tally::Ear;

/// The receive buffer of who reads slowly: small, so that the gateway feels it soon.
const SLOW_BUFFER: usize = 4 * 1024;

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TCP.
    Connecting,
    /// The response head is awaited.
    Head,
    /// So many replies are awaited.
    Greeting(usize),
    /// Every subscription is confirmed.
    Open,
    /// It was open, and leaves its channels: so many replies are awaited.
    Leaving(usize),
    /// It has left them, and joins others: so many replies are awaited.
    Joining(usize),
    /// Ended by the server, and why.
    Ended(String),
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// The socket, for registering.
    pub stream: TcpStream,
    phase: Phase,
    door: Door,
    /// What is sent at the next step of opening.
    request: Vec<u8>,
    /// What is sent at the step after that, or when old channels are left; and how many replies it has.
    greeting: (Vec<u8>, usize),
    /// The number of the next request.
    id: u32,
    /// The start of a frame whose rest has not come: empty between reads, almost always.
    carry: Vec<u8>,
    hint: usize,
}

impl Connection {
    /// Starts to connect a client of the scenario, from where it was.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn start(scenario: &Scenario, seat: &Seat, address: SocketAddr, host: &str) -> Result<Self> {
        let door = scenario.door_of(seat.number);
        let names = seat.names(scenario);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let places = seat.places.as_ref();
        let since = places.and_then(crate::places::Places::last_id);
        Ok(Self {
            stream: connect(scenario, seat, address)?,
            phase: Phase::Connecting,
            door,
            request: door.request(host, &names, scenario.token.as_deref(), since).into_bytes(),
            greeting: greeting::frames(door, &names, |name| places?.since(name))?,
            id: u32::try_from(names.len()).unwrap_or(0).saturating_add(2),
            carry: Vec::new(),
            hint: 0,
        })
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The socket can be written: sends the request once TCP is through.
    ///
    /// # Errors
    /// When the connection was refused.
    pub fn writable(&mut self) -> Result<()> {
        if self.phase != Phase::Connecting {
            return Ok(());
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error).context("connecting");
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.stream.set_nodelay(true)?;
        let request = std::mem::take(&mut self.request);
        self.stream.write_all(&request).context("sending the request")?;
        self.phase = Phase::Head;
        Ok(())
    }

    /// Reads what is there into `scratch` and takes it; `to_end`: until the end of the stream.
    /// Each read has its own time.
    ///
    /// # Errors
    /// When the server breaks the protocol or refuses.
    pub fn readable(
        &mut self,
        seat: &mut Seat,
        scratch: &mut [u8],
        to_end: bool,
        ear: &mut Ear<'_>,
    ) -> Result<()> {
        while !matches!(self.phase, Phase::Connecting | Phase::Ended(_)) {
            let read = match self.stream.read(scratch) {
                Ok(0) => {
                    self.phase = Phase::Ended("end of stream".to_owned());
                    break;
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.phase = Phase::Ended(error.kind().to_string());
                    break;
                }
            };
            ear.now = crate::clock::now();
            self.feed(&scratch[..read], seat, ear)?;
            // A short read has emptied the socket: epoll will tell of more, a second look costs a call.
            let sipped = seat.sips && self.phase == Phase::Open;
            if sipped || (read < scratch.len() && !to_end) {
                break;
            }
        }
        Ok(())
    }

    /// Leaves these channels for those, where the door has words for that. Returns whether it has.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn move_on(&mut self, leave: &[String], join: &[String]) -> Result<bool> {
        if !self.door.is_native() || self.phase != Phase::Open {
            return Ok(false);
        }
        let leaving = greeting::about(self.door, "unsubscribe", leave, &mut self.id)?;
        self.greeting = (greeting::about(self.door, "subscribe", join, &mut self.id)?, join.len());
        self.stream.write_all(&leaving).context("leaving channels")?;
        self.phase = Phase::Leaving(leave.len());
        Ok(true)
    }

    /// Whether it goes from channel to channel.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Leaving(_) | Phase::Joining(_))
    }

    /// Says that it leaves. Whatever becomes of that: the socket is closed next.
    pub fn leave(&mut self) {
        if self.door.is_websocket() {
            let mut close = Vec::with_capacity(8);
            frame::write_client(Opcode::Close, &1000_u16.to_be_bytes(), &mut close);
            let _ = self.stream.write(&close);
        }
    }

    fn feed(&mut self, bytes: &[u8], seat: &mut Seat, ear: &mut Ear<'_>) -> Result<()> {
        if self.carry.is_empty() {
            let used = self.consume(bytes, seat, ear)?;
            self.carry.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.carry);
        held.extend_from_slice(bytes);
        let used = self.consume(&held, seat, ear)?;
        if used < held.len() {
            held.drain(..used);
            self.carry = held;
        }
        Ok(())
    }

    /// Takes what is whole and returns how much that was.
    fn consume(&mut self, bytes: &[u8], seat: &mut Seat, ear: &mut Ear<'_>) -> Result<usize> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.phase {
                Phase::Connecting | Phase::Ended(_) => return Ok(bytes.len()),
                Phase::Head => {
                    let Some(head) = Head::read(rest)? else { return Ok(used) };
                    used += head.length;
                    self.let_in(&head, &bytes[used..])?;
                }
                Phase::Open if self.door == Door::Sse => {
                    let Some((block, length)) = sse::read(rest) else { return Ok(used) };
                    self.note(block, seat, ear);
                    ear.hear(block, &mut self.hint, &mut seat.checker);
                    used += length;
                }
                Phase::Greeting(_) | Phase::Open | Phase::Leaving(_) | Phase::Joining(_) => {
                    let Some((frame, length)) = frame::read(rest)? else { return Ok(used) };
                    used += length;
                    self.take(frame, seat, ear)?;
                }
            }
        }
    }

    fn let_in(&mut self, head: &Head, body: &[u8]) -> Result<()> {
        let awaited = if self.door.is_websocket() { 101 } else { 200 };
        if head.status != awaited {
            bail!("refused with {}: {}", head.status, String::from_utf8_lossy(&body[..body.len().min(200)]));
        }
        if self.door.is_websocket() {
            let accept = head.header("sec-websocket-accept");
            ensure!(accept == Some(accept_value()), "wrong Sec-WebSocket-Accept");
        } else {
            ensure!(head.header("transfer-encoding").is_none(), "a chunked stream: ask a node, not a proxy");
        }
        let (frames, replies) = std::mem::take(&mut self.greeting);
        self.stream.write_all(&frames).context("sending the greeting")?;
        self.phase = if replies == 0 { Phase::Open } else { Phase::Greeting(replies) };
        Ok(())
    }

    fn note(&self, frame: &[u8], seat: &mut Seat, ear: &mut Ear<'_>) {
        if let Some(places) = &mut seat.places {
            ear.tally.unrecovered += u64::from(places.note(self.door, frame));
        }
    }

    fn take(&mut self, frame: Frame<'_>, seat: &mut Seat, ear: &mut Ear<'_>) -> Result<()> {
        match frame.opcode {
            Opcode::Pong => {}
            Opcode::Ping => {
                let mut pong = Vec::with_capacity(131);
                frame::write_client(Opcode::Pong, frame.payload, &mut pong);
                // Nothing else is sent, so it has room; if not, the server has its own deadline.
                let _ = self.stream.write(&pong);
                ear.tally.pings += 1;
            }
            Opcode::Close => {
                let code = frame.payload.first_chunk().map_or(1005, |&code| u16::from_be_bytes(code));
                self.phase = Phase::Ended(format!("close {code}"));
            }
            Opcode::Text | Opcode::Binary => {
                if let Phase::Greeting(_) | Phase::Leaving(_) | Phase::Joining(_) = self.phase
                    && greeting::hear(self.door, frame.payload)? == Heard::Agreed
                {
                    self.agreed(seat)?;
                    self.note(frame.payload, seat, ear);
                    // Only a reply to who came back holds events.
                    if seat.places.is_some() && Stamp::find(frame.payload, 0, 0).is_some() {
                        ear.hear(frame.payload, &mut self.hint, &mut seat.checker);
                    }
                    return Ok(());
                }
                if self.door == Door::SocketIo && frame.payload == socket_io::PING {
                    let mut pong = Vec::with_capacity(8);
                    frame::write_client(Opcode::Text, socket_io::PONG, &mut pong);
                    let _ = self.stream.write(&pong);
                    return Ok(());
                }
                self.note(frame.payload, seat, ear);
                ear.hear(frame.payload, &mut self.hint, &mut seat.checker);
            }
        }
        Ok(())
    }

    /// One more reply of those that are awaited.
    fn agreed(&mut self, seat: &mut Seat) -> Result<()> {
        self.phase = match self.phase {
            Phase::Greeting(replies) if replies > 1 => Phase::Greeting(replies - 1),
            Phase::Leaving(replies) if replies > 1 => Phase::Leaving(replies - 1),
            Phase::Joining(replies) if replies > 1 => Phase::Joining(replies - 1),
            Phase::Leaving(_) => {
                // The next frame may be an event that should not come any more.
                seat.part();
                let (frames, replies) = std::mem::take(&mut self.greeting);
                self.stream.write_all(&frames).context("joining channels")?;
                Phase::Joining(replies)
            }
            _ => Phase::Open,
        };
        Ok(())
    }
}

/// A socket on its way: from one of the scenario's addresses, if it has any.
fn connect(scenario: &Scenario, seat: &Seat, address: SocketAddr) -> Result<TcpStream> {
    if scenario.sources.is_empty() && !seat.slow {
        return TcpStream::connect(address).context("connecting");
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if seat.slow {
        socket.set_recv_buffer_size(SLOW_BUFFER)?;
    }
    if let Some(&source) = scenario.sources.get(seat.number as usize % scenario.sources.len().max(1)) {
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .with_context(|| format!("sources: {source} is no address of this machine"))?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            Err(error).context("connecting")
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// All connections send the same key.
fn accept_value() -> &'static str {
    use std::sync::OnceLock;

    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    static VALUE: OnceLock<String> = OnceLock::new();
    VALUE.get_or_init(|| derive_accept_key(crate::door::KEY.as_bytes()))
}
