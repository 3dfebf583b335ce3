//! What a client decides, over all its connections: a pure state machine.
//!
//! Commands, frames, cuts and ticks go in; dialing, sending, answers and news come out. Time and
//! chance are passed in; who waits for an answer is an opaque `R`. It must not know sockets, tasks
//! or channels of the runtime, so all of it is tested as transcripts.

mod command;
mod ending;
mod frame;
mod joining;
mod parcels;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_core::{ChannelName, ClientId};
use tidegate_protocol::{ClientFrame, Codec, json, msgpack};

use crate::backoff::Backoff;
use crate::followers::Followers;
use crate::requests::Requests;
use crate::silence::{Silence, Verdict};
use crate::{Error, News, Start, State};

use parcels::Parcels;
pub(crate) use parcels::Room;
pub(crate) use values::{Answer, Command, Cut, Effect, Input, Now};

/// Most requests that wait for an answer. At that bound commands wait in their queue. Less than
/// what the gateway allows a session.
const MOST_OPEN: usize = 256;
/// Most channels of one client. Above: `too_many_channels`; the server's own limit is lower.
const MOST_CHANNELS: usize = 10_000;
/// How long dialing may take, and then the answer to `connect`.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest message that several requests share, in bytes, where the server did not say what it takes.
const SHARED: usize = 16 << 10;

/// What stays the same over all connections.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) codec: Codec,
    pub(crate) token: Option<String>,
    /// Made by the server at the first connection unless given.
    pub(crate) client: Option<ClientId>,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Instant },
    Dialing { until: Instant },
    Greeting { until: Instant },
    Open(Open),
    Closed { code: u16, reason: String },
}

#[derive(Debug)]
struct Open {
    since: Instant,
    silence: Silence,
    leave: Leave,
    /// Largest message the server takes; 0 if it did not say.
    message_bytes: u64,
}

/// Whether the node has asked us to go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    No,
    At(Instant),
    /// As soon as no request is open, at the latest then.
    Now(Instant),
}

/// A request that waits for the server.
#[derive(Debug)]
enum Asked<R> {
    Connect,
    Subscribe(ChannelName),
    /// Nobody waits where a late subscription is undone.
    Unsubscribe(Option<R>),
    /// To subscribe again afterwards.
    Leave(ChannelName),
    Publish(R),
    /// The publish with this number.
    Parcel(u64),
    History(R),
}

/// A channel the application wants to hear.
#[derive(Debug)]
struct Wanted<R> {
    seat: Seat,
    /// Where it begins, as long as it has no position.
    start: Start,
    /// Who waits for the first `subscribed`.
    reply: Option<R>,
    /// Who wants it to end, while `subscribe` is under way.
    leaving: Option<R>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    Due,
    Asked,
    Joined,
    /// Between `unsubscribe` and the next `subscribe`.
    Leaving,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Link<R> {
    identity: Identity,
    phase: Phase,
    backoff: Backoff,
    requests: Requests<Asked<R>>,
    wanted: BTreeMap<ChannelName, Wanted<R>>,
    /// To be subscribed as soon as there is room for the request. At most one entry per command.
    joins: VecDeque<ChannelName>,
    /// To be subscribed again then.
    later: Vec<(Instant, ChannelName)>,
    parcels: Parcels<R>,
    /// Shared with the application's side.
    followers: Arc<Mutex<Followers>>,
    /// Between two nodes as planned: commands wait instead of failing.
    moving: bool,
    stalled: bool,
}

type Effects<R> = Vec<Effect<R>>;

impl<R> Link<R> {
    /// A client that dials at the first [`Input::Tick`].
    pub(crate) fn new(
        identity: Identity,
        room: Room,
        followers: Arc<Mutex<Followers>>,
        now: Instant,
    ) -> Self {
        Self {
            identity,
            phase: Phase::Waiting { until: now },
            backoff: Backoff::default(),
            requests: Requests::default(),
            wanted: BTreeMap::new(),
            joins: VecDeque::new(),
            later: Vec::new(),
            parcels: Parcels::new(room),
            followers,
            moving: false,
            stalled: false,
        }
    }

    /// Whether commands may come in; else they wait in their queue.
    pub(crate) fn takes_commands(&self) -> bool {
        let leaving = matches!(&self.phase, Phase::Open(open) if matches!(open.leave, Leave::Now(_)));
        !self.moving && !leaving && self.requests.len() < MOST_OPEN
    }

