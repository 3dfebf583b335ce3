//! Histories in memory. Time is passed in.
//!
//! One writer, which never forgets, numbers all events: an epoch ends only when a channel's position is
//! forgotten, and there is no chain.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap};
use tidegate_core::{ChannelName, Epoch, Event, Payload, Position};
use tokio::time::Instant;

use crate::history::{
    Appended, Durable, HistoryError, HistoryRules, HistorySettings, LogRules, MAX_FROM, MAX_KEY, MAX_PAGE,
    PAGE_BYTES, Query, Read, Since,
};

/// The histories of all channels.
#[derive(Debug)]
pub(super) struct Records {
    settings: HistorySettings,
    epochs: Epochs,
    channels: HashMap<ChannelName, Record>,
    /// Keys within their windows.
    keys: HashMap<(ChannelName, Arc<str>), Used>,
    /// What may have to be forgotten, and when: at least once for all that is held.
    due: BTreeMap<(Instant, u64), Due>,
    /// Makes entries of `due` unique.
    dues: u64,
    /// Of keys' payloads: publishers know neither seed.
    hashers: [DefaultHashBuilder; 2],
}

/// One channel.
#[derive(Debug)]
struct Record {
    epoch: Epoch,
    offset: u64,
    until: Instant,
    /// Ends with `offset`, unless it is empty.
    log: VecDeque<Entry>,
    log_until: Instant,
}

#[derive(Debug, Clone)]
struct Entry {
    payload: Payload,
    key: Option<Arc<str>>,
    from: Option<Arc<str>>,
}

/// What a key was used for.
#[derive(Debug, Clone, Copy)]
struct Used {
    payload: [u64; 2],
    position: Option<Position>,
}

#[derive(Debug)]
enum Due {
    Channel(ChannelName),
    Log(ChannelName),
    Key(ChannelName, Arc<str>),
}

/// Makes epochs.
#[derive(Debug)]
struct Epochs {
    /// Of the last one, in milliseconds.
    latest: u64,
    nonce: u64,
}

/// What time it is: for what lives and ends, and for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) unix_us: u64,
}

impl Now {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { at: Instant::now(), unix_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) }
    }
}

impl Records {
    pub(super) fn new(settings: HistorySettings) -> Self {
        let hashers: [DefaultHashBuilder; 2] = Default::default();
        let nonce = hashers[0].hash_one("nonce"); // random: seeded at random
        Self {
            settings,
            epochs: Epochs { latest: 0, nonce },
            channels: HashMap::new(),
            keys: HashMap::new(),
            due: BTreeMap::new(),
            dues: 0,
            hashers,
        }
    }

    /// Appends; returns the event that subscribers hear, if it is a new one.
    pub(super) fn append(
        &mut self,
        durable: Durable,
        now: Now,
    ) -> Result<(Appended, Option<Event>), HistoryError> {
        self.forget(now.at);
        check(&durable, self.settings.max_event_bytes)?;
        let Durable { channel, payload, key, from, replicated: _ } = durable; // one memory has no replicas
        let hash = self.hash(&payload);
        if let Some(key) = &key
            && let Some(used) = self.keys.get(&(channel.clone(), Arc::clone(key)))
        {
            return match used.payload == hash {
                true => Ok((Appended { position: used.position, fresh: false }, None)),
                false => Err(HistoryError::KeyReused),
            };
        }
        let rules = *self.settings.of(&channel);
        let entry = Entry { payload: Payload::new(payload), key: key.clone(), from };
        let position = rules.history.map(|log| self.number(&channel, entry.clone(), &rules, log, now));
        if let Some(key) = key {
            let until = now.at + rules.dedupe_ttl;
            self.keys.insert((channel.clone(), Arc::clone(&key)), Used { payload: hash, position });
            self.remember(until, Due::Key(channel, key));
        }
        let event = Event { published_us: Some(now.unix_us), ..entry.event(position) };
        Ok((Appended { position, fresh: true }, Some(event)))
    }

    fn number(
        &mut self,
        channel: &ChannelName,
        entry: Entry,
        rules: &HistoryRules,
        log: LogRules,
        now: Now,
    ) -> Position {
        let until = now.at + log.ttl;
        let record = self.record(channel, rules, now);
        let had_log = !record.log.is_empty();
        record.offset += 1;
        record.log.push_back(entry);
        while record.log.len() > log.size as usize {
            record.log.pop_front();
        }
        record.log_until = until;
        let position = Position { epoch: record.epoch, offset: record.offset };
        if !had_log {
            self.remember(until, Due::Log(channel.clone()));
        }
        position
    }

    /// The channel's record, which begins with an epoch of its own; its life is renewed.
    fn record(&mut self, channel: &ChannelName, rules: &HistoryRules, now: Now) -> &mut Record {
        let until = now.at + rules.position_ttl();
        if !self.channels.contains_key(channel) {
            self.remember(until, Due::Channel(channel.clone()));
        }
        let epochs = &mut self.epochs;
        let begin =
            || Record { epoch: epochs.next(now), offset: 0, until, log: VecDeque::new(), log_until: now.at };
        let record = self.channels.entry(channel.clone()).or_insert_with(begin);
        record.until = until;
        record
    }

