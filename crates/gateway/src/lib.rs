//! A Tidegate node: listeners, doors, relay and API, as a library.
//!
//! [`Gateway::start`] takes settings and gives the addresses it listens at; [`Gateway::run`] serves
//! until it is told to stop, then drains. The binary and the tests use the same two. It must not
//! know Redis' commands: that is the broker's.

mod admin;
#[cfg(feature = "bench")]
pub mod bench;
mod clock;
mod connection;
mod doors;
mod drain;
mod front;
mod listen;
mod node;
mod refusing;
mod registry;
mod relay;
pub mod settings;
mod start;
mod wire;

pub use settings::Settings;
pub use start::{Addresses, Gateway, StartError};

use tokio_util::sync::CancellationToken;

/// Runs a node until `shutdown`, then drains it.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), StartError> {
    Gateway::start(settings).await?.run(shutdown).await;
    Ok(())
}
