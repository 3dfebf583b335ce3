//! Peers as bare as sockets: they read, stand still, dribble, or vanish without a word.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What a WebSocket handshake needs beside its path and host.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client of the plain door.
pub(crate) type Plain = WebSocketStream<TcpStream>;

/// Dials with a receive buffer so small that the kernel hides little of a peer that does not read.
pub(crate) async fn dial_small(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(address).await
}

/// Opens the plain door on these channels.
pub(crate) async fn plain(stream: TcpStream, channels: &[String]) -> Option<Plain> {
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let query = channels.iter().map(|channel| format!("channel={channel}")).collect::<Vec<_>>().join("&");
    let url = format!("ws://{}/plain?{query}", stream.peer_addr().ok()?);
    client_async_with_config(url, stream, Some(config)).await.ok().map(|(stream, _)| stream)
}

/// Reads to the end: how it was closed, if anybody said so.
pub(crate) async fn last_words(stream: &mut Plain) -> Option<u16> {
    let mut code = None;
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(Some(frame)) = message {
            code = Some(frame.code.into());
        }
    }
    code
}

/// The kernel of this peer drops whatever comes from now on, and answers nothing: to the other side it is a machine
/// that lost its power. It needs no rights, unlike a firewall.
pub(crate) fn vanish(stream: &TcpStream) {
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K: the length to keep, 0
    let filter = [SockFilter::new(RETURN, 0, 0, 0)];
    SockRef::from(stream).attach_filter(&filter).expect("a filter");
}

/// Sends `bytes` one by one, `pause` between them, until the other side closes. How long it stood for that, since it
/// dialled, and what was said.
pub(crate) async fn dribble(address: SocketAddr, bytes: &[u8], pause: Duration) -> (Duration, String) {
    let start = Instant::now();
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut from, mut to) = stream.into_split();
    let own = bytes.to_vec();
    let writing = tokio::spawn(async move {
        for byte in own {
            if to.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await; // it stays, and is silent
    });
    let mut said = Vec::new();
    let _ = from.read_to_end(&mut said).await; // a reset is an end too
    writing.abort();
    (start.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// A server whose clock begins anew with each byte: what a gateway without one deadline for the whole would be.
pub(crate) async fn naive_server(patience: Duration) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepting = tokio::spawn(async move {
        let mut peers = tokio::task::JoinSet::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            peers.spawn(async move {
                let mut byte = [0; 1024];
                while matches!(tokio::time::timeout(patience, peer.read(&mut byte)).await, Ok(Ok(1..))) {}
            });
        }
    });
    (address, accepting)
}

/// The value at this part of a hundred.
pub(crate) fn percentile<T: Copy + Ord + Default>(values: &mut [T], percent: usize) -> T {
    values.sort_unstable();
    values
        .get((values.len() * percent / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// How often each of these was seen.
pub(crate) fn tally<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    values.into_iter().fold(BTreeMap::new(), |mut counts, value| {
        *counts.entry(value).or_default() += 1;
        counts
    })
}

/// Bytes in words.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
