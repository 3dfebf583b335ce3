//! Two Redis servers as the model has them: one channel's keys, the functions, replication, restarts.
//!
//! Each law of the functions can be switched off.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;

use crate::place::{Answer, Failure, Rule, Since};
use crate::{Epoch, Event, Payload, Position};

/// Entries the log keeps.
const LOG_SIZE: usize = 4;
/// Former epochs that `top` remembers.
const CHAIN_SIZE: usize = 3;
/// Ticks the second server's clock is behind.
const SKEW: u64 = 7;

/// A law that is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    /// A new lineage starts a new epoch and records where the old one ended.
    EpochChain,
    /// Whose history it is is told by replication id and library load, not by process.
    LineageIdentity,
    /// Ids in the log hold the epoch.
    EpochInLogId,
    /// Nothing is done where only some of the channel's keys are.
    GuardSplitSlot,
    /// Ahead of a master that has not numbered yet: stay.
    StayWhenAhead,
    /// An empty channel gets an epoch.
    BeginOnSubscribe,
    /// Replicas are not read.
    MastersOnly,
    /// The log is trusted only where it joins up with `top`.
    CheckLogIsWhole,
    /// An outbox that drops says so.
    DropsAreTold,
    /// A rule of the place or the follower.
    Ours(Rule),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
    pub(super) uid: u32,
    pub(super) key: u8,
}

/// Which history a server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Writer {
    process: u64,
    replication: u64,
    library: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) epoch: Epoch,
    pub(super) offset: u64,
    writer: Option<Writer>,
    chain: Vec<(Epoch, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) top: Option<Top>,
    log: Option<Vec<Entry>>,
    keys: Vec<(u8, u32)>,
    /// Every event of this history, never trimmed; only the checker looks at it.
    pub(super) truth: Rc<Vec<u32>>,
    /// Something was evicted or trimmed in it.
    pub(super) lossy: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) master: bool,
    writer: Writer,
    latest: u64,
    pub(super) data: Data,
    saved: Data,
    pending: VecDeque<(Data, Option<Entry>)>,
    diverged: bool,
    linked: bool,
}

/// Which key of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Top,
    Log,
    Ids,
}

/// A history, and how much of it.
type Prefix = (Rc<Vec<u32>>, usize);

#[derive(Debug)]
pub(super) struct Servers {
    pub(super) off: Option<Hole>,
    pub(super) cluster: bool,
    clock: u64,
    pub(super) both: [Server; 2],
    pub(super) owner: usize,
    pub(super) moving: bool,
    pub(super) failed_over: bool,
    /// What a name was given to, first.
    pub(super) names: HashMap<(Epoch, u64), u32>,
    /// The history up to a position.
    pub(super) prefixes: HashMap<(Epoch, u64), Prefix>,
    /// Messages that pub/sub carries now: server, message.
    pub(super) sent: Vec<(usize, Entry)>,
    /// Servers whose connections broke.
    pub(super) dropped: Vec<usize>,
    pub(super) broken: BTreeMap<char, String>,
}

pub(super) fn epoch(number: u64) -> Epoch {
    format!("{number:019}").parse().unwrap()
}

fn digits(epoch: Epoch) -> u64 {
    epoch.to_string().parse().unwrap()
}

impl Entry {
    pub(super) fn event(self) -> Event {
        let position = Position { epoch: self.epoch, offset: self.offset };
        let key = (self.key > 0).then(|| self.key.to_string().into());
        let uid = Some(u64::from(self.uid));
        let payload = Payload::new(Bytes::new());
        Event { payload, position: Some(position), from: None, key, published_us: uid }
    }
}

impl Servers {
    pub(super) fn new(off: Option<Hole>, cluster: bool) -> Self {
        let server = |master, number| Server {
            master,
            writer: Writer { process: number, replication: number, library: number },
            latest: 0,
            data: Data::default(),
            saved: Data::default(),
            pending: VecDeque::new(),
            diverged: false,
            linked: !cluster,
        };
        Self {
            off,
            cluster,
            clock: 10,
            both: [server(true, 1), server(cluster, 2)],
            owner: 0,
            moving: false,
            failed_over: false,
            names: HashMap::new(),
            prefixes: HashMap::new(),
            sent: Vec::new(),
            dropped: Vec::new(),
            broken: BTreeMap::new(),
        }
    }

