//! Every metric of a node, named once; docs/api.md lists the same.
//!
//! Handles are resolved at start, so that counting is one atomic. No label by channel, user or
//! path. Knows none of our other crates: labels come in as words.

mod delivery;
mod door;

use prometheus::{Encoder, Gauge, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

pub use delivery::Delivery;
pub use door::{Door, Doors};
pub use prometheus::{IntCounter, IntGauge};

/// Why events did not reach whom they were meant for: the values of `events_dropped_total{reason}`.
pub const DROP_REASONS: &[&str] = &["slow", "oversized", "queue_full", "unknown_envelope", "unknown_channel"];

/// Why a connection was refused before its door opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedFor {
    /// The node has as many as `limits.connections` allows.
    Full,
    /// The process has no file descriptor left.
    Files,
    /// The head of the request did not come in time.
    Timeout,
}

/// All metrics of one node. Several nodes in one process have one each.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// By door.
    pub doors: Doors,
    /// Seats taken in channels.
    pub subscriptions: IntGauge,
    /// Channels this node is subscribed to.
    pub channels: IntGauge,
    /// Events that reached the node.
    pub events_received: IntCounter,
    /// Events without a position in channels with history.
    pub unnumbered: IntCounter,
    /// Bytes that wait in outboxes.
    pub outbox_bytes: IntGauge,
    /// Seconds the newest batch of events took from the queue to the sockets.
    pub relay_lag: Gauge,
    /// Looks at a Redis whose function library has other settings than this node.
    pub library_conflicts: IntCounter,
    /// 1 while the node is ready.
    pub ready: IntGauge,
    /// From publishing and from receiving to the sockets.
    pub delivery: Delivery,
    repairs: IntCounterVec,
    refused: [IntCounter; 3],
    dropped: IntCounterVec,
    errors: IntCounterVec,
    redis_up: IntGaugeVec,
    redis_reconnects: IntCounterVec,
}

impl Metrics {
    /// The metrics of a node whose events come from `source` (`memory` or `redis`).
    ///
    /// # Panics
    /// Never on input: names and labels are constants, each registered once in a fresh registry.
    pub fn new(version: &str, source: &str) -> Self {
        let registry = Registry::new();
        let build = int_gauges(&registry, "build_info", "Version of the node; always 1.", &["version"]);
        build.with_label_values(&[version]).set(1);
        let received =
            int_counters(&registry, "events_received_total", "Events that reached the node.", &["source"]);
        let dropped =
            int_counters(&registry, "events_dropped_total", "Events not delivered, by reason.", &["reason"]);
        for reason in DROP_REASONS {
            dropped.with_label_values(&[reason]); // a series that exists can be alerted on
        }
        let refused = int_counters(
            &registry,
            "connections_refused_total",
            "Connections refused before their door opened, by reason.",
            &["reason"],
        );
        let lag = Gauge::with_opts(opts("relay_lag_seconds", "From the queue to the sockets, newest batch."));
        let relay_lag = lag.and_then(|g| registry.register(Box::new(g.clone())).map(|()| g));
        Self {
            doors: Doors::new(&registry),
            subscriptions: int_gauge(&registry, "subscriptions", "Subscriptions of connections."),
            channels: int_gauge(&registry, "channels", "Channels this node is subscribed to."),
            events_received: received.with_label_values(&[source]),
            unnumbered: int_counter(
                &registry,
                "events_unnumbered_total",
                "Events without a position in channels with history.",
            ),
            outbox_bytes: int_gauge(&registry, "outbox_bytes", "Bytes that wait in outboxes."),
            relay_lag: relay_lag.expect("constant name, fresh registry"),
            library_conflicts: int_counter(
                &registry,
                "redis_library_conflicts_total",
                "Looks at a Redis whose function library has other settings of the same revision.",
            ),
            ready: int_gauge(&registry, "ready", "1 while the node is ready."),
            delivery: Delivery::new(&registry),
            repairs: int_counters(
                &registry,
                "relay_repairs_total",
                "Channels whose missing events were read from their history, by cause.",
                &["cause"],
            ),
            refused: ["full", "files", "timeout"].map(|reason| refused.with_label_values(&[reason])),
            dropped,
            errors: int_counters(&registry, "errors_total", "Refused requests, by code.", &["code"]),
            redis_up: int_gauges(&registry, "redis_up", "1 while this Redis shard is heard.", &["shard"]),
            redis_reconnects: int_counters(
                &registry,
                "redis_reconnects_total",
                "Connections to this Redis shard that had to be made anew.",
                &["shard"],
            ),
            registry,
        }
    }

    /// Connections refused before their door opened.
    pub fn refused(&self, why: RefusedFor) -> &IntCounter {
        &self.refused[why as usize]
    }

    /// Channels that were repaired for this cause.
    pub fn repairs(&self, cause: &'static str) -> IntCounter {
        self.repairs.with_label_values(&[cause])
    }

    /// Events that were not delivered, for one of [`DROP_REASONS`].
    pub fn dropped(&self, reason: &'static str) -> IntCounter {
        self.dropped.with_label_values(&[reason])
    }

    /// Refused requests with this code.
    pub fn error(&self, code: &'static str) -> IntCounter {
        self.errors.with_label_values(&[code])
    }

    /// Whether a Redis shard is heard.
    pub fn redis_up(&self, shard: u16) -> IntGauge {
        self.redis_up.with_label_values(&[shard.to_string()])
    }

    /// Connections to a Redis shard that had to be made anew.
    pub fn redis_reconnects(&self, shard: u16) -> IntCounter {
        self.redis_reconnects.with_label_values(&[shard.to_string()])
    }

    /// Forgets the shards there were; those that are there are set anew before each rendering.
    pub fn forget_redis_shards(&self) {
        self.redis_up.reset();
        self.redis_reconnects.reset();
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        // Encoding fails only for metrics without samples or names, which `gather` leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("tidegate")
}

fn int_gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::with_opts(opts(name, help)).expect("constant name");
    registry.register(Box::new(gauge.clone())).expect("each name once");
    gauge
}

fn int_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let gauges = IntGaugeVec::new(opts(name, help), labels).expect("constant name");
    registry.register(Box::new(gauges.clone())).expect("each name once");
    gauges
}

fn int_counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::with_opts(opts(name, help)).expect("constant name");
    registry.register(Box::new(counter.clone())).expect("each name once");
    counter
}

fn int_counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counters = IntCounterVec::new(opts(name, help), labels).expect("constant name");
    registry.register(Box::new(counters.clone())).expect("each name once");
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_prefix() {
        let metrics = Metrics::new("1.2.3", "redis");
        metrics.doors.of("plain").connections.inc();
        metrics.doors.of("plain").closed("slow").inc();
        metrics.dropped("slow").inc_by(3);
        metrics.delivery.published.observe(0.002);
        metrics.redis_up(0).set(1);
        let text = metrics.render();
        for line in [
            "tidegate_build_info{version=\"1.2.3\"} 1",
            "tidegate_connections{door=\"plain\"} 1",
            "tidegate_connections_closed_total{door=\"plain\",reason=\"slow\"} 1",
            "tidegate_events_dropped_total{reason=\"slow\"} 3",
            "tidegate_delivery_seconds_count{from=\"publish\"} 1",
            "tidegate_redis_up{shard=\"0\"} 1",
            "tidegate_events_received_total{source=\"redis\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
