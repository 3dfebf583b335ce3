//! The node: what its connections share, and how a connection begins and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidegate_broker::LogPace;
use tidegate_core::place::Since;
use tidegate_core::session::{Input, Now, Policy, Session};
use tidegate_core::{Close, Reason, SessionId};
use tidegate_metrics::{Door as DoorMetrics, Metrics};
use tidegate_protocol::codes;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::connection::{Connection, Serve, Shared, Socket};
use crate::doors::{self, Door, Greeting};
use crate::front::{OpenedDoor, Origins};
use crate::registry::Registry;
use crate::relay::{Relay, Subscribers};
use crate::wire::Format;

/// What doors need of the settings.
#[derive(Debug, Clone)]
pub(crate) struct NodeSettings {
    pub(crate) page: bool,
    pub(crate) origins: Origins,
    pub(crate) api: ApiKey,
}

/// What the API asks for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum ApiKey {
    /// Nothing: the admin port is on loopback.
    Open,
    /// This key.
    Needed(String),
    /// There is no key, and the port is not on loopback: nobody gets in.
    Closed,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(secret)")
    }
}

/// A connection that was let in.
pub(crate) struct Arrival {
    /// Its place among the connections of the node; given back when it is gone.
    pub(crate) permit: OwnedSemaphorePermit,
    /// When it came: what it has to say within 5 s counts from here, not from where its door opened.
    pub(crate) at: Now,
}

/// One node.
pub(crate) struct Node {
    pub(crate) settings: NodeSettings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<Subscribers>,
    pub(crate) relay: Relay,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) doors: [DoorMetrics; doors::NAMES.len()],
    pub(crate) shared: Arc<Shared>,
    pub(crate) greeting: Arc<Greeting>,
    /// Cancelled when the node accepts nobody any more, handshakes under way included.
    pub(crate) accepting: CancellationToken,
    /// The tasks of connections and handshakes; the node ends when they have.
    pub(crate) tasks: TaskTracker,
    draining: AtomicBool,
    /// Held while metrics are measured and written: two Prometheus servers may ask at once.
    measuring: Mutex<()>,
    slow: LogPace,
}

/// Everything a node is made of.
pub(crate) struct Parts {
    pub(crate) settings: NodeSettings,
    pub(crate) policy: Arc<Policy>,
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<Subscribers>,
    pub(crate) relay: Relay,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) shared: Arc<Shared>,
    pub(crate) greeting: Greeting,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { settings, policy, clock, hub, relay, registry, metrics, shared, greeting } = parts;
        let doors = doors::NAMES.map(|name| metrics.doors.of(name));
        let (tasks, draining) = (TaskTracker::new(), AtomicBool::new(false));
        let accepting = CancellationToken::new();
        let greeting = Arc::new(greeting);
        Self {
            settings,
            policy,
            clock,
            hub,
            relay,
            registry,
            metrics,
            doors,
            shared,
            greeting,
            accepting,
            tasks,
            draining,
            measuring: Mutex::new(()),
            slow: LogPace::default(),
        }
    }

    /// Why the node is not ready; none when it is.
    pub(crate) fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Acquire) {
            Some("the node is about to stop")
        } else if !self.relay.is_up() {
            Some("the broker is not heard")
        } else if self.relay.lacks_functions() {
            Some("Redis lacks the function library, which channels with history need")
        } else if self.relay.is_resyncing() {
            Some("channels read what they missed")
        } else {
            None
        }
    }

    /// Whether the node is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// From now on the node is not ready.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// All metrics as text.
    pub(crate) fn render(&self) -> String {
        let _alone = self.measuring.lock();
        self.measure();
        self.metrics.render()
    }

    /// Brings what is measured rather than counted up to date. By one at a time: two would both add what is
    /// missing, and read what the other has just forgotten.
    fn measure(&self) {
        self.metrics.subscriptions.set(self.hub.subscriptions() as i64);
        self.metrics.channels.set(self.hub.channels() as i64);
        self.metrics.ready.set(i64::from(self.not_ready().is_none()));
        self.relay.measure(&self.metrics);
    }

    /// Counts a refused request.
    pub(crate) fn refused(&self, reason: Reason) {
        self.metrics.error(codes::error_code(reason)).inc();
    }

    /// Opens a door on a socket, in a task of its own.
    pub(crate) fn serve(
        self: &Arc<Self>,
        socket: Socket,
        opened: OpenedDoor,
        leftover: &[u8],
        arrival: Arrival,
    ) {
        let OpenedDoor { door, format, manner, head, first } = opened;
        let door_metrics = &self.doors[door.index()];
        door_metrics.opened.inc();
        door_metrics.connections.inc();
        let connection = Arc::new(Connection::new(socket, format, Arc::clone(&self.shared)));
        if let (Format::SseMany, Some(Input::Open { channels, .. })) = (format, &first) {
            let position = |since: &Since| match since {
                Since::At(position) => Some(*position),
                Since::Now | Since::Last(_) => None,
            };
            connection.list(channels.iter().map(|(channel, since)| (channel.clone(), position(since))));
        }
        match head {
            Some(head) => connection.send(head),
            None => connection.hold(),
        }
        let id = SessionId::from_random(rand::random());
        let session = Session::new(Arc::clone(&self.policy), id, manner, arrival.at);
        let mut serve = Serve::new(Arc::clone(self), connection, session, door, arrival.permit);
        serve.begin(first, leftover);
        if self.is_draining() {
            serve.goodbye(); // the drain may have looked through the registry just before
        }
        self.tasks.spawn(serve);
    }

    /// A connection is gone. `close` is why, if we closed it.
    pub(crate) fn closed(&self, door: &Door, session: SessionId, close: Option<Close>) {
        let reason = close.map_or("gone", |close| codes::close_code(close).1);
        let metrics = &self.doors[door.index()];
        metrics.connections.dec();
        metrics.closed(reason).inc();
        if close == Some(Close::Slow)
            && let Some(times) = self.slow.tick()
        {
            tracing::warn!(times, "connections closed: their clients read too slowly");
        }
        tracing::debug!(door = doors::NAMES[door.index()], %session, reason, "connection closed");
    }
}
