//! What a witness knows: its log, and where it stands in each channel.

use std::time::Duration;

use tidegate_core::Position;

use crate::history::{Log, Told};

/// Troubles that are kept; the oldest go.
const TROUBLES: usize = 1000;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It never was one.
    Unreached,
    /// It is gone; with this code, if it was closed with one.
    Gone(Option<u16>),
    /// The node asked to come back so much later.
    Moved(Duration),
    /// The node said not to come back.
    Refused,
}

/// What it knows.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) log: Log,
    pub(super) at: Vec<Option<Position>>,
    /// Subscribed on this connection.
    pub(super) is_in: Vec<bool>,
    /// It is, or wants to be.
    pub(super) wanted: Vec<bool>,
    pub(super) troubles: Vec<String>,
}

impl Notes {
    pub(super) fn new(name: &str, channels: &[String]) -> Self {
        Self {
            log: Log::new(name, channels),
            at: vec![None; channels.len()],
            is_in: vec![false; channels.len()],
            wanted: vec![true; channels.len()],
            troubles: Vec::new(),
        }
    }

    pub(super) fn channel(&self, name: &str) -> Option<usize> {
        self.log.channels.iter().position(|known| known == name)
    }

    pub(super) fn trouble(&mut self, text: impl Into<String>) {
        if self.troubles.len() == TROUBLES {
            self.troubles.remove(0);
        }
        self.troubles.push(text.into());
    }

    pub(super) fn subscribed(
        &mut self,
        channel: usize,
        since: Option<Position>,
        start: Position,
        recovered: Option<bool>,
    ) {
        self.is_in[channel] = true;
        self.at[channel] = Some(start);
        self.log.write(Told::Subscribed { channel, since, start, recovered });
    }

    pub(super) fn event(
        &mut self,
        channel: usize,
        offset: Option<u64>,
        number: Option<u64>,
        keyed: Option<bool>,
    ) {
        if let (Some(at), Some(offset)) = (&mut self.at[channel], offset) {
            at.offset = offset;
        }
        self.log.write(Told::Event { channel, offset, number, keyed });
    }

    pub(super) fn position(&mut self, channel: usize, at: Position) {
        self.at[channel] = Some(at);
        self.log.write(Told::Position { channel, at });
    }

    pub(super) fn gap(&mut self, channel: usize, at: Position) {
        self.at[channel] = Some(at);
        self.log.write(Told::Gap { channel, at });
    }

    pub(super) fn left(&mut self, channel: usize) {
        self.is_in[channel] = false;
        self.log.write(Told::Left { channel });
    }

    /// A connection has ended. Whether anything was heard on it.
    pub(super) fn closed(&mut self, end: &End) -> bool {
        let was_there = self.is_in.iter().any(|is_in| *is_in);
        for channel in 0..self.is_in.len() {
            // Whoever was about to leave has left.
            if self.is_in[channel] && !self.wanted[channel] {
                self.left(channel);
            }
        }
        self.is_in.fill(false);
        if was_there {
            self.log.write(Told::Closed(if let End::Gone(code) = end { *code } else { None }));
        }
        was_there
    }
}
