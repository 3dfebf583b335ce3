//! From a lane into sockets: events and words to whoever sits in a channel, staged first, flushed together.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tidegate_core::hub::{Batch, Seat};
use tidegate_core::place::{Each, GapReason, Word};
use tidegate_core::session::Answer;
use tidegate_core::{ChannelName, Event, Position};
use tidegate_metrics::{Door, Metrics};

use super::Subscribers;
use super::order::Newcomer;
use super::rounds::{Arrived, Rounds};
use super::segments::{Crew, Fanout, Load, SEGMENT};
use crate::connection::{Flight, Peer, Staged};
use crate::wire::{Encoded, Format, Slice, Words};

/// Connections staged before they are flushed and others run: replies and reads go on during a
/// long fan-out.
const STAGED: usize = Flight::FULL;

/// What a lane counts.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    pub(super) metrics: Metrics,
    /// By format.
    doors: [Door; 5],
}

impl LaneMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let doors = ["native", "native", "plain", "sse", "sse"].map(|name| metrics.doors.of(name));
        Self { metrics: metrics.clone(), doors }
    }
}

/// Hands events to subscribers, for one lane.
pub(super) struct Delivery {
    pub(super) hub: Arc<Subscribers>,
    pub(super) metrics: LaneMetrics,
    /// Those who help with hot channels; nobody where one worker does everything.
    crew: Option<Arc<Crew>>,
    /// Hot channels without history.
    pub(super) rounds: Rounds,
    /// Connections with staged bytes that nobody has flushed yet; at most [`STAGED`].
    dirty: Vec<Arc<Peer>>,
    flight: Flight,
}

/// Deliveries by format, added to the metrics once a group.
#[derive(Default)]
pub(super) struct Tally([(u64, u64); 5]);

/// What a subscriber is told before it is attached, or on its way there.
pub(super) struct Welcome<'a> {
    /// The reply to its request; none for what follows it.
    pub(super) reply: Option<Reply>,
    /// Goes before the events.
    pub(super) word: Option<Word>,
    pub(super) events: &'a [Event],
    /// From now on it hears what the others hear.
    pub(super) attach: bool,
}

/// Where a subscriber stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply {
    /// Behind the events of the reply.
    pub(super) at: Position,
    pub(super) recovered: Option<bool>,
}

impl Reply {
    /// What a bare client is told instead: where its events begin.
    fn as_word(self, events: usize) -> Word {
        let start = Position { offset: self.at.offset.saturating_sub(events as u64), ..self.at };
        match self.recovered {
            Some(false) => Word::Gap(start, GapReason::Lost),
            _ => Word::Position(start),
        }
    }
}

impl Delivery {
    pub(super) fn new(
        hub: Arc<Subscribers>,
        metrics: LaneMetrics,
        flight: Flight,
        crew: Option<Arc<Crew>>,
    ) -> Self {
        let step = crew.as_ref().map_or(SEGMENT, |crew| crew.stretch());
        Self { hub, metrics, crew, rounds: Rounds::new(step), dirty: Vec::with_capacity(STAGED), flight }
    }

    /// Delivers events to everybody who is attached.
    pub(super) async fn deliver(&mut self, channel: &ChannelName, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let Some(batch) = self.hub.open_batch(channel) else { return };
        self.deliver_batch(batch, Load::new(Encoded::new(channel, events), Vec::new())).await;
    }

    /// Delivers events to everybody who is attached: at once, or round and round where that takes long.
    /// True if they are on their way round.
    pub(super) async fn carry(&mut self, channel: &ChannelName, events: &[Event], taken: Instant) -> bool {
        let Some(batch) = self.hub.open_batch(channel) else { return false };
        let round = Fanout::pays(&batch) || self.rounds.has(channel, batch.channel());
        match round {
            true => self.rounds.join(channel, events, batch, taken),
            false => self.deliver_batch(batch, Load::new(Encoded::new(channel, events), Vec::new())).await,
        }
        round
    }

    /// One step of what is on its way round; says what has been everywhere now.
    pub(super) async fn step(&mut self) -> Vec<Arrived> {
        let mut rounds = std::mem::replace(&mut self.rounds, Rounds::new(0));
        if let Some((part, load)) = rounds.next() {
            self.deliver_batch(part, load).await;
        }
        self.rounds = rounds;
        self.flush();
        self.rounds.done()
    }

    async fn deliver_batch(&mut self, mut batch: Batch, load: Load<'_>) {
        if let Some(crew) = self.crew.as_ref().filter(|_| Fanout::pays(&batch)) {
            let (hub, metrics) = (Arc::clone(&self.hub), self.metrics.clone());
            self.flight.flush(&mut self.dirty); // what other channels staged does not wait for so many
            let fanout = Fanout::new(hub, metrics, load.into_owned(), batch);
            return crew.fan_out(fanout, &mut self.flight).await;
        }
        let mut tally = Tally::default();
        walk(&self.hub, &mut batch, &mut self.dirty, &mut self.flight, |connection, seat, since, dirty| {
            load.stage(connection, seat, since, &mut tally, dirty);
        })
        .await;
        tally.report(&self.metrics);
    }

