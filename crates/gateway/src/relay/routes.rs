//! Which channels the node wants to hear: whoever waits for a channel, and channels nobody needs.
//!
//! The first subscriber of a channel makes the node subscribe; whoever joins meanwhile waits for
//! the same confirmation. A channel without seats lingers, then is given up. One task speaks to
//! the broker, so that giving up and coming back cannot overtake each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_broker::{Broker, BrokerError};
use tidegate_core::hub::Seat;
use tidegate_core::session::Answer;
use tidegate_core::{ChannelName, Refusal, Ticket};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::order::{Order, Orders};
use super::{BROKER_DEADLINE, Subscribers};
use crate::connection::Peer;

/// Subscribers that may wait for a confirmation at once. One more is refused as `unavailable`.
const WAITING: usize = 64 << 10;
/// Channels asked for at once.
const BATCH: usize = 512;
/// How long a channel with history is kept without subscribers: as long as clients that lost their node wait at most
/// (full jitter up to 20 s) before they come back, so that its tail answers them.
const LINGER_WITH_HISTORY: Duration = Duration::from_secs(30);
/// How often waiting and lingering channels are looked at, while there are any: a node at rest is not woken for it.
const TICK: Duration = Duration::from_millis(100);

/// The routes of a node.
pub(super) struct Routes {
    hub: Arc<Subscribers>,
    orders: Arc<Orders>,
    table: Mutex<Table>,
    /// Something was added to `Table::wanted`, or is the first to be looked at.
    news: Notify,
    linger: Duration,
}

#[derive(Default)]
struct Table {
    /// Who waits for which channel.
    waiting: HashMap<ChannelName, Vec<Waiting>>,
    /// How many wait, in all channels.
    count: usize,
    /// Channels to be asked for. One that expired and came back may stand twice, which is harmless.
    wanted: VecDeque<ChannelName>,
    /// Channels without seats, and since when. Bounded by the channels this node subscribes to.
    lingering: HashMap<ChannelName, Instant>,
    /// Channels whose lane waits for the confirmation. Bounded by the places of the lanes.
    for_lanes: HashSet<ChannelName>,
    /// Channels that a lane has given up: before any that are wanted.
    over: Vec<ChannelName>,
}

impl Table {
    /// Whether nobody waits and nothing lingers.
    fn is_at_rest(&self) -> bool {
        self.count == 0 && self.lingering.is_empty()
    }
}

struct Waiting {
    connection: Arc<Peer>,
    ticket: Ticket,
    seat: Seat,
    since: Instant,
}

impl Routes {
    pub(super) fn new(hub: Arc<Subscribers>, orders: Arc<Orders>, linger: Duration) -> Self {
        Self { hub, orders, table: Mutex::default(), news: Notify::new(), linger }
    }

    /// The lane of `channel` waits for its confirmation, and hears of it as [`Order::Heard`].
    pub(super) fn want(&self, channel: ChannelName) {
        let mut table = self.table.lock();
        if table.for_lanes.insert(channel.clone()) {
            table.wanted.push_back(channel);
            self.news.notify_one();
        }
    }

    /// The lane of `channel` has given it up. If it wants it again, that comes behind.
    pub(super) fn give_up(&self, channel: ChannelName) {
        self.table.lock().over.push(channel);
        self.news.notify_one();
    }

    /// Waits for the confirmation of `channel`: the connection gets the answer.
    ///
    /// # Errors
    /// `unavailable` when too many wait.
    pub(super) fn wait(
        &self,
        channel: &ChannelName,
        connection: &Arc<Peer>,
        ticket: Ticket,
        seat: Seat,
    ) -> Result<(), Refusal> {
        let mut table = self.table.lock();
        if table.count >= WAITING {
            return Err(Refusal::unavailable());
        }
        let waiting = Waiting { connection: Arc::clone(connection), ticket, seat, since: Instant::now() };
        table.count += 1;
        let queue = table.waiting.entry(channel.clone()).or_default();
        queue.push(waiting);
        if queue.len() == 1 {
            table.wanted.push_back(channel.clone());
            self.news.notify_one();
        }
        Ok(())
    }

    /// The last seat of `channel` was given back.
    pub(super) fn linger(&self, channel: ChannelName) {
        let mut table = self.table.lock();
        if table.is_at_rest() {
            self.news.notify_one();
        }
        table.lingering.insert(channel, Instant::now());
    }

