//! Starting a node, running it, ending it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_broker::{BrokerError, EventQueue, QueueLimits};
use tidegate_core::hub::Hub;
use tidegate_core::session::Policy;
use tidegate_metrics::Metrics;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::connection::Shared;
use crate::doors::Greeting;
use crate::front::Turns;
use crate::node::{Node, NodeSettings, Parts};
use crate::registry::Registry;
use crate::relay::{AnyBroker, LaneMetrics, Relay, RelayTasks};
use crate::settings::{Settings, SettingsError};
use crate::{drain, listen};

/// Shards of the hub: enough that two workers seldom meet.
const HUB_SHARDS: usize = 64;
/// How long a channel without subscribers is kept, so that a reload of a page costs nothing.
const LINGER: Duration = Duration::from_secs(5);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An address cannot be listened at.
    #[error("cannot listen at {0} (is another node running there?)")]
    Listen(SocketAddr, #[source] io::Error),
    /// The broker cannot be had with these settings.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// No address is left.
    #[error("server.listen names no address of this machine")]
    Nowhere,
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The doors, at least one.
    pub public: Vec<SocketAddr>,
    /// API, metrics, health.
    pub admin: SocketAddr,
    /// Whether the page is on.
    pub page: bool,
}

/// A node that listens and is ready to run.
pub struct Gateway {
    node: Arc<Node>,
    public: Vec<TcpListener>,
    admin: TcpListener,
    addresses: Addresses,
    relay: RelayTasks,
    connections: usize,
    turns: usize,
    admin_connections: usize,
    unheard: Duration,
    drain: Duration,
}

impl Gateway {
    /// Checks the settings, listens, and begins to reach for the broker. A broker that is away is
    /// no error: the node runs, not ready, and keeps trying.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong and with which setting.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let checked = settings.check()?;
        let mut public = Vec::new();
        for &address in &checked.listen {
            match listen::bind(address) {
                Ok(listener) => public.push(listener),
                Err(error) if checked.listen.len() > 1 && listen::lacks_family(&error) => {
                    tracing::info!(%address, %error, "this machine lacks the address: skipped");
                }
                Err(error) => return Err(StartError::Listen(address, error)),
            }
        }
        let admin = listen::bind(checked.admin).map_err(|error| StartError::Listen(checked.admin, error))?;
        let local = |listener: &TcpListener| listener.local_addr().ok();
        let addresses = Addresses {
            public: public.iter().filter_map(local).collect(),
            admin: local(&admin).unwrap_or(checked.admin),
            page: checked.page,
        };
        if addresses.public.is_empty() {
            return Err(StartError::Nowhere);
        }

        let (connections, drain) = (checked.connections, checked.drain);
        let admin_connections = checked.admin_connections;
        if connections < settings.limits.connections {
            tracing::warn!(
                set = settings.limits.connections,
                connections,
                "limits.connections is more than the file limit (ulimit -n) has room for"
            );
        }
        let source = if checked.redis.is_some() { "redis" } else { "memory" };
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), source);
        let clock = Clock::start();
        let hub = Arc::new(Hub::new(HUB_SHARDS));
        let queues: Vec<_> =
            (0..checked.workers).map(|_| Arc::new(EventQueue::new(QueueLimits::default()))).collect();
        let broker = match checked.redis.clone() {
            None => AnyBroker::memory(checked.history, queues.clone()),
            Some(redis) => AnyBroker::redis(&redis, checked.history, queues.clone())?,
        };
        let lanes = LaneMetrics::new(&metrics);
        let (relay, tasks) =
            Relay::start(Arc::clone(&hub), broker, queues, LINGER, clock.clone(), lanes, settings.naive);
        // The kernel's answer counts as much as a pong: a stream of events has no other.
        let unheard = checked.pong;
        let greeting = Greeting { limits: checked.limits, ping: checked.ping };
        let shared = Arc::new(Shared {
            outbox: checked.outbox,
            clock: clock.clone(),
            outbox_bytes: metrics.outbox_bytes.clone(),
            dropped_slow: metrics.dropped("slow"),
        });
        let node = Arc::new(Node::new(Parts {
            settings: NodeSettings { page: checked.page, origins: checked.origins, api: checked.api },
            policy: Arc::new(Policy { access: checked.access, limits: checked.limits }),
            clock,
            hub,
            relay,
            registry: Registry::new(checked.ping, checked.pong),
            metrics,
            shared,
            greeting,
        }));
        Ok(Self {
            node,
            public,
            admin,
            addresses,
            relay: tasks,
            connections,
            turns: checked.handshakes,
            admin_connections,
            unheard,
            drain,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What its connections share.
    #[cfg(test)]
    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// Serves until `shutdown`, then drains and ends every task it started.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            node, public, admin, relay, connections, turns, admin_connections, unheard, drain, ..
        } = self;
        let serving = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let permits = Arc::new(Semaphore::new(connections));
        let turns = Arc::new(Turns::new(turns));
        tasks.spawn(listen::accept(Arc::clone(&node), public, permits, turns, unheard));
        tasks.spawn(crate::admin::serve(Arc::clone(&node), admin, admin_connections, serving.clone()));
        tasks.spawn(heartbeat(Arc::clone(&node), serving.clone()));

        shutdown.cancelled().await;
        node.begin_drain();
        node.accepting.cancel();
        drain::drain(&node, drain).await;
        serving.cancel();
        while tasks.join_next().await.is_some() {}
        relay.stop().await;
        node.relay.stop_broker().await;
    }
}

/// Once a second: the clock, and who is due.
async fn heartbeat(node: Arc<Node>, stop: CancellationToken) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while stop.run_until_cancelled(second.tick()).await.is_some() {
        let now_s = node.clock.tick();
        node.registry.tick(now_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn metrics_are_whole_for_all_who_ask_at_once() {
        let mut settings = Settings::default();
        settings.server.listen = crate::settings::List(vec!["127.0.0.1:0".into()]);
        settings.server.admin = "127.0.0.1:0".into();
        settings.redis.url = Some("redis://127.0.0.1:1".into()); // nobody is there
        let gateway = Gateway::start(settings).await.unwrap();
        let node = &gateway.node;
        while !node.render().contains("tidegate_redis_up{") {
            tokio::task::yield_now().await;
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let text = node.render();
                        for series in ["redis_up", "redis_reconnects_total"] {
                            let line = format!("\ntidegate_{series}{{shard=\"0\"}} ");
                            assert!(text.contains(&line), "{series} is missing");
                        }
                    }
                });
            }
        });
    }
}
