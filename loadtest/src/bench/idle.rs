//! Rows 6, 7 and 9: connections that come, hold one subscription, and answer pings.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::finding::{Figure, Outcome};
use super::process::Server;
use super::stand::{Setup, Stand, TOKEN};
use super::subject::Subject;
use crate::clock;
use crate::door::Doors;
use crate::load::Load;
use crate::scenario::Scenario;

/// Connections on one channel of a fresh server.
#[derive(Clone, Copy, Debug)]
pub struct Guests {
    /// How many.
    pub connections: u32,
    /// Whether each shows a token, which the gateway checks.
    pub token: bool,
    /// How long they rest: first until buffers have settled, then measured. None: they only come.
    pub rest: Option<(Duration, Duration)>,
}

impl Guests {
    /// Measures one subject.
    ///
    /// # Errors
    /// When the server or a connection fails.
    #[expect(clippy::cast_precision_loss, reason = "bytes and times")]
    pub fn measure(&self, stand: &Stand, subject: Subject) -> Result<Outcome> {
        let (server, url) = self.server(stand, subject)?;
        let (memory, opening) = (server.memory()?, server.cpu()?);
        let scenario = Scenario::new(&url, self.connections, 1, Doors::One(subject.door()), 128);
        let scenario = Arc::new(Scenario { token: self.token.then(|| TOKEN.to_owned()), ..scenario });
        let load = Load::open(&scenario, |_| {})?;
        let each = |sum: u64| sum as f64 / f64::from(self.connections);
        let opened = each(server.cpu()?.saturating_sub(opening)) / 1e3;
        let mut outcome = Outcome::default().with(Figure::OpenUs, opened);
        if let Some((settling, measured)) = self.rest {
            thread::sleep(settling);
            let (start, resting) = (clock::now(), server.cpu()?);
            thread::sleep(measured);
            let cpu = each(server.cpu()?.saturating_sub(resting)) / 1e3;
            let seconds = (clock::now() - start) as f64 / 1e9;
            let bytes = each(server.memory()?.saturating_sub(memory));
            outcome = outcome.with(Figure::Bytes, bytes).with(Figure::IdleUs, cpu / seconds);
        }
        outcome.ended = load.finish(&[0])?.tally.ended.values().sum();
        Ok(outcome)
    }

    fn server(&self, stand: &Stand, subject: Subject) -> Result<(Server, String)> {
        match subject {
            _ if subject.is_peer() => stand.peers.start(subject, &stand.redis),
            _ if self.token => stand.gateway(Setup::Tokens),
            _ => stand.gateway(Setup::Usual),
        }
    }
}
