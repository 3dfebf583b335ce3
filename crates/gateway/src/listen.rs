//! Listening and accepting.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::front::{self, Turns};
use crate::node::{Arrival, Node};
use crate::refusing::{Refusing, Room};

/// Connections the kernel finishes ahead of us; it cuts this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Bytes that the kernel takes of a connection beyond what it has sent already. It would take up to 4 MiB
/// (`net.ipv4.tcp_wmem`) of each peer that stops reading, and call none of it progress for as long.
const UNSENT: u32 = 64 << 10;

/// Listens at `address`. A node that is restarted at once gets its port, although connections of
/// its former self may linger in TIME_WAIT.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // 127.0.0.1 and [::1] on one port are two listeners
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether an error of [`bind`] says that the machine lacks the address family.
pub(crate) fn lacks_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT, and EADDRNOTAVAIL for [::1] where IPv6 is switched off.
    matches!(error.raw_os_error(), Some(97 | 99))
}

/// Accepts from all listeners until the node stops. Each connection needs a permit, which it holds until
/// it is gone. While there is none, who comes is told to try again, at a pace: neither a client nor a
/// load balancer should wait in the kernel's backlog for what may not come. One task for all listeners.
pub(crate) async fn accept(
    node: Arc<Node>,
    listeners: Vec<TcpListener>,
    permits: Arc<Semaphore>,
    turns: Arc<Turns>,
    unheard: Duration,
) {
    let stop = node.accepting.clone();
    let mut refusing = Refusing::new(Arc::clone(&node));
    let mut turn = 0;
    loop {
        turn += 1; // no listener goes first always
        let next = poll_fn(|context| any(&listeners, turn, context));
        let Some(accepted) = stop.run_until_cancelled(next).await else { return };
        match accepted {
            Ok(socket) => {
                refusing.accepted();
                if let Err(error) = prepare(&socket, unheard) {
                    tracing::debug!(%error, "an accepted socket was gone at once");
                    continue;
                }
                match stop.run_until_cancelled(refusing.room(&permits)).await {
                    Some(Room::Seat(permit)) => {
                        let arrival = Arrival { permit, at: node.clock.now() };
                        node.tasks.spawn(front::welcome(
                            Arc::clone(&node),
                            socket,
                            Arc::clone(&turns),
                            arrival,
                        ));
                    }
                    Some(Room::Slot(slot)) => refusing.refuse(socket, slot),
                    None => return,
                }
            }
            Err(error) => {
                let pause = refusing.cannot_accept(&error, || {
                    let mut context = Context::from_waker(Waker::noop());
                    any(&listeners, turn, &mut context)
                });
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The next connection of any listener, asked from number `first` on.
fn any(listeners: &[TcpListener], first: usize, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
    for at in 0..listeners.len() {
        let listener = &listeners[(first + at) % listeners.len()];
        if let Poll::Ready(accepted) = listener.poll_accept(context) {
            return Poll::Ready(accepted.map(|(socket, _)| socket));
        }
    }
    Poll::Pending
}

/// Small writes leave at once; a peer whose kernel takes nothing of what was sent for `unheard` is given up;
/// what the kernel has not sent stays small, so that what waits for a slow peer waits in its outbox.
fn prepare(socket: &TcpStream, unheard: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_user_timeout(Some(unheard))
}
