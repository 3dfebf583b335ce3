//! Two nodes with real places and two clients with real followers, on the model's servers.
//!
//! Reads are asked, done and answered in steps of their own, so that anything happens in between.

use std::collections::{HashSet, VecDeque};

use super::servers::{Hole, Key, Servers};
use crate::follower::{Follower, Told, Verdict};
use crate::place::{
    Answer, Bounds, Effect, Effects, Failure, GapReason, Input, Now, Phase, Place, ReadId, Rules, Since, Word,
};
use crate::place::{Cause, Rule};
use crate::{Epoch, Event, Position};

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Publish(usize, u8),
    Replicate,
    Save(usize),
    Restart(usize),
    Promote,
    Demote(usize),
    Reload(usize),
    Rename(usize),
    Evict(usize, Key),
    MoveBegin,
    MoveKey(Key),
    MoveEnd,
    /// A node's pub/sub connection goes to a server: the right one or not.
    Connect(usize, usize),
    /// A node's commands go to a server: the right one or not.
    Command(usize, usize),
    /// One message reaches a node.
    Hear(usize),
    /// One message is lost, and nobody notices.
    Lose(usize),
    Cut(usize),
    Crash(usize),
    /// The periodic look at the tops.
    Check(usize),
    /// A server does a node's oldest read.
    Serve(usize),
    /// It fails.
    Fail(usize),
    /// The oldest answer reaches the node.
    Answer(usize),
    /// The topology names the only master.
    Confirm(usize),
    /// Time passes.
    Tick,
    Join(usize, usize),
    JoinLast(usize, usize),
    Leave(usize),
    /// One frame reaches a client.
    Handle(usize),
    /// Its outbox is full.
    Overflow(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame {
    Subscribed { at: Position, events: u64, recovered: Option<bool> },
    Position(Position),
    Gap(Position, GapReason, Vec<u32>),
    Event(Event),
}

enum Wish {
    Read(ReadId, Since, usize),
    Begin(ReadId),
}

enum Found {
    Read(ReadId, Result<Answer, Failure>),
    Begun(ReadId, bool),
}

#[derive(Default)]
struct Node {
    ears: Option<usize>,
    hands: Option<usize>,
    inbox: VecDeque<Event>,
    place: Option<Place<u32>>,
    asked: VecDeque<Wish>,
    answers: VecDeque<Found>,
    seeking: bool,
}

struct Client {
    node: Option<usize>,
    seat: u32,
    attached: bool,
    wants_room: bool,
    frames: VecDeque<Frame>,
    /// Where the frames that were sent lead.
    wire: Option<Position>,
    follower: Follower,
    seen: Vec<(u32, Option<u8>, u32)>,
    excused: HashSet<u32>,
    told: u32,
    started: bool,
}

pub(super) struct World {
    pub(super) servers: Servers,
    bounds: Bounds,
    rules: Rules,
    ms: u64,
    seats: u32,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    keys: Vec<(u32, u8)>,
    /// What the machines did, so that a run shows that it reached them.
    pub(super) tally: Tally,
}

/// How often something rare was seen.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) positions: u64,
    pub(super) gaps: u64,
    pub(super) repairs: u64,
    pub(super) reads: u64,
    pub(super) pages: u64,
    pub(super) resumed: u64,
    pub(super) behind: u64,
    pub(super) confirmed: u64,
    pub(super) refused: u64,
}

