//! How long events take to the sockets.

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

/// Bounds of the buckets, in seconds: 100 µs to 10 s, three a decade.
const BUCKETS: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// `delivery_seconds`: one observation for each event, when its last local subscriber was served.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// From publishing, by the publishing node's clock. A raw `PUBLISH` carries no stamp.
    pub published: Histogram,
    /// From taking it off the node's queue.
    pub received: Histogram,
}

impl Delivery {
    pub(crate) fn new(registry: &Registry) -> Self {
        let opts = HistogramOpts::new("delivery_seconds", "From publishing or receiving to the sockets.")
            .namespace("tidegate")
            .buckets(BUCKETS.to_vec());
        let vec = HistogramVec::new(opts, &["from"]).expect("constant name");
        registry.register(Box::new(vec.clone())).expect("each name once");
        Self { published: vec.with_label_values(&["publish"]), received: vec.with_label_values(&["receive"]) }
    }
}
