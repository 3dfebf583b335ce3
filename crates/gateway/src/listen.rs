//! Listening and accepting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

/// Accepts until `stop`. Each connection needs a permit, which it holds until it is gone: at the
/// limit nobody is accepted, and the kernel's backlog and the load balancer send them elsewhere.
pub(crate) async fn accept(
    node: Arc<Node>,
    listener: TcpListener,
    permits: Arc<Semaphore>,
    unheard: Duration,
    stop: CancellationToken,
) {
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let Some((accepted, Ok(permit))) = stop.run_until_cancelled(next).await else { return };
        match accepted {
            Ok((socket, _)) => {
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

/// Small writes leave at once; a peer whose kernel is silent for `unheard` is given up.
fn prepare(socket: &TcpStream, unheard: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_user_timeout(Some(unheard))
}