    /// Delivers to each what it was not sent yet.
    pub(super) async fn deliver_above(
        &mut self,
        channel: &ChannelName,
        events: &[Event],
        above: &Each<Seat, u64>,
    ) {
        let beyond = |offset: u64| {
            let new = |event: &&Event| event.position.is_none_or(|position| position.offset > offset);
            events.iter().filter(new).cloned().collect::<Vec<Event>>()
        };
        let for_others = beyond(above.others);
        // After a failover these may be all who came back, if only for a moment.
        let own: HashMap<Seat, u64> = above.but.iter().copied().collect();
        let others = Encoded::new(channel, &for_others);
        let mut tally = Tally::default();
        self.each(channel, |connection, seat, dirty| match own.get(&seat) {
            Some(offset) => {
                let own = beyond(*offset);
                let own = Encoded::new(channel, &own);
                stage(connection, seat, own.get(connection.format()), &mut tally, dirty);
            }
            None => stage(connection, seat, others.get(connection.format()), &mut tally, dirty),
        })
        .await;
        tally.report(&self.metrics);
    }

    /// Tells each its word.
    pub(super) async fn tell(&mut self, channel: &ChannelName, words: &Each<Seat, Option<Word>>) {
        let mut others = Words::new(channel);
        let but: HashMap<Seat, Option<Word>> = words.but.iter().copied().collect();
        self.each(channel, |connection, seat, dirty| {
            let Some(word) = but.get(&seat).unwrap_or(&words.others) else { return };
            if let Some(word) = others.get(connection.format(), *word)
                && connection.stage(word, seat.channel()) == Staged::First
            {
                dirty.push(Arc::clone(connection));
            }
        })
        .await;
    }

    /// Calls `each` for everybody who is attached now, and flushes in between.
    async fn each(
        &mut self,
        channel: &ChannelName,
        mut each: impl FnMut(&Arc<Peer>, Seat, &mut Vec<Arc<Peer>>),
    ) {
        let Some(mut batch) = self.hub.open_batch(channel) else { return };
        let each =
            |connection: &Arc<Peer>, seat, _: u64, dirty: &mut Vec<Arc<Peer>>| each(connection, seat, dirty);
        walk(&self.hub, &mut batch, &mut self.dirty, &mut self.flight, each).await;
    }

    /// Tells a newcomer what it missed, and attaches it in the same step if that ends at the place.
    pub(super) fn welcome(&mut self, newcomer: &Newcomer, welcome: &Welcome<'_>) {
        let Newcomer { channel, seat, connection, ticket, id, .. } = newcomer;
        let key = seat.channel();
        let stage = || {
            let format = connection.format();
            let word = match (welcome.reply, *id) {
                (Some(Reply { at, recovered }), Some(id)) => {
                    if let Some(frame) = format.subscribed(id, channel, at, recovered, welcome.events) {
                        connection.stage_reply(frame);
                    }
                    None
                }
                (Some(reply), None) => {
                    connection.sit(channel, key);
                    Some(reply.as_word(welcome.events.len()))
                }
                (None, _) => welcome.word,
            };
            if let Some(word) = word
                && let Some(word) = Words::new(channel).get(format, word)
            {
                connection.stage(word, key);
            }
            // A framed reply carries its events.
            if welcome.reply.is_none() || id.is_none() {
                let encoded = Encoded::new(channel, welcome.events);
                let mut tally = Tally::default();
                let slices = encoded.get(format);
                connection.stage_page(slices, key);
                slices.iter().for_each(|slice| tally.add(format, slice.events, slice.bytes.len()));
                tally.report(&self.metrics);
            }
        };
        let act = || match welcome.attach {
            true => self.hub.attach(*seat, stage),
            false => self.hub.whisper(*seat, stage),
        };
        match welcome.reply {
            Some(_) => connection.answer_behind(*ticket, Answer::Attached(*seat), act),
            None => act(),
        }
        connection.flush();
    }

    /// Writes what is staged.
    pub(super) fn flush(&mut self) {
        self.flight.flush(&mut self.dirty);
    }
}

/// Calls `each` for everybody of the batch. Flushes and lets others run in between; the last that were staged are
/// left to the caller.
pub(super) async fn walk(
    hub: &Subscribers,
    batch: &mut Batch,
    dirty: &mut Vec<Arc<Peer>>,
    flight: &mut Flight,
    mut each: impl FnMut(&Arc<Peer>, Seat, u64, &mut Vec<Arc<Peer>>),
) {
    loop {
        let room = STAGED.saturating_sub(dirty.len()).max(1);
        let visit = |seat, since, connection: &Arc<Peer>| each(connection, seat, since, dirty);
        let more = hub.deliver_since(batch, room, visit);
        if more || dirty.len() >= STAGED {
            flight.flush(dirty);
            tokio::task::yield_now().await;
        }
        if !more {
            break;
        }
    }
}

/// Stages events for one subscriber.
pub(super) fn stage(
    connection: &Arc<Peer>,
    seat: Seat,
    slices: &[Slice],
    tally: &mut Tally,
    dirty: &mut Vec<Arc<Peer>>,
) {
    let format = connection.format();
    for slice in slices {
        match connection.stage(slice, seat.channel()) {
            Staged::First => dirty.push(Arc::clone(connection)),
            Staged::Behind => {}
            Staged::Refused => break,
        }
        tally.add(format, slice.events, slice.bytes.len());
    }
}

impl Tally {
    fn add(&mut self, format: Format, events: u32, bytes: usize) {
        let row = &mut self.0[format as usize];
        row.0 += u64::from(events);
        row.1 += bytes as u64;
    }

    pub(super) fn report(&self, metrics: &LaneMetrics) {
        for ((events, bytes), door) in self.0.iter().zip(&metrics.doors) {
            if *events > 0 {
                door.deliveries.inc_by(*events);
                door.bytes.inc_by(*bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