    pub(super) fn begin(&mut self, channel: ChannelName, now: Now) -> Result<(), HistoryError> {
        self.forget(now.at);
        let rules = self.with_history(&channel)?;
        self.record(&channel, &rules, now);
        Ok(())
    }

    pub(super) fn top(&mut self, channel: &ChannelName, now: Now) -> Option<Position> {
        self.forget(now.at);
        self.channels.get(channel).map(|record| Position { epoch: record.epoch, offset: record.offset })
    }

    pub(super) fn read(&mut self, query: &Query, now: Now) -> Result<Option<Read>, HistoryError> {
        self.forget(now.at);
        self.with_history(&query.channel)?;
        if query.count > MAX_PAGE {
            return Err(HistoryError::BadArgument(format!(
                "at most {MAX_PAGE} events are read at once, not {}",
                query.count
            )));
        }
        Ok(self.channels.get(&query.channel).map(|record| record.read(query)))
    }

    fn with_history(&self, channel: &ChannelName) -> Result<HistoryRules, HistoryError> {
        let rules = *self.settings.of(channel);
        match rules.history {
            Some(_) => Ok(rules),
            None => Err(HistoryError::BadArgument("the channel's namespace has no history".to_owned())),
        }
    }

    fn hash(&self, payload: &Bytes) -> [u64; 2] {
        [self.hashers[0].hash_one(payload), self.hashers[1].hash_one(payload)]
    }

    fn remember(&mut self, until: Instant, due: Due) {
        self.dues += 1;
        self.due.insert((until, self.dues), due);
    }

    /// Forgets all that is over. What was renewed meanwhile comes up again at its new end.
    fn forget(&mut self, now: Instant) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let due = entry.remove();
            let renewed = match &due {
                Due::Channel(channel) => {
                    let until = self.channels.get(channel).map(|record| record.until);
                    until.filter(|until| {
                        let is_over = *until <= now;
                        if is_over {
                            self.channels.remove(channel);
                        }
                        !is_over
                    })
                }
                Due::Log(channel) => self.channels.get_mut(channel).and_then(|record| {
                    if record.log_until <= now {
                        record.log = VecDeque::new();
                    }
                    (!record.log.is_empty()).then_some(record.log_until)
                }),
                Due::Key(channel, key) => {
                    self.keys.remove(&(channel.clone(), Arc::clone(key))); // never renewed
                    None
                }
            };
            if let Some(until) = renewed {
                self.remember(until, due);
            }
        }
    }
}

impl Record {
    fn read(&self, query: &Query) -> Read {
        let held_from = self.offset + 1 - self.log.len() as u64;
        let (mut start, mut end, mut lost) = (self.offset, Some(self.offset), false);
        match query.since {
            Since::Now => {}
            Since::Last(count) => start = self.offset.saturating_sub(count.into()).max(held_from - 1),
            Since::Position(position) if position.epoch == self.epoch && position.offset <= self.offset => {
                start = position.offset;
            }
            Since::Position(_) => (end, lost) = (None, true),
        }
        if held_from > start + 1 {
            (start, lost) = (held_from - 1, true);
        }
        let mut bytes = 0;
        let following = (start + 1..=self.offset).zip(self.log.iter().skip((start + 1 - held_from) as usize));
        let page = following.take(query.count as usize).take_while(|(_, entry)| {
            let fits = bytes < PAGE_BYTES;
            bytes += entry.payload.bytes().len();
            fits
        });
        let event = |(offset, entry): (u64, &Entry)| {
            entry.clone().event(Some(Position { epoch: self.epoch, offset }))
        };
        Read {
            epoch: self.epoch,
            offset: self.offset,
            start,
            end,
            lost,
            ahead: false,
            events: page.map(event).collect(),
        }
    }
}

impl Entry {
    fn event(self, position: Option<Position>) -> Event {
        Event { payload: self.payload, position, from: self.from, key: self.key, published_us: None }
    }
}

impl Epochs {
    /// One that is later than all before.
    fn next(&mut self, now: Now) -> Epoch {
        self.latest = (now.unix_us / 1000).max(self.latest + 1);
        Epoch::new(self.latest, self.nonce)
    }
}

/// What the functions in Redis refuse, in their words.
fn check(durable: &Durable, max_event_bytes: usize) -> Result<(), HistoryError> {
    let bad = |why: String| Err(HistoryError::BadArgument(why));
    let bytes = durable.payload.len();
    if bytes > max_event_bytes {
        return bad(format!("an event has at most {max_event_bytes} bytes, this one has {bytes}"));
    }
    if let Some(key) = &durable.key
        && !(1..=MAX_KEY).contains(&key.len())
    {
        return bad(format!("a key has 1 to {MAX_KEY} bytes, this one has {}", key.len()));
    }
    if let Some(from) = &durable.from
        && from.len() > MAX_FROM
    {
        return bad(format!("from has at most {MAX_FROM} bytes, this one has {}", from.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
