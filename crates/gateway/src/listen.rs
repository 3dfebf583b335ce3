//! Listening and accepting.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::front;
use crate::node::Node;

/// Connections the kernel finishes ahead of us; it cuts this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// After an error of `accept` such as EMFILE: a spin would only take the time that closing needs.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Accepts from all listeners until the node stops. Each connection needs a permit, which it holds
/// until it is gone: at the limit nobody is accepted, and the kernel's backlog and the load balancer
/// send them elsewhere. One task for all, so that no listener sits on a permit nobody asks it for.
pub(crate) async fn accept(
    node: Arc<Node>,
    listeners: Vec<TcpListener>,
    permits: Arc<Semaphore>,
    unheard: Duration,
) {
    let stop = node.accepting.clone();
    let mut turn = 0;
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            turn += 1; // no listener goes first always
            (poll_fn(|context| any(&listeners, turn, context)).await, permit)
        };
        let Some((accepted, Ok(permit))) = stop.run_until_cancelled(next).await else { return };
        match accepted {
            Ok(socket) => {
                if let Err(error) = prepare(&socket, unheard) {
                    tracing::debug!(%error, "an accepted socket was gone at once");
                    continue;
                }
                node.tasks.spawn(front::welcome(Arc::clone(&node), socket, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                tokio::time::sleep(PAUSE).await;
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

/// Small writes leave at once; a peer whose kernel is silent for `unheard` is given up.
fn prepare(socket: &TcpStream, unheard: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_user_timeout(Some(unheard))
}
