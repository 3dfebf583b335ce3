//! The client's places in channels with history: what of them reaches the application, and from where to go on.
//!
//! The link writes notes of what the server said; the application's side reads them one by one, when it takes
//! news. So a place is that of the last event that the application was given, however much still waits, and
//! what waits is of no use once the link has subscribed again from there. It must not know frames or sockets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tidegate_core::follower::{Follower, Memory, Told, Verdict};
use tidegate_core::{ChannelName, Position};

use crate::{Event, News};

/// Something said about a channel with history.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) channel: ChannelName,
    /// Which subscription it belongs to.
    pub(crate) generation: u64,
    pub(crate) said: Said,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Its events follow, a note each.
    Subscribed {
        at: Position,
        events: u64,
        recovered: Option<bool>,
    },
    Position(Position),
    Gap(Position, String),
    Event(Event),
}

#[derive(Debug)]
struct Entry {
    follower: Follower,
    generation: u64,
    /// The server ended the subscription; what came before may still be handed over.
    ended: bool,
}

/// All places of one client.
#[derive(Debug)]
pub(crate) struct Followers {
    memory: Memory,
    began: Instant,
    /// The latest generation; each is given once.
    latest: u64,
    entries: HashMap<ChannelName, Entry>,
    /// To be subscribed again: what came did not follow what was there. Bounded by what waits for the application.
    again: Vec<ChannelName>,
    /// The event that the application has and is not done with, and the place before it.
    out: Option<(ChannelName, Position)>,
}

impl Followers {
    pub(crate) fn new(memory: Memory, began: Instant) -> Self {
        Self { memory, began, latest: 0, entries: HashMap::new(), again: Vec::new(), out: None }
    }

    /// The application wants what follows `since`.
    pub(crate) fn begin(&mut self, channel: ChannelName, since: Position) {
        self.insert(channel, Some(since));
    }

    /// The subscription is over; what waits of it is not handed over any more.
    pub(crate) fn forget(&mut self, channel: &ChannelName) -> bool {
        self.out.take_if(|(out, _)| out == channel);
        self.entries.remove(channel).is_some()
    }

    /// The server ends the subscription; it is over once the application hears of it.
    pub(crate) fn end(&mut self, channel: &ChannelName) {
        if let Some(entry) = self.entries.get_mut(channel) {
            entry.ended = true;
        }
    }

    /// The application hears that the subscription ended.
    pub(crate) fn ended(&mut self, channel: &ChannelName) {
        if self.entries.get(channel).is_some_and(|entry| entry.ended) {
            self.forget(channel);
        }
    }

    /// Whether this is a channel with history.
    pub(crate) fn holds(&self, channel: &ChannelName) -> bool {
        self.entries.contains_key(channel)
    }

    /// Subscribes again: what waits is dropped, and comes once more behind the position given back.
    pub(crate) fn join(&mut self, channel: &ChannelName) -> Option<Position> {
        let entry = self.entries.get_mut(channel)?;
        self.latest += 1;
        entry.generation = self.latest;
        entry.follower.since()
    }

    /// The reply to `subscribe`. A place that has no position takes this one at once: from here on nothing is
    /// missed, even if the connection ends before the application takes any news.
    pub(crate) fn subscribed(
        &mut self,
        channel: &ChannelName,
        (at, events, recovered): (Position, u64, Option<bool>),
        now: Instant,
    ) -> Option<Note> {
        if !self.entries.contains_key(channel) {
            self.insert(channel.clone(), None);
        }
        let now_ms = self.millis(now);
        let entry = self.entries.get_mut(channel)?;
        if entry.follower.since().is_some() {
            // Asked with a position: who does not say that nothing is missing, misses something.
            let recovered = Some(recovered == Some(true));
            return self.note(channel, Said::Subscribed { at, events, recovered });
        }
        if let Verdict::SubscribeAgain(_) =
            entry.follower.hear(Told::Subscribed { at, events, recovered }, now_ms)
        {
            self.again.push(channel.clone());
        }
        None
    }

    /// A note for the application's side; none where the channel has no history.
    pub(crate) fn note(&self, channel: &ChannelName, said: Said) -> Option<Note> {
        let generation = self.entries.get(channel)?.generation;
        Some(Note { channel: channel.clone(), generation, said })
    }

    /// The application takes a note: what it is given, if anything.
    pub(crate) fn take(&mut self, note: Note, now: Instant) -> Option<News> {
        let now_ms = self.millis(now);
        let Note { channel, generation, said } = note;
        let entry = self.entries.get_mut(&channel).filter(|entry| entry.generation == generation)?;
        let (told, event, reason) = match said {
            Said::Subscribed { at, events, recovered } => {
                (Told::Subscribed { at, events, recovered }, None, MISSED.to_owned())
            }
            Said::Position(at) => (Told::Position(at), None, String::new()),
            Said::Gap(at, reason) => (Told::Gap(at), None, reason),
            Said::Event(event) => {
                let key = event.key.as_deref().map(Arc::from);
                (Told::Event { offset: event.offset.unwrap_or_default(), key }, Some(event), String::new())
            }
        };
        match entry.follower.hear(told, now_ms) {
            Verdict::Go | Verdict::Drop => None,
            Verdict::Reload => Some(News::Gap { channel, reason }),
            Verdict::Handle => {
                self.out = entry.follower.since().map(|before| (channel, before));
                // Whatever happens to the connection, the application has it.
                entry.follower.handled(now_ms);
                event.map(News::Event)
            }
            Verdict::SubscribeAgain(_) | Verdict::ComeBack(_) => {
                self.latest += 1;
                entry.generation = self.latest;
                self.again.push(channel);
                None
            }
        }
    }

    /// The application is done with the event it was given last.
    pub(crate) fn handled(&mut self) {
        self.out = None;
    }

    /// The position of the last event that the application is done with.
    pub(crate) fn position(&self, channel: &ChannelName) -> Option<Position> {
        match &self.out {
            Some((out, before)) if out == channel => Some(*before),
            _ => self.entries.get(channel)?.follower.since(),
        }
    }

    /// Whether channels wait to be subscribed again.
    pub(crate) fn is_lost(&self) -> bool {
        !self.again.is_empty()
    }

    /// Channels to be subscribed again.
    pub(crate) fn lost(&mut self) -> Vec<ChannelName> {
        std::mem::take(&mut self.again)
    }

    fn insert(&mut self, channel: ChannelName, since: Option<Position>) {
        self.latest += 1;
        let entry =
            Entry { follower: Follower::new(since, self.memory), generation: self.latest, ended: false };
        self.entries.insert(channel, entry);
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Why the application is told to load its state anew, where the server gives no words of its own.
pub(crate) const MISSED: &str = "the history no longer holds what followed";
