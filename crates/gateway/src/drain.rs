//! Stopping without a storm: every client is told to come back elsewhere, one after another.
//!
//! Hints are spaced over most of the drain time, so that the other nodes take the clients in at a
//! pace; whoever does not follow is closed with 4200 a moment later.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidegate_protocol::{Codec, ServerFrame};
use tokio::time::Instant;

use crate::connection::{Peer, wake};
use crate::doors::encode_native;
use crate::node::Node;
use crate::wire::Format;

/// The part of the drain time over which hints are spaced; the rest is for goodbyes.
const HINTING: f64 = 0.8;
/// A group of hints at once, at most so often: timers are not finer than a millisecond.
const STEP: Duration = Duration::from_millis(20);
/// How long after its hint a connection is closed, at most a tenth of the drain time.
const GRACE: Duration = Duration::from_secs(1);

/// How long tasks that were cut may take to end.
const CUT: Duration = Duration::from_secs(1);

/// Drains the node within `time`. Ends at once when no connection is left.
pub(crate) async fn drain(node: &Arc<Node>, time: Duration) {
    let start = Instant::now();
    let deadline = start + time;
    // Weak: who leaves takes its descriptor along.
    let connections: Vec<Weak<Peer>> = node.registry.all().iter().map(Arc::downgrade).collect();
    let count = connections.len();
    if count > 0 {
        tracing::info!(connections = count, seconds = time.as_secs_f64(), "draining");
    }
    let grace = GRACE.min(time / 10);
    let hinting = time.mul_f64(HINTING);
    let due = |at: usize| start + hinting.mul_f64(at as f64 / count.max(1) as f64);
    let (mut hinted, mut closed) = (0, 0);
    while closed < count && node.registry.len() > 0 && Instant::now() < deadline {
        let now = Instant::now();
        while hinted < count && due(hinted) <= now {
            connections[hinted].upgrade().iter().for_each(hint);
            hinted += 1;
        }
        while closed < hinted && due(closed) + grace <= now {
            connections[closed].upgrade().iter().for_each(|connection| connection.goodbye());
            closed += 1;
        }
        tokio::time::sleep(STEP).await;
    }
    // Who was accepted while the drain began, and whoever is left.
    node.registry.all().iter().for_each(|connection| connection.goodbye());
    node.tasks.close();
    if tokio::time::timeout_at(deadline, node.tasks.wait()).await.is_err() {
        tracing::warn!(connections = node.registry.len(), "the drain time is over: cutting the rest");
        node.registry.all().iter().for_each(|connection| connection.wake(wake::KILL));
        // A killed task ends in its next turn.
        let _ = tokio::time::timeout(CUT, node.tasks.wait()).await;
    }
}

fn hint(connection: &Arc<Peer>) {
    let frame = ServerFrame::Reconnect { after_ms: 0 }; // the spacing is ours already
    match connection.format() {
        Format::Json => connection.send(encode_native(Codec::Json, &frame)),
        Format::MessagePack => connection.send(encode_native(Codec::MessagePack, &frame)),
        Format::Plain | Format::SseOne | Format::SseMany => {} // no words for it but the goodbye
    }
}
