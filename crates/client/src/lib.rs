//! A client of Tidegate: connects, subscribes, publishes, and comes back by itself.
//!
//! Requests go in through [`Client`], each answered; what happens comes out of [`Incoming`], a
//! bounded stream. One task owns the socket; what it does is decided by a pure state machine.
//! In a channel with history each event comes once, in order, through all connections and nodes; where one
//! cannot be had any more, [`News::Gap`] says so. It must not know the gateway's rooms: only the wire.
//!
//! ```no_run
//! use tidegate_client::{Client, News};
//!
//! # async fn example() -> Result<(), tidegate_client::Error> {
//! let (client, mut incoming) = Client::builder("ws://127.0.0.1:8080/ws").connect()?;
//! client.subscribe("chat:1").await?;
//! client.publish_once("chat:1", r#"{"text":"hello"}"#, None).await?;
//! while let Some(news) = incoming.next().await {
//!     if let News::Event(event) = news {
//!         println!("{} {:?}", event.channel, event.payload.bytes());
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod builder;
mod client;
mod error;
mod followers;
mod link;
mod news;
mod requests;
mod silence;
mod socket;
mod task;

pub use builder::Builder;
pub use client::Client;
pub use error::Error;
pub use news::{Event, History, Incoming, Logged, News, Start, State};
pub use tidegate_core::{Epoch, Payload, PayloadKind, Position, PositionError};
pub use tidegate_protocol::Codec;