    /// Speaks to the broker until it is dropped.
    pub(super) async fn run(&self, broker: Arc<impl Broker>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay); // none are made up for after a rest
        loop {
            let is_at_rest = self.table.lock().is_at_rest();
            tokio::select! {
                () = self.news.notified() => {}
                _ = tick.tick(), if !is_at_rest => {
                    self.expire();
                    self.retire(&*broker).await;
                }
            }
            while let Some((over, batch)) = self.next() {
                if !over.is_empty() {
                    unsubscribe(&*broker, over).await;
                }
                if batch.is_empty() {
                    continue;
                }
                // Whoever waits is answered in time even if the broker is not.
                let asked = tokio::time::timeout(BROKER_DEADLINE, broker.subscribe(batch.clone())).await;
                let result =
                    asked.unwrap_or_else(|_| Err(BrokerError::Unavailable("no answer in time".into())));
                if let Err(error) = &result {
                    tracing::warn!(channels = batch.len(), %error, "cannot subscribe");
                }
                for channel in batch {
                    self.confirmed(&channel, &result);
                }
                self.expire(); // the batches behind this one have waited meanwhile
            }
        }
    }

    /// What was given up, and then what is wanted: one that is among both was given up first.
    fn next(&self) -> Option<(Vec<ChannelName>, Vec<ChannelName>)> {
        let mut held = self.table.lock();
        let table = &mut *held;
        let over = std::mem::take(&mut table.over);
        let mut batch = Vec::new();
        while let Some(channel) = table.wanted.pop_front() {
            // Nobody waits any more: the last of them was answered as too late.
            if table.waiting.contains_key(&channel) || table.for_lanes.contains(&channel) {
                batch.push(channel);
                if batch.len() == BATCH {
                    break;
                }
            }
        }
        (!batch.is_empty() || !over.is_empty()).then_some((over, batch))
    }

    /// The broker answered for `channel`: so is everybody who waits for it.
    fn confirmed(&self, channel: &ChannelName, result: &Result<(), BrokerError>) {
        let mut table = self.table.lock();
        if result.is_ok() {
            // Under the table's lock, so that nobody starts waiting between the two. The channel is
            // there: only this task retires one.
            self.hub.confirm(channel);
        }
        let waiting = table.waiting.remove(channel).unwrap_or_default();
        table.count -= waiting.len();
        let for_lane = table.for_lanes.remove(channel);
        drop(table);
        if for_lane {
            let heard = result.clone().map_err(|error| super::refusal(&error));
            self.orders.push(channel, Order::Heard(channel.clone(), heard));
        }
        for one in waiting {
            let answer = match result {
                Ok(()) => Ok(one.seat),
                Err(error) => Err(super::refusal(error)),
            };
            one.connection.answer(one.ticket, Answer::Joined(answer));
        }
    }

    /// Answers those who wait too long.
    fn expire(&self) {
        let mut late = Vec::new();
        let mut table = self.table.lock();
        if table.count == 0 {
            return;
        }
        for queue in table.waiting.values_mut() {
            late.extend(queue.extract_if(.., |one| one.since.elapsed() >= BROKER_DEADLINE));
        }
        table.waiting.retain(|_, queue| !queue.is_empty());
        table.count -= late.len();
        drop(table);
        for one in late {
            one.connection.answer(one.ticket, Answer::Joined(Err(Refusal::unavailable())));
        }
    }

    /// Gives up the channels that have lingered long enough and still have no seats.
    async fn retire(&self, broker: &impl Broker) {
        let mut over = Vec::new();
        {
            let mut table = self.table.lock();
            let linger = self.linger;
            let due: Vec<ChannelName> = table
                .lingering
                .extract_if(|channel, since| {
                    since.elapsed()
                        >= if self.orders.has_place(channel) { LINGER_WITH_HISTORY } else { linger }
                })
                .map(|(name, _)| name)
                .collect();
            for channel in due {
                if self.orders.has_place(&channel) {
                    self.orders.push(&channel.clone(), Order::Retire(channel));
                // Whoever waits for it holds a seat, so it cannot be retired under them.
                } else if self.hub.retire(&channel) {
                    over.push(channel);
                }
            }
        }
        if !over.is_empty() {
            unsubscribe(broker, over).await;
        }
    }
}

async fn unsubscribe(broker: &impl Broker, channels: Vec<ChannelName>) {
    tracing::debug!(channels = channels.len(), "nobody subscribes any more: given up");
    broker.unsubscribe(channels).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use tidegate_broker::{EventQueue, HistorySettings, QueueLimits};
    use tidegate_core::hub::Hub;
    use tokio::time::timeout;

    use super::super::broker::AnyBroker;
    use super::*;

    #[tokio::test]
    async fn a_node_at_rest_is_not_woken_for_its_routes_and_still_gives_up_what_lingers() {
        let queue = Arc::new(EventQueue::new(QueueLimits::default()));
        let broker = Arc::new(AnyBroker::memory(HistorySettings::default(), vec![queue]));
        let orders = Arc::new(Orders::new(1, Arc::clone(&broker)));
        let routes = Routes::new(Arc::new(Hub::new(1)), orders, Duration::ZERO);
        let turns = Cell::new(0);
        let mut running = pin!(routes.run(broker));
        let mut run = poll_fn(|context| {
            turns.set(turns.get() + 1);
            running.as_mut().poll(context)
        });
        assert!(timeout(TICK * 5, &mut run).await.is_err());
        assert!(turns.get() <= 2, "woken {} times within five ticks", turns.get());

        routes.linger("chat:1".parse().unwrap());
        let given_up = poll_fn(|context| {
            assert!(pin!(&mut run).poll(context).is_pending());
            if routes.table.lock().is_at_rest() { Poll::Ready(()) } else { Poll::Pending }
        });
        timeout(Duration::from_secs(5), given_up).await.expect("what lingers is looked at");
    }
}
