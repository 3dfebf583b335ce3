//! A witness: a client as bare as possible that comes back with its position and writes down every frame.
//!
//! What it writes is judged by [`history`](crate::history), so it shares no code with the Rust client, nor with the gateway: a
//! fault of theirs must not be hidden by the same fault here. A witness is one task with two small buffers; thousands are cheap.

mod native;
mod notes;
mod sse;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate_core::Position;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::history::Log;
use notes::{End, Notes};

/// How many orders may wait for a witness that is busy; whoever gives more waits.
const ORDERS: usize = 16;
/// How long a dial and a handshake may take.
const DIAL: Duration = Duration::from_secs(5);
/// The first pause before it comes back, and the longest, in milliseconds; with full jitter.
const PAUSE_MS: (u64, u64) = (40, 1000);

/// How it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The native door, in JSON.
    Native,
    /// Server-sent events, with `Last-Event-ID`.
    Sse,
}

/// What it does when its connection ends. Forgetting is the naive behaviour that controls plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// It goes on from where it stands.
    Resumes,
    /// It subscribes anew.
    Forgets,
}

/// What a test tells a witness to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To drop its connection without a word, and to come back.
    Drop,
    /// The same, and to come back so much later.
    StayAway(Duration),
    /// To unsubscribe from the channel with this place among its own. Only at the native door.
    Leave(usize),
    /// To subscribe again, from where it stood.
    Return(usize),
    /// To subscribe again, from now on.
    Join(usize),
}

/// Who it is and where it goes.
#[derive(Debug, Clone)]
pub struct Errand {
    /// In messages.
    pub name: String,
    /// How.
    pub door: Door,
    /// What it does when its connection ends.
    pub habit: Habit,
    /// The nodes; it goes to the next one whenever its connection ends.
    pub nodes: Vec<SocketAddr>,
    /// The node that it goes to first.
    pub first: usize,
    /// What it hears.
    pub channels: Vec<String>,
}

/// A running witness; it ends with this value.
#[derive(Debug)]
pub struct Witness {
    notes: Arc<Mutex<Notes>>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Witness {
    /// Sends it out, in a task of its own.
    pub fn send_out(errand: Errand) -> Self {
        let notes = Arc::new(Mutex::new(Notes::new(&errand.name, &errand.channels)));
        let (orders, told) = mpsc::channel(ORDERS);
        let task = tokio::spawn(live(errand, Arc::clone(&notes), told));
        Self { notes, orders, task }
    }

    /// Tells it what to do.
    pub async fn order(&self, order: Order) {
        let _ = self.orders.send(order).await; // one that is gone for good has said why
    }

    /// What it was told so far.
    pub fn log(&self) -> Log {
        self.with(|notes| notes.log.clone())
    }

    /// Looks at what it was told, without a copy.
    pub fn look<T>(&self, at: impl FnOnce(&Log) -> T) -> T {
        self.with(|notes| at(&notes.log))
    }

    /// Where it stands in the channel with this place among its own; none while it is not subscribed.
    pub fn stands_at(&self, channel: usize) -> Option<Position> {
        self.with(|notes| notes.at[channel].filter(|_| notes.is_in[channel]))
    }

    /// Whether it is subscribed to all that it wants.
    pub fn is_there(&self) -> bool {
        self.with(|notes| notes.is_in == notes.wanted)
    }

    /// Refusals and oddities, in the order met; the newest thousand.
    pub fn troubles(&self) -> Vec<String> {
        self.with(|notes| notes.troubles.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().expect("whole"))
    }
}

/// A life: one connection after the other.
async fn live(errand: Errand, notes: Arc<Mutex<Notes>>, mut orders: mpsc::Receiver<Order>) {
    let mut dice = StdRng::seed_from_u64(errand.first as u64);
    let (mut node, mut pause) = (errand.first, PAUSE_MS.0);
    loop {
        let address = errand.nodes[node % errand.nodes.len()];
        node += 1;
        let talk = async {
            match errand.door {
                Door::Native => native::talk(address, errand.habit, &notes, &mut orders).await,
                Door::Sse => sse::talk(address, errand.habit, &notes, &mut orders).await,
            }
        };
        let end = talk.await;
        if notes.lock().expect("whole").closed(&end) {
            pause = PAUSE_MS.0;
        }
        match end {
            End::Refused => return,
            End::Moved(after) => sleep(after).await,
            End::Unreached | End::Gone(_) => {
                sleep(Duration::from_millis(dice.random_range(0..=pause))).await;
                pause = (pause * 2).min(PAUSE_MS.1);
            }
        }
    }
}

/// A socket to this node; none if it does not answer.
async fn dial(address: SocketAddr) -> Option<tokio::net::TcpStream> {
    let stream = timeout(DIAL, tokio::net::TcpStream::connect(address)).await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}
