//! The floor: what the kernel alone costs to write one frame to each socket.
//!
//! One plain thread accepts, upgrades, then makes one frame for each event and writes it to each
//! socket with one blocking send. No runtime, no reading, nothing else: do not slow it down.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

#[cfg(feature = "uring")]
use anyhow::Context;
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(feature = "uring")]
use {
    std::os::fd::AsFd,
    tidegate_uring::{MOST, Parcel, Ring},
};

use crate::clock;
use crate::frame::{Opcode, write_server};
use crate::rate::Rate;
use crate::schedule::Schedule;
use crate::stamp::{NO_RUN, Stamp};
use crate::upgrade::Upgrade;

/// What the floor does.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of each payload.
    pub payload: usize,
    /// Events a second to each socket; `max`: the next as soon as the last is written.
    pub rate: Rate,
    /// It sends once so many are connected.
    pub connections: usize,
    /// How long it sends before it ends by itself; `None`: until ended.
    pub length: Option<Duration>,
    /// How bytes go to the kernel.
    pub way: Way,
}

/// How the floor writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One blocking send for each socket: what F means.
    Sends,
    /// One request for each socket, many of them in one call of `io_uring`.
    #[cfg(feature = "uring")]
    Ring,
}

/// Binds and says where on standard output, as the first line.
///
/// # Errors
/// When the address is taken.
#[expect(clippy::print_stdout, reason = "whoever started it waits for this line")]
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    Ok(listener)
}

/// Serves until the length is over.
///
/// # Errors
/// When the listener fails.
pub fn serve(listener: &TcpListener, settings: Settings) -> Result<()> {
    crate::files::raise_limit()?;
    let mut sockets = Vec::with_capacity(settings.connections);
    while sockets.len() < settings.connections {
        // A client that fails to upgrade is its own affair.
        sockets.extend(Upgrade::read(listener.accept()?.0).and_then(Upgrade::agree).ok());
    }
    listener.set_nonblocking(true)?;
    let length = settings.length.map_or(u64::MAX, clock::nanos);
    let schedule = match settings.rate {
        Rate::PerSecond(rate) => Some(Schedule::new(rate, length)),
        Rate::Max => None,
    };
    #[cfg(feature = "uring")]
    let mut ring = match settings.way {
        Way::Sends => None,
        Way::Ring => Some(Ring::new().context("io_uring")?),
    };
    let start = clock::now();
    let mut frame = Vec::new();
    let mut payload = Vec::new();
    for k in 0.. {
        let due = match schedule {
            Some(schedule) => match schedule.due(k) {
                Some(due) => start + due,
                None => break,
            },
            None if clock::now() - start < length => clock::now(),
            None => break,
        };
        accept_until(listener, due, &mut sockets)?;
        payload.clear();
        Stamp { run: NO_RUN, channel: 0, sequence: k + 1, due }.write(settings.payload, &mut payload);
        frame.clear();
        write_server(Opcode::Text, &payload, &mut frame);
        #[cfg(feature = "uring")]
        if let Some(ring) = &mut ring {
            submit(ring, &mut sockets, &frame);
            continue;
        }
        sockets.retain_mut(|socket: &mut TcpStream| socket.write_all(&frame).is_ok());
    }
    Ok(())
}

/// Offers the frame to all sockets, many in one call; what a full one did not take is written as without a ring.
#[cfg(feature = "uring")]
fn submit(ring: &mut Ring, sockets: &mut Vec<TcpStream>, frame: &[u8]) {
    let mut gone = Vec::new();
    for (first, some) in (0..).step_by(MOST).zip(sockets.chunks(MOST)) {
        let parcels: Vec<Parcel<'_>> =
            some.iter().map(|socket| Parcel { socket: socket.as_fd(), bytes: frame }).collect();
        for ((n, mut socket), answer) in (first..).zip(some).zip(ring.send(&parcels)) {
            let written = match answer {
                Ok(taken) if taken == frame.len() => continue,
                Ok(taken) => socket.write_all(&frame[taken..]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.write_all(frame),
                Err(error) => Err(error),
            };
            if written.is_err() {
                gone.push(n);
            }
        }
    }
    for n in gone.into_iter().rev() {
        sockets.remove(n);
    }
}

/// Lets late comers in until the next event is due; at full speed a single look.
fn accept_until(listener: &TcpListener, due: u64, sockets: &mut Vec<TcpStream>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => sockets.extend(Upgrade::read(stream).and_then(Upgrade::agree).ok()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = Duration::from_nanos(due.saturating_sub(clock::now()));
                if left.is_zero() {
                    return Ok(());
                }
                let left = Timespec::try_from(left)?;
                let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&left));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