    /// When the next [`Input::Tick`] is wanted.
    pub(crate) fn due(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Closed { .. } => return None,
            _ if self.stalled => None, // who does not listen cannot judge silence, nor should dial
            Phase::Waiting { until } | Phase::Dialing { until } | Phase::Greeting { until } => Some(*until),
            Phase::Open(open) => Some(match open.leave {
                Leave::No => open.silence.due(),
                Leave::At(at) | Leave::Now(at) => at.min(open.silence.due()),
            }),
        };
        let later = self.later.iter().map(|(at, _)| *at).min();
        [phase, self.requests.due(), later, self.parcels.when()].into_iter().flatten().min()
    }

    /// Takes one input; what is to be done is appended to `effects`.
    pub(crate) fn step(&mut self, input: Input<R>, now: Now, effects: &mut Effects<R>) {
        if let (Phase::Open(open), Input::Message(_) | Input::Heard) = (&mut self.phase, &input) {
            open.silence.heard(now.at);
        }
        match input {
            Input::Command(command) => self.command(command, now, effects),
            Input::Opened if matches!(self.phase, Phase::Dialing { .. }) => {
                self.phase = Phase::Greeting { until: now.at + PATIENCE };
                let id = self.requests.open(Asked::Connect, now.at);
                let Identity { token, client, .. } = &self.identity;
                let frame = ClientFrame::Connect { id, token: token.clone(), client: client.clone() };
                self.send(&frame, effects);
            }
            Input::Message(message) => self.message(&message, now, effects),
            Input::Cut(cut) => self.cut(cut, now, effects),
            Input::Tick => self.tick(now, effects),
            Input::Stalled(stalled) => {
                self.stalled = stalled;
                if let Phase::Open(open) = &mut self.phase {
                    open.silence.heard(now.at);
                }
            }
            Input::Close => {
                let reason = "closed here";
                effects.push(Effect::Hang(1000, reason.into()));
                self.close(1000, reason.into(), effects);
            }
            Input::Opened | Input::Heard | Input::Look => {}
        }
        self.look(now, effects);
        self.join(now, effects);
        self.post(now, effects);
        self.leave(now, effects);
    }

    fn tick(&mut self, now: Now, effects: &mut Effects<R>) {
        while let Some(asked) = self.requests.overdue(now.at) {
            self.unanswered(asked, now, effects);
        }
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now.at);
        self.later = later;
        self.joins.extend(Vec::into_iter(due).map(|(_, channel)| channel));
        // It was sent, and the server may have forgotten the key: nobody can know any more.
        let forgotten = self.parcels.tick(now.at).into_iter();
        effects.extend(forgotten.map(|parcel| Effect::Answer(parcel.reply, Err(Error::Cut))));
        if self.stalled {
            return;
        }
        match &mut self.phase {
            Phase::Waiting { until } if now.at >= *until => self.dial(now, effects),
            Phase::Dialing { until } | Phase::Greeting { until } if now.at >= *until => {
                self.hang(Cut::new(None, "the server does not answer"), now, effects);
            }
            Phase::Open(open) => match open.silence.look(now.at) {
                Verdict::Fine => {}
                Verdict::Ping => self.send(&ClientFrame::Ping { id: None }, effects),
                Verdict::Gone => self.hang(Cut::new(None, "the server fell silent"), now, effects),
            },
            _ => {}
        }
    }

    fn dial(&mut self, now: Now, effects: &mut Effects<R>) {
        self.phase = Phase::Dialing { until: now.at + PATIENCE };
        effects.push(Effect::News(News::State(State::Connecting)));
        effects.push(Effect::Dial);
    }

    fn encode(&self, frame: &ClientFrame) -> Bytes {
        match self.identity.codec {
            Codec::Json => json::encode_client(frame).into(),
            Codec::MessagePack => msgpack::encode_client(frame).into(),
        }
    }

    fn send(&self, frame: &ClientFrame, effects: &mut Effects<R>) {
        effects.push(Effect::Send(self.encode(frame)));
    }

    /// Sends requests in as few messages as the server takes: a crowd that comes back is read in few steps.
    fn send_all(&self, requests: Vec<Bytes>, effects: &mut Effects<R>) {
        let Phase::Open(open) = &self.phase else { return };
        let most = if open.message_bytes == 0 { SHARED } else { open.message_bytes as usize };
        let between: &[u8] = if self.identity.codec.is_text() { b"\n" } else { b"" };
        let mut message = Vec::new();
        for request in requests {
            if !message.is_empty() && message.len() + between.len() + request.len() > most {
                effects.push(Effect::Send(std::mem::take(&mut message).into()));
            }
            if !message.is_empty() {
                message.extend_from_slice(between);
            }
            message.extend_from_slice(&request);
        }
        if !message.is_empty() {
            effects.push(Effect::Send(message.into()));
        }
    }
}
