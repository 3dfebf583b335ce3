//! Between broker and hub: events on their way to subscribers, subscriptions on their way to the
//! broker, publishing.
//!
//! Sessions reach it through their connection's task; news of the broker through the event queues.
//! It must not know sockets, doors or Redis. Lock order: routes → hub shard → outbox.

mod broker;
mod delivery;
mod groups;
mod history;
mod keeper;
mod lane;
mod mailbox;
mod order;
mod parcel;
mod publisher;
mod reader;
mod refusals;
mod repairs;
mod rounds;
mod routes;
mod segments;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_broker::EventQueue;
use tidegate_core::hub::{Hub, Joined, Seat};
use tidegate_core::place::Since;
use tidegate_core::session::Past;
use tidegate_core::{ChannelName, Position, Refusal, RequestId, Ticket};
use tidegate_metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::connection::{Flight, Peer};
use crate::settings::Naive;
pub(crate) use broker::AnyBroker;
use delivery::Delivery;
pub(crate) use delivery::LaneMetrics;
use keeper::Keeper;
use lane::Lane;
pub(crate) use order::Parked;
use order::{Newcomer, Order, Orders};
use parcel::{Publishing, Way};
use publisher::Publisher;
use reader::Questions;
use refusals::{behind, history_refusal, refusal};
use repairs::Repairs;
use routes::Routes;
use segments::Crew;

/// How long a request may wait for the broker. Together with the way to the client this keeps the
/// promise of an answer within 2 s.
const BROKER_DEADLINE: Duration = Duration::from_millis(1500);

/// Bytes of recent events that all places of a node keep. Above, channels forget theirs, one after the other:
/// who resumes there costs a read.
const TAIL_BYTES: usize = 64 << 20;

/// Handles of subscribers, as the hub keeps them.
pub(crate) type Subscribers = Hub<Arc<Peer>>;

/// The relay of a node.
pub(crate) struct Relay {
    hub: Arc<Subscribers>,
    broker: Arc<AnyBroker>,
    /// Whether any channel has history.
    remembers: bool,
    routes: Arc<Routes>,
    orders: Arc<Orders>,
    /// Of each lane: how many of its places read since their shard came back.
    resyncing: Vec<Arc<AtomicUsize>>,
    publisher: Publisher,
    clock: Clock,
}

