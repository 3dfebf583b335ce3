//! Row 10: everybody is thrown out, and comes back with positions, all at once and without backing off.
//!
//! Checked in each run: every channel of every connection is recovered, up to the last event.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use super::finding::{Figure, Outcome};
use super::stand::{Setup, Stand};
use super::visitors::{Next, Speech, Visitors};
use crate::clock;
use crate::frame::{Opcode, write_client};
use crate::outlet::{Outlet, Target};

/// Events of each channel before the drop.
const STORED: u64 = 10;
/// Events of each channel while everybody is away.
const MISSED: u64 = 2;
/// How long coming back may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where they come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The node died; another one knows nothing of their channels.
    NewNode,
    /// Only the connections broke.
    SameNode,
}

/// The work.
#[derive(Clone, Copy, Debug)]
pub struct Comeback {
    /// Who is dropped.
    pub connections: u32,
    /// Channels of each.
    pub channels_each: u32,
    /// Connections that share a channel.
    pub sharing: u32,
    /// Where they go.
    pub place: Where,
}

#[derive(Deserialize)]
struct Reply {
    r#type: String,
    #[serde(default)]
    epoch: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    recovered: bool,
    #[serde(default)]
    events: Vec<serde::de::IgnoredAny>,
}

impl Comeback {
    /// Measures it.
    ///
    /// # Errors
    /// When the gateway fails, or somebody is not given what was missed.
    #[expect(clippy::cast_precision_loss, reason = "counts and times of seconds")]
    pub fn measure(&self, stand: &Stand) -> Result<Outcome> {
        let (server, url) = stand.gateway(Setup::History)?;
        self.publish(stand, STORED)?;
        let mut epochs = vec![String::new(); self.channels() as usize];
        let visitors = self.visit(&url, None, |channel, reply| {
            ensure!(reply.offset == STORED, "a channel stands at {} instead of {STORED}", reply.offset);
            epochs[channel as usize] = reply.epoch;
            Ok(())
        })?;
        // Both are the drop: the sockets close.
        let (server, url) = if self.place == Where::NewNode {
            drop((visitors, server));
            stand.gateway(Setup::History)?
        } else {
            drop(visitors);
            (server, url)
        };
        self.publish(stand, MISSED)?;
        let (commands, cpu) = (commands(stand)?, server.cpu()?);
        let start = clock::now();
        let visitors = self.visit(&url, Some(&epochs), |channel, reply| {
            let whole = reply.recovered
                && reply.offset == STORED + MISSED
                && reply.events.len() as u64 == MISSED
                && reply.epoch == epochs[channel as usize];
            ensure!(whole, "a channel is not caught up: it stands at {}", reply.offset);
            Ok(())
        })?;
        let seconds = (clock::now() - start) as f64 / 1e9;
        let cpu = server.cpu()?.saturating_sub(cpu) as f64;
        let commands = self::commands(stand)?.saturating_sub(commands) as f64;
        drop(visitors);
        let subscriptions = f64::from(self.connections) * f64::from(self.channels_each);
        Ok(Outcome::default()
            .with(Figure::Seconds, seconds)
            .with(Figure::Commands, commands / subscriptions)
            .with(Figure::OpenUs, cpu / 1e3 / f64::from(self.connections))
            .with(Figure::Cores, cpu / 1e9 / seconds))
    }

    /// All channels together.
    fn channels(&self) -> u32 {
        (self.connections / self.sharing).max(1) * self.channels_each
    }

    /// The `nth` channel of a connection.
    fn channel(&self, connection: u32, nth: u32) -> u32 {
        (connection % (self.connections / self.sharing).max(1)) * self.channels_each + nth
    }

    fn publish(&self, stand: &Stand, events: u64) -> Result<()> {
        let mut outlet: Outlet = Target::Function(stand.kept.clone()).open()?;
        for _ in 0..events {
            let names: Vec<String> = (0..self.channels()).map(name).collect();
            for names in names.chunks(256) {
                outlet.publish(names.iter().map(|name| (name.as_str(), &b"{\"text\":\"hello\"}"[..])))?;
            }
        }
        Ok(())
    }

    /// Lets everybody in, from the stored position of those epochs if there are any.
    fn visit(
        &self,
        url: &str,
        epochs: Option<&[String]>,
        mut subscribed: impl FnMut(u32, Reply) -> Result<()>,
    ) -> Result<Visitors> {
        let speech = |number| {
            let mut frames = Vec::new();
            write_client(
                Opcode::Text,
                json!({"type": "connect", "id": 1}).to_string().as_bytes(),
                &mut frames,
            );
            for nth in 0..self.channels_each {
                let channel = self.channel(number, nth);
                let mut frame = json!({"type": "subscribe", "id": nth + 2, "channel": name(channel)});
                if let Some(epochs) = epochs {
                    frame["since"] = json!({"epoch": epochs[channel as usize], "offset": STORED});
                }
                write_client(Opcode::Text, frame.to_string().as_bytes(), &mut frames);
            }
            Speech::at(url, "/ws", Some("tidegate.v1.json"), frames)
        };
        let mut left = vec![self.channels_each; self.connections as usize];
        let hear = |number: u32, message: &[u8]| {
            #[derive(Deserialize)]
            struct Id {
                id: u32,
            }
            let reply: Reply = serde_json::from_slice(message)?;
            if reply.r#type == "error" {
                bail!("refused: {}", String::from_utf8_lossy(message));
            }
            if reply.r#type != "subscribed" {
                return Ok(Next::Wait);
            }
            let id: Id = serde_json::from_slice(message)?;
            subscribed(self.channel(number, id.id.saturating_sub(2)), reply)?;
            let left = &mut left[number as usize];
            *left -= 1;
            Ok(if *left == 0 { Next::Done } else { Next::Wait })
        };
        Visitors::send(url, self.connections, PATIENCE, speech, hear).context("coming back")
    }
}

fn name(channel: u32) -> String {
    format!("load:{channel:06}")
}

/// Calls that Redis has counted so far, those inside functions included.
fn commands(stand: &Stand) -> Result<u64> {
    let redis::Value::BulkString(text) = stand.ask(&stand.kept, &["INFO", "commandstats"])? else {
        bail!("INFO answered something else");
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().filter_map(calls).sum())
}

/// `cmdstat_get:calls=21,usec=175,…`
fn calls(line: &str) -> Option<u64> {
    line.strip_prefix("cmdstat_")?.split_once(":calls=")?.1.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_what_redis_says() {
        assert_eq!(calls("cmdstat_get:calls=21,usec=175,usec_per_call=8.33"), Some(21));
        assert_eq!(calls("# Commandstats"), None);
    }

    #[test]
    fn as_many_share_a_channel_as_should() {
        let comeback = Comeback { connections: 200, channels_each: 5, sharing: 100, place: Where::NewNode };
        let mut counted = vec![0; comeback.channels() as usize];
        for connection in 0..200 {
            (0..5).for_each(|nth| counted[comeback.channel(connection, nth) as usize] += 1);
        }
        assert!(counted.len() == 10 && counted.iter().all(|&count| count == 100));
    }
}
