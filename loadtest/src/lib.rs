//! The load generator: what it takes to open thousands of sockets, publish at a rate, check every
//! delivery, and say what it cost beside the floor that the kernel alone sets.
//!
//! `run` is one scenario against any gateway; `floor` and `room_floor` are the servers to compare
//! with; `bench` starts all of them itself and writes the figures down. Plain threads and epoll,
//! no runtime: the generator shares the machine with what it measures, so receiving must be cheap.
//! It knows Tidegate from outside only: none of its crates.

pub mod bench;
pub mod checker;
pub mod clock;
pub mod connection;
pub mod crew;
pub mod door;
pub mod files;
pub mod findings;
pub mod floor;
pub mod frame;
pub mod greeting;
pub mod http;
pub mod latency;
pub mod live;
pub mod load;
pub mod outlet;
pub mod pace;
pub mod places;
pub mod plant;
pub mod progress;
pub mod publisher;
pub mod rate;
pub mod receiver;
pub mod report;
pub mod resp;
pub mod room_floor;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod seat;
pub mod series;
pub mod socket_io;
pub mod speaker;
pub mod sse;
pub mod stamp;
pub mod tally;
pub mod upgrade;
pub mod vitals;
