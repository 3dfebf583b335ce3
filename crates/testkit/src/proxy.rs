//! A TCP proxy between a node and one server that breaks links on demand: the network at its worst, on loopback.
//!
//! Each connection (a [`Link`]) is treated as the latest rule says that fits it. The proxy runs on a thread of its own, so
//! a test may block while it goes on; it ends with its value, and all its links with it.

mod pump;
mod pushes;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::{eventually, free_port};

/// How much of what a client says is kept for [`Link::said`]; what comes later is not looked at.
const KEPT: usize = 64 << 10;
/// How long the proxy itself may take for what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done to the bytes of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// They are passed on.
    Nothing,
    /// They wait, and are passed on when this ends: a network that is away for a while.
    Hold,
    /// They are taken and forgotten, while TCP looks healthy. A stream has no holes: a way that has swallowed once stays
    /// deaf until its connection ends, whatever rule comes later.
    Swallow(Way),
    /// The pushes of RESP3 are taken and forgotten, answers pass: a feed that is deaf, while PING says that all is well. Holds
    /// while the rule does, for pushes that begin under it.
    SwallowPushes,
    /// Each piece (at most 64 KiB) waits so long before it is passed on.
    Delay(Duration),
    /// Of a hundred pieces on their way to the client so many are lost, each with its connection (RST): the server has
    /// done what it was asked, and the client cannot know. `seed` and the link's number decide which; where pieces begin
    /// is up to the kernel, so the same seed leads to the same odds, not to the same bytes.
    LoseReplies {
        /// 0 to 100.
        percent: u8,
        /// Of the dice.
        seed: u64,
    },
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Either.
    Both,
}

/// How a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends read the end of the stream.
    Fin,
    /// Both ends get `ECONNRESET`.
    Reset,
}

/// What a proxy has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Of these, closed at once since the server did not accept.
    pub unreachable: u64,
    /// Bytes passed on to the server.
    pub to_server: u64,
    /// Bytes passed on to clients.
    pub to_client: u64,
    /// Bytes swallowed.
    pub swallowed: u64,
    /// Of these, whole pushes.
    pub swallowed_pushes: u64,
    /// Links that ended with a lost reply.
    pub lost_replies: u64,
}

/// One connection through the proxy.
pub struct Link {
    number: u64,
    said: Mutex<Vec<u8>>,
    cut: watch::Sender<Option<Cut>>,
    /// What has swallowed once does so for ever: to the server, to the client.
    deaf: [AtomicBool; 2],
}

/// A proxy to one server on 127.0.0.1.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

type Which = Box<dyn Fn(&Link) -> bool + Send + Sync>;

/// What the test says and the links obey.
#[derive(Default)]
struct Orders {
    /// The latest that fits counts.
    rules: Vec<(Which, Fault)>,
    refuses: bool,
}

struct Shared {
    server: SocketAddr,
    orders: watch::Sender<Orders>,
    links: Mutex<Vec<Arc<Link>>>,
    listens: AtomicBool,
    accepted: AtomicU64,
    unreachable: AtomicU64,
    /// To the server, to the client.
    passed: [AtomicU64; 2],
    swallowed: AtomicU64,
    swallowed_pushes: AtomicU64,
    lost_replies: AtomicU64,
}

/// Every link, in [`Proxy::set`], [`Proxy::cut`] and [`Proxy::open`].
pub fn all(_: &Link) -> bool {
    true
}

/// The links that have subscribed at a Redis: the feed of a node, and no other of its connections.
pub fn feed(link: &Link) -> bool {
    link.said("SUBSCRIBE") // SSUBSCRIBE too
}