impl World {
    pub(super) fn new(off: Option<Hole>, cluster: bool, bounds: Bounds) -> Self {
        let rules = Rules { off: if let Some(Hole::Ours(rule)) = off { Some(rule) } else { None } };
        let client = || Client {
            node: None,
            seat: 0,
            attached: false,
            wants_room: false,
            frames: VecDeque::new(),
            wire: None,
            follower: Follower::with(rules),
            seen: Vec::new(),
            excused: HashSet::new(),
            told: 0,
            started: false,
        };
        Self {
            servers: Servers::new(off, cluster),
            bounds,
            rules,
            ms: 0,
            seats: 0,
            nodes: vec![Node::default(), Node::default()],
            clients: vec![client(), client()],
            keys: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Lets `action` happen; false if it cannot now.
    pub(super) fn perform(&mut self, action: Action, uid: u32) -> bool {
        self.ms += 20;
        let done = match action {
            Action::Publish(s, key) => {
                if key > 0 {
                    self.keys.push((uid, key));
                }
                self.servers.publish(s, key, uid)
            }
            Action::Replicate => self.servers.replicate(),
            Action::Save(s) => self.servers.save(s),
            Action::Restart(s) => self.servers.restart(s),
            Action::Promote => self.servers.promote(),
            Action::Demote(s) => self.servers.demote(s),
            Action::Reload(s) => self.servers.reload(s),
            Action::Rename(s) => self.servers.rename(s),
            Action::Evict(s, key) => self.servers.evict(s, key),
            Action::MoveBegin => self.servers.move_begin(),
            Action::MoveKey(key) => self.servers.move_key(key),
            Action::MoveEnd => self.servers.move_end(),
            Action::Connect(n, s) => self.connect(n, s),
            Action::Command(n, s) => self.command(n, s),
            Action::Hear(n) => self.hear(n),
            Action::Lose(n) => self.nodes[n].inbox.pop_front().is_some(),
            Action::Cut(n) => self.cut(n),
            Action::Crash(n) => self.crash(n),
            Action::Check(n) => self.check_top(n),
            Action::Serve(n) => self.serve(n, false),
            Action::Fail(n) => self.serve(n, true),
            Action::Answer(n) => self.answer(n),
            Action::Confirm(n) => self.confirm(n),
            Action::Tick => {
                self.ms += 200;
                (0..2).for_each(|n| self.step(n, Input::Tick));
                true
            }
            Action::Join(c, n) => self.join(c, n, None),
            Action::JoinLast(c, n) => self.join(c, n, Some(2)),
            Action::Leave(c) => self.leave(c),
            Action::Handle(c) => self.handle(c),
            Action::Overflow(c) => self.overflow(c),
        };
        self.spread();
        done
    }

    /// Carries messages to who listens, and breaks connections.
    fn spread(&mut self) {
        for (s, message) in std::mem::take(&mut self.servers.sent) {
            for node in self.nodes.iter_mut().filter(|node| node.ears == Some(s)) {
                node.inbox.push_back(message.event());
            }
        }
        for s in std::mem::take(&mut self.servers.dropped) {
            for n in 0..self.nodes.len() {
                if self.nodes[n].ears == Some(s) {
                    self.cut(n);
                }
            }
        }
    }

    // ---- nodes

    fn connect(&mut self, n: usize, s: usize) -> bool {
        let node = &mut self.nodes[n];
        if node.ears == Some(s) || (self.servers.cluster && s != self.servers.owner) {
            return false;
        }
        node.ears = Some(s);
        node.inbox.clear();
        node.hands.get_or_insert(s);
        self.step(n, Input::Connected);
        true
    }

    fn command(&mut self, n: usize, s: usize) -> bool {
        if self.nodes[n].hands == Some(s) {
            return false;
        }
        self.nodes[n].hands = Some(s);
        self.step(n, Input::Missed(Cause::Moved));
        true
    }

    fn cut(&mut self, n: usize) -> bool {
        let node = &mut self.nodes[n];
        let cut = node.ears.take().is_some();
        node.inbox.clear();
        if cut {
            self.step(n, Input::Down);
        }
        cut
    }

    fn crash(&mut self, n: usize) -> bool {
        self.nodes[n] = Node::default();
        for client in self.clients.iter_mut().filter(|client| client.node == Some(n)) {
            client.gone();
        }
        true
    }

    fn hear(&mut self, n: usize) -> bool {
        let Some(event) = self.nodes[n].inbox.pop_front() else { return false };
        let bounds = self.bounds;
        if self.nodes[n].place.as_mut().is_some_and(|place| place.follows(&event, &bounds)) {
            for c in self.seated(n) {
                self.send(c, Frame::Event(event.clone()));
            }
        } else {
            self.step(n, Input::Message(event));
        }
        true
    }

    fn check_top(&mut self, n: usize) -> bool {
        let Some(s) = self.nodes[n].hands.map(|s| self.servers.route(s)) else { return false };
        if !self.servers.both[s].master {
            return false;
        }
        let top = self.servers.both[s].data.top.as_ref();
        let top = top.map(|top| Position { epoch: top.epoch, offset: top.offset });
        self.step(n, Input::Top(top));
        true
    }

    fn serve(&mut self, n: usize, fails: bool) -> bool {
        let Some(s) = self.nodes[n].hands.map(|s| self.servers.route(s)) else { return false };
        let Some(asked) = self.nodes[n].asked.pop_front() else { return false };
        let found = match asked {
            Wish::Read(id, ..) if fails => Found::Read(id, Err(Failure::Unavailable)),
            Wish::Begin(id) if fails => Found::Begun(id, false),
            Wish::Read(id, since, count) => Found::Read(id, self.servers.read(s, since, count)),
            Wish::Begin(id) => Found::Begun(id, self.servers.begin(s)),
        };
        self.nodes[n].answers.push_back(found);
        true
    }

    fn answer(&mut self, n: usize) -> bool {
        match self.nodes[n].answers.pop_front() {
            None => return false,
            Some(Found::Read(id, answer)) => self.step(n, Input::Answer(id, answer)),
            Some(Found::Begun(id, begun)) => self.step(n, Input::Begun(id, begun)),
        }
        true
    }

    /// Only where it is true: there is one master, and the node talks and listens to it.
    fn confirm(&mut self, n: usize) -> bool {
        let masters = self.servers.both.iter().filter(|server| server.master).count();
        let right = match self.servers.cluster {
            true => !self.servers.moving,
            false => {
                let node = &self.nodes[n];
                let same = node.ears.is_none() || node.ears == node.hands;
                masters == 1 && same && node.hands.is_some_and(|s| self.servers.both[s].master)
            }
        };
        if !right || !std::mem::take(&mut self.nodes[n].seeking) {
            return false;
        }
        self.tally.confirmed += 1;
        self.step(n, Input::Confirmed);
        true
    }

    fn step(&mut self, n: usize, input: Input<u32>) {
        let now = Now { ms: self.ms, dice: self.ms as u32 };
        let mut effects = Effects::new();
        let Some(place) = &mut self.nodes[n].place else { return };
        place.step(input, now, &self.bounds, &mut effects);
        self.assert_shape(n);
        for effect in effects {
            self.carry_out(n, effect);
        }
    }

    /// What must hold of a place after every step.
    fn assert_shape(&self, n: usize) {
        let (Some(place), None) = (&self.nodes[n].place, self.rules.off) else { return };
        if let Some(at) = place.at {
            assert!(place.sent.lowest() >= at.offset, "somebody is behind the place");
            assert_eq!(
                place.tail.behind(at.offset).map_or(0, Iterator::count),
                0,
                "the tail ends at the place"
            );
        }
    }

    fn carry_out(&mut self, n: usize, effect: Effect<u32>) {
        match effect {
            Effect::Pass { events, above } => {
                for c in self.seated(n) {
                    let above = *above.of(&self.clients[c].seat);
                    for event in &events {
                        if event.position.is_none_or(|position| position.offset > above) {
                            self.send(c, Frame::Event(event.clone()));
                        }
                    }
                }
            }
            Effect::Tell(each) => {
                for c in self.seated(n) {
                    let word = *each.of(&self.clients[c].seat);
                    self.tell(c, word);
                }
            }
            Effect::Subscribed { seat, at, recovered, events, attach } => {
                let Some(c) = self.sitting(n, seat) else { return };
                self.tally.resumed += u64::from(recovered == Some(true));
                self.send(c, Frame::Subscribed { at, events: events.len() as u64, recovered });
                events.into_iter().for_each(|event| self.send(c, Frame::Event(event)));
                (self.clients[c].attached, self.clients[c].wants_room) = (attach, !attach);
            }
            Effect::Page { seat, word, events, attach } => {
                let Some(c) = self.sitting(n, seat) else { return };
                self.tally.pages += 1;
                self.tell(c, word);
                events.into_iter().for_each(|event| self.send(c, Frame::Event(event)));
                (self.clients[c].attached, self.clients[c].wants_room) = (attach, !attach);
            }
            Effect::Refused(seat, _) => {
                self.tally.refused += 1;
                if let Some(c) = self.sitting(n, seat) {
                    self.clients[c].gone();
                }
            }
            Effect::Read { id, since, count } => {
                self.tally.reads += 1;
                self.nodes[n].asked.push_back(Wish::Read(id, since, count));
            }
            Effect::Begin(id) => self.nodes[n].asked.push_back(Wish::Begin(id)),
            Effect::Seek => {
                self.tally.behind += 1;
                self.nodes[n].seeking = true;
            }
            Effect::Stale { .. } => {}
            Effect::Repaired { .. } => self.tally.repairs += 1,
        }
    }

    fn seated(&self, n: usize) -> Vec<usize> {
        let here = |c: &usize| self.clients[*c].node == Some(n) && self.clients[*c].attached;
        (0..self.clients.len()).filter(here).collect()
    }

    fn sitting(&self, n: usize, seat: u32) -> Option<usize> {
        self.clients.iter().position(|client| client.node == Some(n) && client.seat == seat)
    }

    fn tell(&mut self, c: usize, word: Option<Word>) {
        match word {
            None => {}
            Some(Word::Position(at)) => self.send(c, Frame::Position(at)),
            Some(Word::Gap(at, reason)) => self.send(c, Frame::Gap(at, reason, Vec::new())),
        }
    }

    /// Puts a frame on the wire; events must be the next ones there, each once.
    fn send(&mut self, c: usize, frame: Frame) {
        let client = &mut self.clients[c];
        match &frame {
            Frame::Subscribed { at, events, .. } => {
                client.wire = Some(Position { offset: at.offset - events, ..*at });
            }
            Frame::Position(at) | Frame::Gap(at, ..) => client.wire = Some(*at),
            Frame::Event(event) => {
                let (Some(wire), Some(position)) = (&mut client.wire, event.position) else { return };
                let next = Position { offset: wire.offset + 1, ..*wire };
                let off = self.rules.off;
                // These two announce the epoch late, or leave events out: that is what they show.
                if position != next && !matches!(off, Some(Rule::PositionBeforeEvents)) {
                    self.servers.broke('w', format!("client {c} was sent {position} after {wire}"));
                }
                wire.offset = position.offset;
            }
        }
        self.clients[c].frames.push_back(frame);
    }

    // ---- clients

    fn join(&mut self, c: usize, n: usize, last: Option<u64>) -> bool {
        let node = &mut self.nodes[n];
        if self.clients[c].node.is_some() || node.hands.is_none() || node.ears.is_none() {
            return false;
        }
        let new = node.place.is_none();
        node.place.get_or_insert_with(|| Place::with(self.rules));
        if new {
            self.step(n, Input::Connected);
        }
        self.seats += 1;
        let client = &mut self.clients[c];
        (client.node, client.seat) = (Some(n), self.seats);
        let since = match (client.follower.since(), last) {
            (Some(position), _) => Since::At(position),
            (None, Some(last)) => Since::Last(last),
            (None, None) => Since::Now,
        };
        let seat = self.seats;
        let brief = seat.is_multiple_of(3) && matches!(since, Since::At(_));
        self.step(n, Input::Subscribe { seat, since, brief });
        true
    }

    fn leave(&mut self, c: usize) -> bool {
        let Some(n) = self.clients[c].node else { return false };
        let seat = self.clients[c].seat;
        self.clients[c].gone();
        self.step(n, Input::Unsubscribe(seat));
        true
    }

    fn handle(&mut self, c: usize) -> bool {
        let Some(frame) = self.clients[c].frames.pop_front() else { return false };
        match frame {
            Frame::Event(event) => self.receive(c, &event),
            Frame::Subscribed { at, events, recovered } => {
                let start = Position { offset: at.offset - events, ..at };
                self.hear_word(c, Told::Subscribed { at, events, recovered });
                if recovered != Some(true) {
                    self.excuse(c, start, recovered == Some(false), GapReason::Lost, &[]);
                }
            }
            Frame::Position(at) => {
                self.tally.positions += 1;
                self.hear_word(c, Told::Position(at));
            }
            Frame::Gap(at, reason, dropped) => {
                self.tally.gaps += 1;
                self.hear_word(c, Told::Gap(at));
                self.excuse(c, at, true, reason, &dropped);
            }
        }
        let client = &mut self.clients[c];
        if client.frames.is_empty() && std::mem::take(&mut client.wants_room) {
            let (node, seat) = (client.node, client.seat);
            node.into_iter().for_each(|n| self.step(n, Input::Room(seat)));
        }
        true
    }

    fn hear_word(&mut self, c: usize, told: Told) {
        self.clients[c].started = true;
        let verdict = self.clients[c].follower.hear(told, self.ms);
        assert!(matches!(verdict, Verdict::Go | Verdict::Reload), "{verdict:?}");
    }

    /// The client was told that it misses what lies before `at`, or it began there.
    fn excuse(&mut self, c: usize, at: Position, told: bool, reason: GapReason, dropped: &[u32]) {
        let client = &mut self.clients[c];
        client.excused.extend(dropped);
        if reason == GapReason::Lost
            && let Some((truth, length)) = self.servers.prefixes.get(&(at.epoch, at.offset))
        {
            client.excused.extend(&truth[..*length]);
        }
        if told {
            client.told += 1;
            let lossless = !self.servers.failed_over && !self.servers.both.iter().any(|s| s.data.lossy);
            if lossless && reason == GapReason::Lost && self.servers.on(Hole::EpochChain) {
                self.servers.broke('i', format!("client {c} was told of a loss where nothing was lost"));
            }
        }
    }

    fn receive(&mut self, c: usize, event: &Event) {
        let (Some(position), Some(uid)) = (event.position, event.published_us) else { return };
        let uid = uid as u32;
        let key = event.key.as_ref().map(|key| key.parse::<u8>().unwrap());
        let client = &mut self.clients[c];
        let before = client.follower.since();
        let told = Told::Event { offset: position.offset, key: event.key.clone() };
        let verdict = client.follower.hear(told, self.ms);
        if let Verdict::SubscribeAgain(mine) = verdict {
            self.servers.broke('e', format!("client {c} got offset {} at {mine:?}", position.offset));
            self.leave(c);
            return;
        }
        let withdrawn = verdict == Verdict::Drop && client.follower.since() != before;
        if verdict != Verdict::Handle && !withdrawn {
            return;
        }
        let epoch = before.map(|at| at.epoch);
        self.names_one(c, epoch, position.offset, uid);
        let client = &mut self.clients[c];
        if withdrawn {
            client.excused.insert(uid); // the application already has this publish
            return;
        }
        client.follower.handled(self.ms);
        self.tally.delivered += 1;
        if client.seen.iter().any(|(seen, ..)| *seen == uid) {
            self.servers.broke('a', format!("client {c} got event {uid} twice"));
        }
        let twice = |(seen, theirs, told): &(u32, Option<u8>, u32)| {
            *theirs == key && *told == client.told && *seen != uid
        };
        if key.is_some() && client.seen.iter().any(twice) {
            self.servers.broke('g', format!("client {c} got key {key:?} twice"));
        }
        client.seen.push((uid, key, client.told));
    }

    fn names_one(&mut self, c: usize, epoch: Option<Epoch>, offset: u64, uid: u32) {
        let Some(epoch) = epoch else { return };
        let named = *self.servers.names.entry((epoch, offset)).or_insert(uid);
        if named != uid {
            let text = format!("({epoch}, {offset}) is event {named} and, for client {c}, event {uid}");
            self.servers.broke('d', text);
        }
    }

    /// The outbox drops: one gap stands where the frames would have led.
    fn overflow(&mut self, c: usize) -> bool {
        let client = &mut self.clients[c];
        let events = client.frames.iter().any(|frame| matches!(frame, Frame::Event(_)));
        let reply = client.frames.iter().any(|frame| matches!(frame, Frame::Subscribed { .. }));
        let (Some(mut at), true, false) = (client.follower.since(), events, reply) else { return false };
        if !self.servers.on(Hole::DropsAreTold) {
            client.frames.retain(|frame| !matches!(frame, Frame::Event(_)));
            return true;
        }
        let mut dropped = Vec::new();
        for frame in std::mem::take(&mut client.frames) {
            match frame {
                Frame::Event(event) => {
                    at.offset = at.offset.max(event.position.unwrap().offset);
                    dropped.push(event.published_us.unwrap() as u32);
                }
                Frame::Position(to) => at = to,
                Frame::Gap(to, _, more) => {
                    at = to;
                    dropped.extend(more);
                    if let Some((truth, length)) = self.servers.prefixes.get(&(at.epoch, at.offset)) {
                        dropped.extend(&truth[..*length]);
                    }
                }
                Frame::Subscribed { .. } => unreachable!(),
            }
        }
        client.frames.push_back(Frame::Gap(at, GapReason::Dropped, dropped));
        true
    }

    // ---- the end: faults are over, one master is left, and the truth is compared

    pub(super) fn settle(&mut self, last: usize) {
        let last = if self.servers.cluster {
            for action in [Key::Log, Key::Ids, Key::Top].map(Action::MoveKey) {
                self.perform(action, 0);
            }
            self.perform(Action::MoveEnd, 0);
            self.servers.owner
        } else {
            if !self.servers.both[last].master {
                self.perform(Action::Promote, 0);
            }
            self.perform(Action::Demote(1 - last), 0);
            last
        };
        for n in 0..self.nodes.len() {
            self.perform(Action::Connect(n, last), 0);
            self.perform(Action::Command(n, last), 0);
        }
        self.rest();
        self.compare(last);
        if !self.perform(Action::Publish(last, 0), u32::MAX) {
            self.servers.broke('h', "the surviving master refuses to publish".into());
        }
        self.rest();
        self.compare(last);
    }

    /// Everything under way arrives, and clients come back.
    fn rest(&mut self) {
        self.quiet();
        for n in 0..self.nodes.len() {
            self.check_top(n);
        }
        self.quiet();
        for c in 0..self.clients.len() {
            if self.clients[c].started && self.clients[c].node.is_none() {
                self.perform(Action::Join(c, c % self.nodes.len()), 0);
                self.quiet();
            }
            if self.clients[c].started && !self.clients[c].attached {
                self.servers.broke('h', format!("client {c} cannot come back"));
            }
        }
    }

    fn quiet(&mut self) {
        for round in 0.. {
            let mut busy = false;
            for n in 0..self.nodes.len() {
                let mut steps = 0;
                while self.serve(n, false) || self.answer(n) || self.confirm(n) || self.hear(n) {
                    busy = true;
                    steps += 1;
                    if steps > 10_000 {
                        return self.servers.broke('h', format!("node {n} reads for ever"));
                    }
                }
                let place = self.nodes[n].place.as_ref();
                // A cold place that nobody waits for stays cold.
                busy |= place.is_some_and(|place| {
                    place.deadline_ms().is_some() || matches!(place.phase(), Phase::Reading | Phase::Behind)
                });
            }
            for c in 0..self.clients.len() {
                while self.handle(c) {
                    busy = true;
                }
            }
            if !busy {
                return;
            }
            if round == 50 {
                let phases = self.nodes.iter().map(|node| node.place.as_ref().map(Place::phase));
                let phases: Vec<_> = phases.collect();
                return self.servers.broke('h', format!("the nodes do not come to rest: {phases:?}"));
            }
            self.ms += 100;
            (0..self.nodes.len()).for_each(|n| self.step(n, Input::Tick));
        }
    }

    fn compare(&mut self, last: usize) {
        let truth = std::rc::Rc::clone(&self.servers.both[last].data.truth);
        let mut broken = Vec::new();
        for (c, client) in self.clients.iter().enumerate().filter(|(_, client)| client.started) {
            let got = |uid: &u32| client.seen.iter().any(|(seen, ..)| seen == uid);
            let missed: Vec<_> =
                truth.iter().filter(|uid| !got(uid) && !client.excused.contains(uid)).collect();
            if !missed.is_empty() {
                broken.push(('c', format!("client {c} silently missed {missed:?} of {truth:?}")));
            }
            let rank = |uid: &u32| truth.iter().position(|other| other == uid);
            let ranks: Vec<_> = client.seen.iter().filter_map(|(uid, ..)| rank(uid)).collect();
            if !ranks.is_sorted() {
                broken.push(('b', format!("client {c} got {:?}; the history is {truth:?}", client.seen)));
            }
        }
        for (at, uid) in truth.iter().enumerate() {
            let key = |uid: &u32| self.keys.iter().find(|(other, _)| other == uid).map(|(_, key)| *key);
            if let Some(first) = key(uid).and_then(|mine| truth[..at].iter().find(|u| key(u) == Some(mine))) {
                broken.push(('f', format!("one key made events {first} and {uid}")));
            }
        }
        broken.into_iter().for_each(|(letter, text)| self.servers.broke(letter, text));
    }
}

impl Client {
    fn gone(&mut self) {
        (self.node, self.attached, self.wants_room, self.wire) = (None, false, false, None);
        self.frames.clear();
    }
}
