//! A TCP proxy that can fall silent without closing anything, as a cut network does.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy to one server on loopback; it ends with this value.
pub(crate) struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Nothing is forwarded.
    is_silent: bool,
    /// Connections with lower numbers are never forwarded again.
    oldest: u64,
    /// Connections accepted.
    accepted: u64,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (state, _) = watch::channel(State::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, state.clone()));
        Self { port, state, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on nothing comes through; sockets stay open.
    pub(crate) fn fall_silent(&self) {
        self.state.send_modify(|state| state.is_silent = true);
    }

    /// All goes on, also what was held back.
    pub(crate) fn speak(&self) {
        self.state.send_modify(|state| state.is_silent = false);
    }

    /// All goes on, but for connections that are there: they stay silent for ever.
    pub(crate) fn speak_to_new(&self) {
        self.state.send_modify(|state| (state.is_silent, state.oldest) = (false, state.accepted));
    }
}

async fn accept(listener: TcpListener, server: u16, state: watch::Sender<State>) {
    let mut pumps = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let number = state.borrow().accepted;
        state.send_modify(|state| state.accepted += 1);
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { continue };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        pumps.spawn(pump(from_client, to_server, number, state.subscribe()));
        pumps.spawn(pump(from_server, to_client, number, state.subscribe()));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if state.wait_for(|state| !state.is_silent && number >= state.oldest).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
