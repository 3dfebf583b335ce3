//! Tests of Tidegate against real servers: launchers of Redis, nginx and nodes, a proxy that breaks links,
//! free ports, deadlines, tools.
//!
//! What a launcher starts runs on loopback, keeps its files in a temporary folder, shows the end of its log when a
//! test fails, and ends with the value that owns it. Only tests and `xtask` depend on this crate.

pub mod autobahn;
pub mod checker;
mod echo;
pub mod history;
mod nginx;
mod node;
mod poll;
mod port;
mod process;
pub mod proxy;
mod redis;
mod redis_cluster;
mod report;
mod sentinel;
pub mod tools;
mod usage;
pub mod witness;

pub use echo::echo_binary;
pub use nginx::Nginx;
pub use node::{Node, NodeBuilder};
pub use poll::{eventually, eventually_async};
pub use port::free_port;
pub use process::{Process, run};
pub use proxy::Proxy;
pub use redis::{RedisServer, Snapshot};
pub use redis_cluster::RedisCluster;
pub use report::{full, say};
pub use sentinel::{MASTER, SentinelSet};
pub use usage::Usage;
