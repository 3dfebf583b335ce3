//! Metrics by door.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use crate::{int_counters, int_gauges};

/// The families that are labelled by door.
#[derive(Debug, Clone)]
pub struct Doors {
    connections: IntGaugeVec,
    opened: IntCounterVec,
    closed: IntCounterVec,
    deliveries: IntCounterVec,
    bytes: IntCounterVec,
}

/// The handles of one door, resolved once.
#[derive(Debug, Clone)]
pub struct Door {
    /// Connections open now.
    pub connections: IntGauge,
    /// Connections ever opened.
    pub opened: IntCounter,
    /// Events handed to a connection.
    pub deliveries: IntCounter,
    /// Bytes of these events, framing included.
    pub bytes: IntCounter,
    name: String,
    closed: IntCounterVec,
}

impl Doors {
    pub(crate) fn new(registry: &Registry) -> Self {
        let door = &["door"];
        let counters = |name, help| int_counters(registry, name, help, door);
        Self {
            connections: int_gauges(registry, "connections", "Connections open now.", door),
            opened: counters("connections_opened_total", "Connections opened."),
            closed: int_counters(
                registry,
                "connections_closed_total",
                "Connections closed, by reason.",
                &["door", "reason"],
            ),
            deliveries: counters("deliveries_total", "Events handed to connections."),
            bytes: counters("delivered_bytes_total", "Bytes of these events, framing included."),
        }
    }

    /// The handles of a door.
    pub fn of(&self, name: &str) -> Door {
        Door {
            connections: self.connections.with_label_values(&[name]),
            opened: self.opened.with_label_values(&[name]),
            deliveries: self.deliveries.with_label_values(&[name]),
            bytes: self.bytes.with_label_values(&[name]),
            name: name.to_owned(),
            closed: self.closed.clone(),
        }
    }
}

impl Door {
    /// Connections closed for `reason`.
    pub fn closed(&self, reason: &str) -> IntCounter {
        self.closed.with_label_values(&[self.name.as_str(), reason])
    }
}