    pub(super) fn on(&self, law: Hole) -> bool {
        self.off != Some(law)
    }

    pub(super) fn broke(&mut self, letter: char, text: String) {
        self.broken.entry(letter).or_insert(text);
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn epoch_after(&mut self, former: u64, s: usize) -> Epoch {
        let time = self.tick() - if s == 1 { SKEW } else { 0 };
        let server = &mut self.both[s];
        server.latest = time.max(former / 1000 + 1).max(server.latest + 1);
        epoch(server.latest * 1000 + server.writer.library)
    }

    fn continues(&self, s: usize, top: &Top) -> bool {
        let server = &self.both[s];
        let Some(writer) = top.writer else { return false };
        if !self.on(Hole::LineageIdentity) {
            return writer.process == server.writer.process;
        }
        let replication = match server.master {
            true => server.writer.replication,
            false => self.both.iter().find(|server| server.master).unwrap().writer.replication,
        };
        writer.library == server.writer.library || writer.replication == replication
    }

    fn top_of(&self, s: usize) -> Option<Top> {
        let data = &self.both[s].data;
        if data.top.is_some() {
            return data.top.clone();
        }
        let log = data.log.as_ref().filter(|_| self.on(Hole::EpochInLogId))?;
        let last = log.last()?;
        let mut ends = BTreeMap::new();
        for entry in log {
            ends.insert(entry.epoch, entry.offset);
        }
        ends.remove(&last.epoch);
        let mut chain: Vec<_> = ends.into_iter().collect();
        chain.drain(..chain.len().saturating_sub(CHAIN_SIZE));
        Some(Top { epoch: last.epoch, offset: last.offset, writer: None, chain })
    }

    fn whole(&self, s: usize, key: u8) -> bool {
        if !self.moving || !self.on(Hole::GuardSplitSlot) {
            return true;
        }
        let data = &self.both[s].data;
        data.top.is_some()
            && data.log.is_some()
            && (key == 0 || data.keys.iter().any(|(held, _)| *held == key))
    }

    fn numbered(&mut self, s: usize) -> Top {
        let writer = Some(self.both[s].writer);
        let Some(top) = self.top_of(s) else {
            return Top { epoch: self.epoch_after(0, s), offset: 0, writer, chain: Vec::new() };
        };
        if self.on(Hole::EpochChain) && !self.continues(s, &top) {
            let mut chain = top.chain;
            chain.push((top.epoch, top.offset));
            chain.drain(..chain.len().saturating_sub(CHAIN_SIZE));
            return Top { epoch: self.epoch_after(digits(top.epoch), s), offset: top.offset, writer, chain };
        }
        Top { writer, ..top }
    }

    /// Where a command goes.
    pub(super) fn route(&self, s: usize) -> usize {
        if !self.cluster {
            return s;
        }
        let moved = self.both[self.owner].data.top.is_none() || !self.on(Hole::GuardSplitSlot);
        if self.moving && moved { 1 - self.owner } else { self.owner }
    }

    fn write(&mut self, s: usize, data: Data, message: Option<Entry>) {
        if self.moving {
            for server in &mut self.both {
                server.data.truth = Rc::clone(&data.truth);
                server.data.lossy = data.lossy;
            }
        }
        let server = &mut self.both[s];
        server.diverged = true;
        if server.linked {
            server.pending.push_back((data.clone(), message));
        }
        server.data = data;
        self.sent.extend(message.map(|message| (s, message)));
    }

    fn remember(&mut self, epoch: Epoch, offset: u64, truth: &Rc<Vec<u32>>, length: usize) {
        self.prefixes.entry((epoch, offset)).or_insert_with(|| (Rc::clone(truth), length));
    }

    pub(super) fn publish(&mut self, s: usize, key: u8, uid: u32) -> bool {
        let s = self.route(s);
        if !self.both[s].master || !self.whole(s, key) {
            return false;
        }
        if key > 0 && self.both[s].data.keys.iter().any(|(held, _)| *held == key) {
            return true;
        }
        let mut top = self.numbered(s);
        top.offset += 1;
        let entry = Entry { epoch: top.epoch, offset: top.offset, uid, key };
        let mut data = self.both[s].data.clone();
        let mut log = data.log.take().unwrap_or_default();
        if let Some(last) = log.last() {
            let grows = match self.on(Hole::EpochInLogId) {
                true => (entry.epoch, entry.offset) > (last.epoch, last.offset),
                false => entry.offset > last.offset,
            };
            if !grows {
                return false; // XADD refuses the id
            }
        }
        log.push(entry);
        let named = *self.names.entry((entry.epoch, entry.offset)).or_insert(uid);
        if named != uid {
            self.broke('d', format!("({}, {}) given to {named} and {uid}", entry.epoch, entry.offset));
        }
        data.lossy |= log.len() > LOG_SIZE;
        log.drain(..log.len().saturating_sub(LOG_SIZE));
        data.log = Some(log);
        data.top = Some(top);
        Rc::make_mut(&mut data.truth).push(uid);
        if key > 0 {
            data.keys.push((key, uid));
        }
        let truth = Rc::clone(&data.truth);
        self.remember(entry.epoch, entry.offset, &truth, truth.len());
        self.write(s, data, Some(entry));
        true
    }

    /// The library's `begin`: whether the channel has an epoch now.
    pub(super) fn begin(&mut self, s: usize) -> bool {
        if !self.both[s].master || !self.whole(s, 0) {
            return false;
        }
        if self.top_of(s).is_none() {
            let top = self.numbered(s);
            let data = Data { top: Some(top), ..self.both[s].data.clone() };
            self.write(s, data, None);
        }
        true
    }

    /// The library's `read`.
    pub(super) fn read(&mut self, s: usize, since: Since, count: usize) -> Result<Answer, Failure> {
        if (self.on(Hole::MastersOnly) && !self.both[s].master) || !self.whole(s, 0) {
            return Err(Failure::TryAgain);
        }
        let top = match self.top_of(s) {
            Some(top) => top,
            None if self.on(Hole::BeginOnSubscribe) => return Err(Failure::Missing),
            None => Top { epoch: epoch(0), offset: 0, writer: Some(self.both[s].writer), chain: Vec::new() },
        };
        let foreign = self.on(Hole::EpochChain) && !self.continues(s, &top);
        let (mut lost, mut ahead, mut start, mut end) = (false, false, top.offset, Some(top.offset));
        match since {
            Since::Now => {}
            Since::Last(n) => start = top.offset.saturating_sub(n),
            Since::At(at) => {
                let former = top.chain.iter().find(|(epoch, _)| *epoch == at.epoch);
                if at.epoch == top.epoch {
                    if at.offset <= top.offset {
                        start = at.offset;
                    } else if foreign && self.on(Hole::StayWhenAhead) {
                        (start, ahead) = (at.offset, true);
                    } else if self.on(Hole::EpochChain) && !foreign {
                        (lost, end) = (true, None);
                    }
                } else if let Some((_, last)) = former {
                    (start, end) = (at.offset.min(*last), Some(*last));
                } else if at.epoch == epoch(0) {
                    start = 0;
                } else {
                    (lost, end) = (true, None);
                }
            }
        }
        let data = self.both[s].data.clone();
        let held: BTreeMap<u64, Entry> =
            data.log.iter().flatten().map(|entry| (entry.offset, *entry)).collect();
        let mut first = top.offset + 1;
        if self.on(Hole::CheckLogIsWhole) {
            while held.contains_key(&(first - 1)) && first > start + 1 {
                first -= 1;
            }
        } else {
            let lowest = held.keys().copied().find(|offset| *offset > start).unwrap_or(start + 1);
            first = if lowest > start + 1 || held.is_empty() { start + 1 } else { lowest };
        }
        if !ahead && first > start + 1 {
            start = first - 1;
            lost = !matches!(since, Since::Last(_));
        }
        let entries: Vec<Entry> = match ahead {
            true => Vec::new(),
            false => (start + 1..=top.offset).filter_map(|offset| held.get(&offset).copied()).collect(),
        };
        for offset in 0..=top.offset {
            let missing = (top.offset - offset) as usize;
            self.remember(top.epoch, offset, &data.truth, data.truth.len().saturating_sub(missing));
        }
        let events = entries.into_iter().take(count).map(Entry::event).collect();
        Ok(Answer { epoch: top.epoch, offset: top.offset, start, end, lost, ahead, events })
    }

    // ---- what happens to servers; each says whether it could happen now

    pub(super) fn replicate(&mut self) -> bool {
        let Some(source) = (0..2).find(|s| self.both[*s].master && self.both[*s].linked) else {
            return false;
        };
        let Some((data, message)) = self.both[source].pending.pop_front() else { return false };
        self.both[1 - source].data = data;
        self.sent.extend(message.map(|message| (1 - source, message)));
        true
    }

    pub(super) fn save(&mut self, s: usize) -> bool {
        if !self.moving {
            self.both[s].saved = self.both[s].data.clone();
        }
        !self.moving
    }

    pub(super) fn restart(&mut self, s: usize) -> bool {
        if !self.both[s].master || self.moving {
            return false;
        }
        if self.both[s].data != self.both[s].saved {
            self.both[1 - s].diverged = true;
        }
        let writer = Writer { process: self.tick(), replication: self.tick(), library: self.tick() };
        let library = self.tick();
        let server = &mut self.both[s];
        server.data = server.saved.clone();
        server.pending.clear();
        (server.latest, server.writer) = (0, writer);
        if server.linked {
            let data = server.data.clone();
            let replica = &mut self.both[1 - s];
            (replica.data, replica.writer.library) = (data, library);
        }
        self.failed_over = true;
        self.dropped.push(s);
        true
    }

    pub(super) fn promote(&mut self) -> bool {
        if self.cluster || self.both.iter().all(|server| server.master) {
            return false;
        }
        let replication = self.tick();
        for server in &mut self.both {
            server.diverged = server.master && !server.pending.is_empty();
            server.pending.clear();
            server.linked = false;
            if !server.master {
                (server.master, server.writer.replication) = (true, replication);
            }
        }
        self.failed_over = true;
        true
    }

    pub(super) fn demote(&mut self, s: usize) -> bool {
        if self.cluster || !self.both.iter().all(|server| server.master) {
            return false;
        }
        let library = self.tick();
        let data = self.both[1 - s].data.clone();
        let server = &mut self.both[s];
        (server.master, server.linked) = (false, false);
        if server.diverged {
            server.writer.library = library;
        }
        (server.data, server.diverged) = (data, false);
        let other = &mut self.both[1 - s];
        other.linked = true;
        other.pending.clear();
        self.dropped.push(s);
        true
    }

    /// FUNCTION LOAD REPLACE.
    pub(super) fn reload(&mut self, s: usize) -> bool {
        self.both[s].writer.library = self.tick();
        self.both[s].master
    }

    /// A new replication id, as when a first replica attaches.
    pub(super) fn rename(&mut self, s: usize) -> bool {
        self.both[s].writer.replication = self.tick();
        self.both[s].master
    }

    pub(super) fn evict(&mut self, s: usize, key: Key) -> bool {
        let mut data = self.both[s].data.clone();
        let gone = match key {
            Key::Top => data.top.take().is_some(),
            Key::Log => data.log.take().is_some(),
            Key::Ids => false,
        };
        if !self.both[s].master || !gone {
            return false;
        }
        data.lossy = true;
        self.write(s, data, None);
        true
    }

    pub(super) fn move_begin(&mut self) -> bool {
        if !self.cluster || self.moving {
            return false;
        }
        self.moving = true;
        let source = &self.both[self.owner].data;
        let data = Data { truth: Rc::clone(&source.truth), lossy: source.lossy, ..Data::default() };
        self.both[1 - self.owner].data = data;
        true
    }

    pub(super) fn move_key(&mut self, key: Key) -> bool {
        if !self.cluster || !self.moving {
            return false;
        }
        let [first, second] = &mut self.both;
        let (source, target) = if self.owner == 0 { (first, second) } else { (second, first) };
        let (source, target) = (&mut source.data, &mut target.data);
        match key {
            Key::Top if source.top.is_some() => target.top = source.top.take(),
            Key::Log if source.log.is_some() => target.log = source.log.take(),
            Key::Ids if !source.keys.is_empty() => target.keys = std::mem::take(&mut source.keys),
            _ => return false,
        }
        true
    }

    pub(super) fn move_end(&mut self) -> bool {
        let source = &self.both[self.owner].data;
        let left = source.top.is_some() || source.log.is_some() || !source.keys.is_empty();
        if !self.cluster || !self.moving || left {
            return false;
        }
        self.dropped.push(self.owner);
        // It knows nothing of the channel any more; a snapshot of it is a snapshot of nothing.
        self.both[self.owner].data = Data::default();
        (self.moving, self.owner) = (false, 1 - self.owner);
        true
    }
}
