//! What was published into channels with history, and what their publishers were told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tidegate_core::Position;

use super::{Line, Log, Told};

/// Every publish, by its number; a retry under the same key has the same number.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    channels: Vec<String>,
    index: HashMap<String, usize>,
    publishes: Vec<Publish>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) channel: usize,
    pub(super) keyed: bool,
    pub(super) asked: Instant,
    /// Where its publisher was told that it stands; several where it was tried again.
    pub(super) told: Vec<Position>,
}

/// What is published for a number: JSON, unique, and short.
pub fn payload_of(number: u64) -> String {
    format!(r#"{{"n":{number}}}"#)
}

/// The key that it is published with, if with one.
pub fn key_of(number: u64) -> String {
    format!("k{number}")
}

/// The number in a payload; none in one that is not of these tests.
pub fn number_in(payload: &str) -> Option<u64> {
    let (_, rest) = payload.split_once(r#""n":"#)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Ledger {
    /// Notes that an event is about to be published; returns its number.
    pub fn publish(&mut self, channel: &str, keyed: bool) -> u64 {
        let channel = match self.index.get(channel) {
            Some(known) => *known,
            None => {
                self.channels.push(channel.to_owned());
                self.index.insert(channel.to_owned(), self.channels.len() - 1);
                self.channels.len() - 1
            }
        };
        self.publishes.push(Publish { channel, keyed, asked: Instant::now(), told: Vec::new() });
        self.publishes.len() as u64 - 1
    }

    /// Its publisher was told that it stands here.
    ///
    /// # Panics
    /// When there is no such number.
    pub fn acknowledge(&mut self, number: u64, at: Position) {
        let publish = usize::try_from(number).ok().and_then(|at| self.publishes.get_mut(at));
        publish.expect("a number of this ledger").told.push(at);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.publishes.len()
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.publishes.iter().filter(|publish| !publish.told.is_empty()).count()
    }

    /// The channels, in the order of their first events.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// The latest position that was told for a channel: the greatest offset of the latest epoch.
    pub fn latest(&self, channel: &str) -> Option<Position> {
        let channel = self.index.get(channel)?;
        let own = self.publishes.iter().filter(|publish| publish.channel == *channel);
        own.flat_map(|publish| &publish.told).copied().max_by_key(|at| (at.epoch, at.offset))
    }

    /// How long each event that this client heard took to it, from the moment before it was published.
    pub fn delays(&self, log: &Log) -> Vec<Duration> {
        let delay = |line: &Line| match line.told {
            Told::Event { number, .. } => Some(line.at - self.get(number?)?.asked),
            _ => None,
        };
        log.lines.iter().filter_map(delay).collect()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Publish> {
        self.publishes.get(usize::try_from(number).ok()?)
    }

    pub(super) fn index(&self, channel: &str) -> Option<usize> {
        self.index.get(channel).copied()
    }

    /// Number, channel and position of each acknowledgement.
    pub(super) fn told(&self) -> impl Iterator<Item = (u64, usize, Position)> {
        let numbered = (0..).zip(&self.publishes);
        numbered
            .flat_map(|(number, publish)| publish.told.iter().map(move |at| (number, publish.channel, *at)))
    }
}
