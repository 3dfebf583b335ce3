//! Between broker and hub: events on their way to subscribers, subscriptions on their way to the
//! broker, publishing.
//!
//! Sessions reach it through their connection's task; news of the broker through the event queues.
//! It must not know sockets, doors or Redis. Lock order: routes → hub shard → outbox.

mod broker;
mod lane;
mod publisher;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_broker::{BrokerError, EventQueue};
use tidegate_core::hub::{Hub, Joined, Seat};
use tidegate_core::{ChannelName, Event, Payload, Position, Reason, Refusal, Ticket};
use tidegate_metrics::Metrics;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::connection::Peer;
pub(crate) use broker::AnyBroker;
use lane::Lane;
pub(crate) use lane::LaneMetrics;
use publisher::{Publisher, Publishing};
use routes::Routes;

/// How long a request may wait for the broker. Together with the way to the client this keeps the
/// promise of an answer within 2 s.
const BROKER_DEADLINE: Duration = Duration::from_millis(1500);

/// Handles of subscribers, as the hub keeps them.
pub(crate) type Subscribers = Hub<Arc<Peer>>;

/// The relay of a node.
pub(crate) struct Relay {
    hub: Arc<Subscribers>,
    broker: Arc<AnyBroker>,
    routes: Arc<Routes>,
    publisher: Publisher,
    clock: Clock,
}

/// The relay's tasks, ended by whoever started them.
pub(crate) struct RelayTasks {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Relay {
    /// Starts a lane for each queue, and the tasks that subscribe and publish.
    pub(crate) fn start(
        hub: Arc<Subscribers>,
        broker: AnyBroker,
        queues: Vec<Arc<EventQueue>>,
        linger: Duration,
        clock: Clock,
        metrics: LaneMetrics,
    ) -> (Self, RelayTasks) {
        let broker = Arc::new(broker);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for queue in queues {
            let lane = Lane::new(queue, Arc::clone(&hub), clock.clone(), metrics.clone());
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(lane.run()).await.unwrap_or_default() });
        }
        let routes = Arc::new(Routes::new(Arc::clone(&hub), linger));
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
        (Self { hub, broker, routes, publisher, clock }, RelayTasks { tasks, stop })
    }

    /// Takes a seat in `channel`. Unless it is live, the connection gets the answer later.
    ///
    /// # Errors
    /// `unavailable` while the broker is known to be away, or when too many wait.
    pub(crate) fn join(
        &self,
        channel: &ChannelName,
        connection: &Arc<Peer>,
        ticket: Ticket,
    ) -> Result<Joined, Refusal> {
        if !self.broker.hears(channel) {
            return Err(Refusal::unavailable());
        }
        let joined = self.hub.join(channel, Arc::clone(connection));
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
        if let Some(channel) = self.hub.leave(seat) {
            self.routes.linger(channel);
        }
    }

    /// Whether events of a channel are numbered and kept.
    #[expect(dead_code, reason = "publishing and subscribing will ask")]
    pub(crate) fn has_history(&self, channel: &ChannelName) -> bool {
        self.broker.has_history(channel)
    }

    /// Publishes in the order of calls; `done` hears what became of it, within 2 s, and at once while the broker is known
    /// to be away.
    pub(crate) fn publish(
        &self,
        channel: ChannelName,
        payload: Bytes,
        from: Option<Arc<str>>,
        done: impl FnOnce(Result<Option<Position>, Refusal>) + Send + 'static,
    ) {
        if !self.broker.hears(&channel) {
            // Also while only listening fails: nobody here would hear what is said to be published.
            return done(Err(Refusal::unavailable()));
        }
        let published_us = Some(self.clock.unix_us());
        let event = Event { from, published_us, ..Event::live(Payload::new(payload)) };
        self.publisher.publish(Publishing::new(channel, event, Box::new(done)));
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

/// What a client is told of a broker's error. The broker's own words stay in the log.
fn refusal(error: &BrokerError) -> Refusal {
    match error {
        BrokerError::Unavailable(_) => Refusal::unavailable(),
        BrokerError::Refused(_) => {
            Refusal::new(Reason::Internal, "the broker refused it; the node's log says why")
        }
    }
}
