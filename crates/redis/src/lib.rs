//! Reaching Redis: connections that come back by themselves, the pool, the names of channels.
//!
//! Requests reach it as names and bytes and leave as commands; what Redis says by itself leaves
//! through a [`FeedSink`]. It must not know events, envelopes or subscribers.

mod backoff;
mod error;
mod feed;
mod keys;
mod link;
mod pool;
mod publisher;
mod settings;
mod task;

pub use error::RedisError;
pub use feed::{Feed, FeedSink};
pub use keys::Keys;
pub use pool::Pool;
pub use publisher::Publisher;
pub use settings::{Patience, Prefix, PrefixError, Settings};