impl Link {
    /// Its place in the order of accepting, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether its client has sent this text, among the first 64 KiB.
    pub fn said(&self, text: &str) -> bool {
        let said = lock(&self.said);
        !text.is_empty() && said.windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn remember(&self, bytes: &[u8]) {
        let mut said = lock(&self.said);
        let room = KEPT.saturating_sub(said.len());
        said.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl Proxy {
    /// Starts one to this port of 127.0.0.1, whether or not anybody listens there yet.
    ///
    /// # Panics
    /// When there is no port or no thread to be had.
    pub fn start(server: u16) -> Self {
        let port = free_port();
        let shared = Arc::new(Shared {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, server)),
            orders: watch::Sender::new(Orders::default()),
            links: Mutex::default(),
            listens: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            unreachable: AtomicU64::new(0),
            passed: Default::default(),
            swallowed: AtomicU64::new(0),
            swallowed_pushes: AtomicU64::new(0),
            lost_replies: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serving.listen(port) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("proxy".to_owned()).spawn(run).expect("a thread");
        let proxy = Self { port, shared, stop: Some(stop), thread: Some(thread) };
        proxy.until_it_listens(true);
        proxy
    }

    /// The port on 127.0.0.1 that stands for the server's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:port`.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on links that fit, old and new, are treated so. Later rules go before earlier ones, so
    /// [`Fault::Nothing`] makes an exception.
    pub fn set(&self, which: impl Fn(&Link) -> bool + Send + Sync + 'static, fault: Fault) {
        self.shared.orders.send_modify(|orders| orders.rules.push((Box::new(which), fault)));
    }

    /// Forgets all rules and accepts. What was cut or deaf stays so: its ends have to notice, and to come back.
    ///
    /// # Panics
    /// When the port was taken meanwhile.
    pub fn heal(&self) {
        self.shared.orders.send_modify(|orders| *orders = Orders::default());
        self.until_it_listens(true);
    }

    /// Cuts the links that fit; returns how many, once they are gone.
    ///
    /// # Panics
    /// When they do not go.
    pub fn cut(&self, which: impl Fn(&Link) -> bool, how: Cut) -> usize {
        let links: Vec<Arc<Link>> = lock(&self.shared.links).iter().filter(|l| which(l)).cloned().collect();
        for link in &links {
            link.cut.send_replace(Some(how));
        }
        eventually(PATIENCE, "what was cut is gone", || {
            let open = lock(&self.shared.links);
            !links.iter().any(|link| open.iter().any(|other| other.number == link.number))
        });
        links.len()
    }

    /// From now on, until [`heal`](Self::heal), the port refuses: `ECONNREFUSED`. Links that are there stay.
    ///
    /// # Panics
    /// When the listener does not close.
    pub fn refuse(&self) {
        self.shared.orders.send_modify(|orders| orders.refuses = true);
        self.until_it_listens(false);
    }

    /// How many links that fit are open now.
    pub fn open(&self, which: impl Fn(&Link) -> bool) -> usize {
        lock(&self.shared.links).iter().filter(|link| which(link)).count()
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            accepted: count(&self.shared.accepted),
            unreachable: count(&self.shared.unreachable),
            to_server: count(&self.shared.passed[0]),
            to_client: count(&self.shared.passed[1]),
            swallowed: count(&self.shared.swallowed),
            swallowed_pushes: count(&self.shared.swallowed_pushes),
            lost_replies: count(&self.shared.lost_replies),
        }
    }

    fn until_it_listens(&self, listens: bool) {
        let question = || self.shared.listens.load(Ordering::Acquire) == listens;
        eventually(PATIENCE, &format!("the proxy listens: {listens}"), question);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("port", &self.port)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has said so itself
        }
    }
}

impl Orders {
    fn fault(&self, link: &Link) -> Fault {
        self.rules.iter().rev().find(|(which, _)| which(link)).map_or(Fault::Nothing, |(_, fault)| *fault)
    }
}

impl Shared {
    async fn listen(self: Arc<Self>, port: u16) {
        let mut orders = self.orders.subscribe();
        let mut links = JoinSet::new();
        loop {
            if orders.wait_for(|orders| !orders.refuses).await.is_err() {
                return;
            }
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port is ours");
            self.listens.store(true, Ordering::Release);
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        links.spawn(Arc::clone(&self).serve(client));
                    },
                    _ = orders.wait_for(|orders| orders.refuses) => break,
                    Some(_) = links.join_next() => {}
                }
            }
            drop(listener);
            self.listens.store(false, Ordering::Release);
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let link = Arc::new(Link {
            number: self.accepted.fetch_add(1, Ordering::Relaxed),
            said: Mutex::default(),
            cut: watch::Sender::new(None),
            deaf: Default::default(),
        });
        let Ok(server) = TcpStream::connect(self.server).await else {
            self.unreachable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        lock(&self.links).push(Arc::clone(&link));
        pump::run(&self, &link, client, server).await;
    }

    /// The sockets of this link are closed.
    fn gone(&self, link: &Link) {
        lock(&self.links).retain(|other| other.number != link.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // nothing is left half done under these
}

#[cfg(test)]
mod tests;