/// The relay's tasks, ended by whoever started them.
pub(crate) struct RelayTasks {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Relay {
    /// Starts a lane for each queue, as many as there are workers, and the tasks that help them, subscribe and publish.
    pub(crate) fn start(
        hub: Arc<Subscribers>,
        broker: AnyBroker,
        queues: Vec<Arc<EventQueue>>,
        linger: Duration,
        clock: Clock,
        metrics: LaneMetrics,
        naive: Naive,
    ) -> (Self, RelayTasks) {
        let broker = Arc::new(broker);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let orders = Arc::new(Orders::new(queues.len(), Arc::clone(&broker)));
        let routes = Arc::new(Routes::new(Arc::clone(&hub), Arc::clone(&orders), linger));
        let questions: Arc<Questions> = Arc::default();
        let lanes = queues.len().max(1);
        let crew = Crew::of(lanes);
        let resyncing: Vec<_> = queues.iter().map(|_| Arc::default()).collect();
        let helpers: Vec<_> = crew.iter().flat_map(Crew::helpers).collect();
        let mut flights = Flight::many(queues.len() + helpers.len()).into_iter();
        let lanes_of = queues.into_iter().zip(orders.boxes()).zip(&resyncing).zip(flights.by_ref());
        for (((queue, orders), unready), flight) in lanes_of {
            let repairs = Repairs::new(&metrics.metrics);
            let lane = Lane {
                queue,
                orders: Arc::clone(orders),
                questions: Arc::clone(&questions),
                routes: Arc::clone(&routes),
                broker: Arc::clone(&broker),
                clock: clock.clone(),
                delivery: Delivery::new(Arc::clone(&hub), metrics.clone(), flight, crew.clone()),
                keeper: Keeper::new(TAIL_BYTES / lanes, Arc::clone(unready), repairs),
                repairs: !naive.no_repair,
            };
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(lane.run()).await.unwrap_or_default() });
        }
        for (helper, flight) in helpers.into_iter().zip(flights) {
            let stopped = stop.clone();
            tasks.spawn(async move {
                stopped.run_until_cancelled(helper.help(flight)).await;
            });
        }
        let (from, stopped) = (Arc::clone(&broker), stop.clone());
        tasks.spawn(async move {
            stopped.run_until_cancelled(reader::run(questions, from)).await;
        });
        let (subscribing, to) = (Arc::clone(&routes), Arc::clone(&broker));
        let stopped = stop.clone();
        tasks.spawn(async move {
            stopped.run_until_cancelled(subscribing.run(to)).await;
        });
        let (publisher, publishing) = Publisher::new();
        let to = Arc::clone(&broker);
        let stopped = stop.clone();
        tasks.spawn(async move {
            stopped.run_until_cancelled(publishing.run(to)).await;
        });
        let remembers = broker.has_histories();
        let relay = Self { hub, broker, remembers, routes, orders, resyncing, publisher, clock };
        (relay, RelayTasks { tasks, stop })
    }

    /// Takes a seat in `channel`. Unless it is live, the connection gets the answer later. With history, what
    /// `id` is answered goes into the outbox before that.
    ///
    /// # Errors
    /// `unavailable` while the broker is known to be away, or when too many wait.
    pub(crate) fn join(
        &self,
        channel: &ChannelName,
        connection: &Arc<Peer>,
        ticket: Ticket,
        since: Since,
        id: Option<RequestId>,
    ) -> Result<Joined, Refusal> {
        if !self.broker.hears(channel) {
            return Err(Refusal::unavailable());
        }
        let joined = self.hub.join(channel, Arc::clone(connection));
        if self.broker.has_history(channel) {
            let (channel, connection) = (channel.clone(), Arc::clone(connection));
            let newcomer =
                Newcomer { channel, seat: joined.seat, connection, ticket, id, since, in_turn: false };
            self.orders.push(&newcomer.channel.clone(), Order::Subscribe(newcomer));
            return Ok(Joined { live: false, ..joined });
        }
        if !joined.live
            && let Err(refusal) = self.routes.wait(channel, connection, ticket, joined.seat)
        {
            self.leave(joined.seat);
            return Err(refusal);
        }
        Ok(joined)
    }

    /// Gives a seat back.
    pub(crate) fn leave(&self, seat: Seat) {
        if self.remembers {
            let channel = self.hub.name(seat.channel());
            if self.broker.has_history(&channel) {
                // Nobody else may get the seat before its place has forgotten it.
                self.hub.mute(seat);
                return self.orders.push(&channel.clone(), Order::Leave(channel, seat));
            }
        }
        if let Some(channel) = self.hub.leave(seat) {
            self.routes.linger(channel);
        }
    }

    /// Publishes in the order of calls; `done` hears what became of it, within 2 s, and at once while the broker is known
    /// to be away. In a channel with history the event gets a position. A `key` makes a second publish of the same
    /// event known as such, in any channel.
    pub(crate) fn publish(
        &self,
        channel: ChannelName,
        payload: Bytes,
        key: Option<Arc<str>>,
        from: Option<Arc<str>>,
        done: impl FnOnce(Result<Option<Position>, Refusal>) + Send + 'static,
    ) {
        if !self.broker.hears(&channel) {
            // Also while only listening fails: nobody here would hear what is said to be published.
            return done(Err(Refusal::unavailable()));
        }
        let rules = self.broker.rules_of(&channel);
        let way = match (rules.history, &key) {
            (None, None) => Way::Live,
            _ => Way::Durable { replicated: rules.replicated },
        };
        let now = self.clock.unix_us();
        let publishing = Publishing::new(channel, payload, way, now, Box::new(done));
        self.publisher.publish(publishing.signed(key, from));
    }

    /// What a channel remembers behind `since`, or its last events; at most `limit`. Answers within 2 s.
    ///
    /// # Errors
    /// `bad_request` where nothing is kept, `behind` where this node's server is older than `since`, `unavailable`.
    pub(crate) fn history(
        &self,
        channel: ChannelName,
        since: Option<Position>,
        limit: u32,
    ) -> impl Future<Output = Result<Past, Refusal>> + Send + 'static {
        let broker = Arc::clone(&self.broker);
        async move { history::read(&broker, channel, since, limit).await }
    }

    /// Whether channels still read what they missed while their shard was not heard.
    pub(crate) fn is_resyncing(&self) -> bool {
        self.resyncing.iter().any(|lane| lane.load(Ordering::Acquire) > 0)
    }

    /// Whether all of the broker is heard.
    pub(crate) fn is_up(&self) -> bool {
        self.broker.is_up()
    }

    /// Whether channels should have histories, and Redis cannot keep them.
    pub(crate) fn lacks_functions(&self) -> bool {
        self.broker.lacks_functions()
    }

    /// Channels with subscribers on any node, at most `most`.
    ///
    /// # Errors
    /// `unavailable` when the broker does not answer in time.
    pub(crate) async fn occupied(&self, most: usize) -> Result<Vec<ChannelName>, Refusal> {
        let asked = tokio::time::timeout(BROKER_DEADLINE, self.broker.occupied(most)).await;
        let answer = asked.map_err(|_| Refusal::unavailable())?;
        answer.map_err(|error| refusal(&error))
    }

    /// Ends the broker. Its tasks have ended before.
    pub(crate) async fn stop_broker(&self) {
        self.broker.stop().await;
    }

    /// Brings the broker's metrics up to date.
    pub(crate) fn measure(&self, metrics: &Metrics) {
        self.broker.measure(metrics);
    }
}

impl RelayTasks {
    /// Ends all tasks and waits for them.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
