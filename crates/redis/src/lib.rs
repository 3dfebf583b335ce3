//! Reaching Redis: connections that come back by themselves and follow their servers, the pool, the names
//! of channels.
//!
//! Requests reach it as names and bytes and leave as commands; what Redis says by itself leaves
//! through a [`FeedSink`]. It must not know events, envelopes or subscribers.

mod address;
mod backoff;
mod canary;
mod cluster;
mod command;
mod dialect;
mod error;
mod feed;
mod functions;
mod keys;
mod link;
mod lookout;
mod paced;
mod pool;
mod prefix;
mod publisher;
mod replicas;
mod rounds;
mod servers;
mod settings;
mod shard;
mod task;
mod topology;
mod whereabouts;

pub use command::{Answer, Call};
pub use error::RedisError;
pub use functions::{Library, LibraryState, LibraryVersion};
pub use keys::Keys;
pub use prefix::{Prefix, PrefixError};
pub use servers::{FeedSink, Servers, Written};
pub use settings::{Patience, Settings};
pub use topology::{SentinelTopology, Topology};
