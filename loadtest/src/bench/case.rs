//! What the works of the rows are called, in the table and in the raw figures.

/// Row 1.
pub const LOW_RATE: &str = "2,000 subscribers, 20/s";
/// Row 2.
pub const FULL_SPEED: &str = "2,000 subscribers, full speed";
/// Row 3.
pub const ROOMS: &str = "1,000 rooms × 10, 5/s each";
/// Row 4.
pub const DIRECT: &str = "10,000 own channels, 5,000/s";
/// Row 5: the base.
pub const LIVE: &str = "1,000 rooms × 10, live";
/// Row 5.
pub const KEPT: &str = "1,000 rooms × 10, history";
/// Rows 6 and 7.
pub const IDLE: &str = "15,000 idle";
/// Row 8.
pub const ECHO: &str = "10,000 after an echo of 30 kB";
/// Row 9.
pub const NO_TOKEN: &str = "connect, subscribe";
/// Row 9.
pub const TOKEN: &str = "the same with a token";
/// Row 10.
pub const SHARED_NEW: &str = "10,000 × 5, 100 share, to a new node";
/// Row 10.
pub const OWN_NEW: &str = "10,000 × 5, own ones, to a new node";
/// Row 10.
pub const SHARED_SAME: &str = "10,000 × 5, 100 share, same node";
/// Row 10.
pub const OWN_SAME: &str = "10,000 × 5, own ones, same node";
/// Row 11: how the rate is found.
pub const SATURATED: &str = "2 nodes, rooms of 10, full speed";
/// Row 11.
pub const HALF: &str = "2 nodes, rooms of 10, half of that";
/// Row 12: to compare with.
pub const PUBLISH: &str = "PUBLISH";
/// Row 12.
pub const FUNCTION: &str = "tg_publish";
/// Row 12.
pub const KEYED: &str = "tg_publish with a key";
/// Row 13: one channel, more subscribers.
pub const CONNECTIONS: [(u32, &str); 3] =
    [(1, "1,000 subscribers"), (2, "2,000 subscribers"), (4, "4,000 subscribers")];
/// Row 13: more rooms of ten, the same rate in total.
pub const CHANNELS: [(u32, &str); 3] =
    [(1, "250 rooms × 10"), (2, "500 rooms × 10"), (4, "1,000 rooms × 10")];
/// Row 13: the same subscribers on more nodes.
pub const NODES: [(u32, &str); 3] = [(1, "one node"), (2, "two nodes"), (4, "four nodes")];
/// Row 13: more subscriptions for each of the same connections.
pub const SUBSCRIPTIONS: [(u32, &str); 3] =
    [(1, "one subscription each"), (2, "two subscriptions each"), (4, "four subscriptions each")];
/// Row 13: more connections that come and rest.
pub const RESTING: [(u32, &str); 3] = [(1, "4,000 idle"), (2, "8,000 idle"), (4, "16,000 idle")];
