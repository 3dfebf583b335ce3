//! One link of a proxy: two ways, each a loop that reads a piece and does to it what the rules say.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{sleep, timeout};

use super::pushes::Pushes;
use super::{Cut, Fault, Link, Shared, Way};

/// The longest piece.
const PIECE: usize = 64 << 10;
/// How long a link that was ended with FIN is read to its end, so that no RST follows.
const LINGER: Duration = Duration::from_secs(1);

/// Passes bytes on until both ends have closed, or the link is cut.
pub(super) async fn run(shared: &Shared, link: &Link, mut client: TcpStream, mut server: TcpStream) {
    // Held back by Nagle's algorithm, a proxy would be slower than what it stands for.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut told = link.cut.subscribe();
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::join!(
                one_way(shared, link, Way::ToServer, from_client, to_server),
                one_way(shared, link, Way::ToClient, from_server, to_client),
            )
        };
        tokio::select! {
            _ = both => None,
            told = told.wait_for(Option::is_some) => told.ok().and_then(|cut| *cut),
        }
    };
    match cut {
        None => {}
        Some(Cut::Reset) => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        Some(Cut::Fin) => {
            let _ = (client.shutdown().await, server.shutdown().await);
            shared.gone(link);
            // Closing a socket with unread bytes would reset it.
            let rest = async { tokio::join!(drain(&mut client), drain(&mut server)) };
            let _ = timeout(LINGER, rest).await;
        }
    }
    drop((client, server));
    shared.gone(link);
}

async fn drain(socket: &mut TcpStream) {
    let mut scratch = [0; 4096];
    while socket.read(&mut scratch).await.is_ok_and(|count| count > 0) {}
}

async fn one_way(shared: &Shared, link: &Link, way: Way, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) {
    let at = usize::from(way == Way::ToClient);
    let mut orders = shared.orders.subscribe();
    let mut dice = None;
    let mut pushes = Pushes::default();
    let mut buffer = vec![0; PIECE];
    loop {
        // An end with an error is an end.
        let count = from.read(&mut buffer).await.unwrap_or(0);
        let piece = &buffer[..count];
        if way == Way::ToServer {
            link.remember(piece);
        }
        let fault = loop {
            let fault = orders.borrow_and_update().fault(link);
            if fault != Fault::Hold {
                break fault;
            }
            if orders.changed().await.is_err() {
                return;
            }
        };
        match fault {
            Fault::Swallow(which) if which == way || which == Way::Both => {
                link.deaf[at].store(true, Ordering::Relaxed);
            }
            Fault::Delay(time) => sleep(time).await,
            Fault::LoseReplies { percent, seed } if way == Way::ToClient && count > 0 => {
                let dice = dice.get_or_insert_with(|| StdRng::seed_from_u64(seed.wrapping_add(link.number)));
                if dice.random_range(0..100) < percent {
                    shared.lost_replies.fetch_add(1, Ordering::Relaxed);
                    link.cut.send_replace(Some(Cut::Reset));
                    return std::future::pending().await; // until the cut is seen
                }
            }
            _ => {}
        }
        let whole;
        let piece = match way {
            Way::ToClient => {
                let before = pushes.lost();
                whole = pushes.pass(piece, fault == Fault::SwallowPushes);
                shared.swallowed_pushes.fetch_add(pushes.lost() - before, Ordering::Relaxed);
                shared.swallowed.fetch_add((count - whole.len()) as u64, Ordering::Relaxed);
                &whole[..]
            }
            _ => piece,
        };
        if link.deaf[at].load(Ordering::Relaxed) {
            if count == 0 {
                return; // the other end does not learn of it
            }
            shared.swallowed.fetch_add(piece.len() as u64, Ordering::Relaxed);
        } else if count == 0 {
            let _ = to.shutdown().await;
            return;
        } else if to.write_all(piece).await.is_ok() {
            shared.passed[at].fetch_add(piece.len() as u64, Ordering::Relaxed);
        } else {
            // Nobody is there any more; whoever speaks learns of it from the other way, unless that is deaf.
            link.deaf[at].store(true, Ordering::Relaxed);
        }
    }
}
