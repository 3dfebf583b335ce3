//! The control: clients that never leave. What they hold is what a leak would hold.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::support::peer;

/// A client that stays: it reads, and so answers pings. It goes with this value.
pub(crate) struct Held(JoinHandle<()>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// This process may open what its hard limit allows: it holds the other ends.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
}

/// One in the channel of this name.
pub(crate) async fn hold(node: SocketAddr, channel: &str) -> Held {
    let stream = TcpStream::connect(node).await.expect("the node");
    let mut stream = peer::plain(stream, &[channel.to_owned()]).await.expect("it is let in");
    Held(tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} }))
}

/// `count` of them, evenly over `time`, each in a channel of its own.
pub(crate) fn pile_up(node: SocketAddr, count: usize, time: Duration) -> JoinHandle<Vec<Held>> {
    tokio::spawn(async move {
        let mut ticks = interval(time / u32::try_from(count).expect("few"));
        let mut held = Vec::new();
        for n in 0..count {
            ticks.tick().await;
            held.push(hold(node, &format!("hoard:{n}")).await);
        }
        held
    })
}
