//! Those who stay for the whole run: listeners that nobody disturbs, and witnesses in channels with history that are sent away,
//! out of their channels and back, and go on from where they stood.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tidegate_testkit::witness::{Order, Witness};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::support::backend::Book;
use crate::support::listener::{Door, Habit, Listener};
use crate::visits::Place;

/// Listeners at every door of every node, on these channels.
pub(crate) async fn listeners(nodes: &[SocketAddr], channels: &[String], book: &Book) -> Vec<Listener> {
    let open = |(at, node): (usize, &SocketAddr)| {
        let node = *node;
        Door::ALL.map(move |door| {
            let name = format!("listener at node {}", at + 1);
            async move { Listener::open(&name, door, Habit::ComesBack, node, channels, book).await }
        })
    };
    join_all(nodes.iter().enumerate().flat_map(open)).await
}

/// Events of the shared channels, until it is ended.
pub(crate) struct Presses {
    on: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Presses {
    /// One event each time, round robin.
    pub(crate) fn start(place: &Place, every: Duration) -> Self {
        let (on, place) = (Arc::new(AtomicBool::new(true)), place.clone());
        let running = Arc::clone(&on);
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut names = place.news.iter().cycle();
            while running.load(Ordering::Relaxed) {
                ticks.tick().await;
                place.backend.lock().await.publish(names.by_ref().take(1)).await;
            }
            place.backend.lock().await.publish(&place.news).await; // who hears this has heard all
        });
        Self { on, task }
    }

    pub(crate) async fn stop(self) {
        self.on.store(false, Ordering::Relaxed);
        self.task.await.expect("it publishes to its end");
    }
}

/// Tells witnesses at random to go, to stay away, to leave a channel and to come back, until `on` is false. How many orders.
pub(crate) async fn unrest(witnesses: &[Witness], channels: usize, on: &AtomicBool) -> usize {
    let mut dice = StdRng::seed_from_u64(6);
    let mut orders = 0;
    while on.load(Ordering::Relaxed) {
        let channel = dice.random_range(0..channels);
        let away = Duration::from_millis(dice.random_range(0..800));
        let choice = [
            Order::Drop,
            Order::StayAway(away),
            Order::Leave(channel),
            Order::Return(channel),
            Order::Join(channel),
        ];
        let order = *choice.choose(&mut dice).expect("some");
        witnesses.choose(&mut dice).expect("some").order(order).await;
        orders += 1;
        sleep(Duration::from_millis(dice.random_range(0..160))).await;
    }
    orders
}
