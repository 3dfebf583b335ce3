//! The task of one connection: reads, steps the session, does what the steps say.
//!
//! It sleeps until there is something to read, an answer, a deadline, or room for what was blocked.
//! It must not know wire formats: the door turns bytes into inputs and replies into bytes.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tidegate_core::session::{Answer, Effect, Effects, Input, Now, Reply, Session};
use tidegate_core::{Close, Ticket};
use tokio::sync::OwnedSemaphorePermit;

use super::inbound::{End, Inbound};
use super::passing::{Assembly, Passing};
use super::{ByteStream, Peer, wake};
use crate::doors::{Door, Said};
use crate::node::Node;
use crate::registry::Place;

/// The read buffer of a thread: what one read takes at most.
const SCRATCH: usize = 64 << 10;
/// Reads in one turn; then others run.
const READS_A_TURN: usize = 8;
/// Requests after which others run, although there may be more to read.
const INPUTS_A_TURN: usize = 64;
/// How long a message may take from its first byte to its last, up to [`ASSEMBLY_STEP`]; for each
/// such step more that `limits.message` allows, a second is added. A message costs its connection a
/// buffer as long as it is unfinished.
const ASSEMBLY_S: u64 = 10;
const ASSEMBLY_STEP: u64 = 64 << 10;
/// How long a closing peer may take to take the last bytes and to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    static TURN: RefCell<Turn> = RefCell::new(Turn {
        scratch: vec![0; SCRATCH].into_boxed_slice(),
        inbound: Inbound::default(),
        effects: Effects::new(),
    });
}

/// What a turn needs and no connection keeps.
struct Turn {
    scratch: Box<[u8]>,
    inbound: Inbound,
    effects: Effects,
}

impl Turn {
    /// Empty already, unless the turn before panicked: its effects are another session's.
    fn clear(&mut self) {
        self.effects.clear();
        self.inbound = Inbound::default();
    }
}

/// The task's state. Every connection has one, so its size is guarded by a test.
pub(crate) struct Serve {
    pub(super) node: Arc<Node>,
    pub(super) connection: Arc<Peer>,
    place: Place,
    session: Session,
    door: Door,
    /// What it has for a while only.
    pub(super) passing: Option<Box<Passing>>,
    /// Until this second the registry looks by itself whether what is blocked gets on.
    watched_s: u32,
    /// Room for one connection of the node; given back when the task ends.
    _permit: OwnedSemaphorePermit,
}

impl Serve {
    pub(crate) fn new(
        node: Arc<Node>,
        connection: Arc<Peer>,
        session: Session,
        door: Door,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let place = node.registry.enter(Arc::clone(&connection), node.clock.second());
        node.registry.expect(place, session.deadline_s(node.clock.now()));
        Self { node, connection, place, session, door, passing: None, watched_s: 0, _permit: permit }
    }

    /// What comes before the task: `first` is what the door has to say before reading, `leftover` was
    /// read behind the request's head. Apart from the task, which does not carry it then.
    pub(crate) fn begin(&mut self, first: Option<Input>, leftover: &[u8]) {
        TURN.with_borrow_mut(|turn| {
            turn.clear();
            if let Some(input) = first {
                self.step(input, &mut turn.effects);
            }
            if !leftover.is_empty() {
                self.read(leftover, &mut turn.inbound, &mut turn.effects);
            }
            self.connection.flush();
        });
    }

    /// Tells the client to come back elsewhere.
    pub(crate) fn goodbye(&self) {
        self.connection.goodbye();
    }

    /// One turn: everything that can be done now.
    fn turn(&mut self, turn: &mut Turn, context: &mut Context<'_>) -> Poll<()> {
        turn.clear();
        self.connection.waker.register(context.waker());
        let wakes = self.connection.wakes.swap(0, Ordering::AcqRel);
        if wakes & wake::KILL != 0 {
            return Poll::Ready(());
        }
        if wakes & wake::ANSWERS != 0 {
            self.take_answers(&mut turn.effects);
        }
        if wakes & wake::TICK != 0 {
            self.step(Input::Tick, &mut turn.effects);
            self.end_slow_message();
        }
        self.connection.flush();
        if self.write(context).is_err() || self.is_overdue(context) {
            return Poll::Ready(());
        }
        let read = self.read_all(turn, context);
        // What was read may have filled the outbox: ask for room before sleeping.
        if self.write(context).is_err() {
            return Poll::Ready(());
        }
        read
    }

    fn read_all(&mut self, turn: &mut Turn, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_A_TURN {
            if ready!(self.connection.stream.poll_readable(context)).is_err() {
                return Poll::Ready(());
            }
            match self.connection.stream.read_some(&mut turn.scratch) {
                Ok(0) => return Poll::Ready(()),
                Ok(read) => {
                    self.connection.heard();
                    let bytes = &turn.scratch[..read];
                    if self.read(bytes, &mut turn.inbound, &mut turn.effects) > INPUTS_A_TURN {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets the door read `bytes`, and the session hear what it made of them.
    /// Replies leave in one write. Returns how many inputs there were.
    fn read(&mut self, bytes: &[u8], inbound: &mut Inbound, effects: &mut Effects) -> usize {
        if !self.connection.is_open() {
            return 0; // what a peer says after it was told goodbye is of no interest
        }
        if self.connection.has_answers() {
            self.take_answers(effects); // they came before what was read: it may be about them
        }
        self.door.read(bytes, inbound);
        self.watch_assembly();
        let count = inbound.inputs.len();
        for input in inbound.inputs.drain(..) {
            self.step(input, effects);
        }
        let replies = std::mem::take(&mut inbound.replies);
        match inbound.end.take() {
            Some(End::Goodbye) => self.connection.close(Close::Normal, Some(replies.into())),
            Some(End::Broken(close, message)) => {
                self.connection.stage_reply(replies.into());
                self.connection.close(close, self.connection.format().close(close, &message));
            }
            None => self.connection.stage_reply(replies.into()),
        }
        self.connection.flush();
        count
    }

    /// Keeps the deadline of a message in step with whether there is an unfinished one.
    fn watch_assembly(&mut self) {
        let unfinished = self.door.unfinished();
        if unfinished == self.assembly().map(|assembly| assembly.number) {
            return;
        }
        let now = self.node.clock.now();
        let more = (self.node.policy.limits.message_bytes as u64).saturating_sub(1) / ASSEMBLY_STEP;
        let until_s = u32::try_from(now.monotonic_s + ASSEMBLY_S + more).unwrap_or(u32::MAX);
        let assembly = unfinished.map(|number| Assembly { number, until_s });
        self.passing.get_or_insert_default().assembly = assembly;
        Passing::tidy(&mut self.passing);
        self.node.registry.expect(self.place, self.deadline_s(now));
    }

    fn assembly(&self) -> Option<Assembly> {
        self.passing.as_ref()?.assembly
    }

    /// Closes if a message took too long.
    fn end_slow_message(&mut self) {
        let now_s = self.node.clock.now().monotonic_s;
        if self.assembly().is_some_and(|assembly| now_s >= u64::from(assembly.until_s)) {
            let message = "a message took too long to come";
            self.connection.close(Close::Slow, self.connection.format().close(Close::Slow, message));
        }
    }

    /// When the registry shall wake it.
    fn deadline_s(&self, now: Now) -> Option<u64> {
        let assembly_s = self.assembly().map(|assembly| u64::from(assembly.until_s));
        self.session.deadline_s(now).into_iter().chain(assembly_s).min()
    }

    fn take_answers(&mut self, effects: &mut Effects) {
        let answers = std::mem::take(&mut *self.connection.answers.lock());
        for (ticket, answer) in answers {
            self.answered(ticket, answer, effects);
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Answer, effects: &mut Effects) {
        if let Some(passing) = &mut self.passing
            && let Some(at) = passing.joining.iter().position(|(waiting, _)| *waiting == ticket)
        {
            let (_, seat) = passing.joining.swap_remove(at);
            Passing::tidy(&mut self.passing);
            if matches!(answer, Answer::Joined(Err(_))) {
                self.node.relay.leave(seat);
            }
        }
        self.step(Input::Done(ticket, answer), effects);
    }

    /// Steps the session, and does what comes of it.
    fn step(&mut self, input: Input, effects: &mut Effects) {
        let now = self.node.clock.now();
        let before = self.deadline_s(now);
        self.session.step(input, now, effects);
        // A deed may answer at once: that is a step of its own, whose effects come behind.
        let mut at = 0;
        while at < effects.len() {
            let effect = std::mem::replace(&mut effects[at], Effect::Reply(Reply::Opened));
            at += 1;
            if let Some((ticket, answer)) = self.act(effect) {
                self.session.step(Input::Done(ticket, answer), now, effects);
            }
        }
        effects.clear();
        let after = self.deadline_s(now);
        if after != before {
            self.node.registry.expect(self.place, after);
        }
    }

    /// One deed. Returns the answer, if the deed gives one at once.
    fn act(&mut self, effect: Effect) -> Option<(Ticket, Answer)> {
        match effect {
            Effect::Reply(reply) => self.say(&reply),
            Effect::Attach(seat, reply) => {
                let (node, connection) = (Arc::clone(&self.node), Arc::clone(&self.connection));
                node.hub.attach(seat, || {
                    if let Some(Said::Frame(bytes)) = reply.and_then(|reply| self.door.reply(&reply)) {
                        connection.stage_reply(bytes);
                    }
                });
            }
            Effect::Close(close, message) => {
                self.connection.close(close, self.connection.format().close(close, &message));
            }
            Effect::Ask(ticket, ask) => return self.ask(ticket, ask).map(|answer| (ticket, answer)),
        }
        None
    }

    fn say(&mut self, reply: &Reply) {
        if let Reply::Refused { refusal, .. } = reply {
            self.node.refused(refusal.reason);
        }
        match self.door.reply(reply) {
            Some(Said::Frame(bytes)) => self.connection.stage_reply(bytes),
            Some(Said::Head(bytes)) => self.connection.release(bytes),
            Some(Said::Instead(close, bytes)) => self.connection.close_instead(close, bytes),
            None => {}
        }
    }

    /// Writes what was blocked, if there is room.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.connection.is_blocked() {
            match self.connection.stream.poll_writable(context) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    let now_s = self.node.clock.second();
                    if self.watched_s <= now_s {
                        self.watched_s = self.node.registry.watch(self.place, now_s);
                    }
                    break;
                }
            }
            self.connection.resume();
        }
        Ok(())
    }

    /// Whether a closing connection took too long.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        if self.connection.is_open() {
            return false;
        }
        let passing = self.passing.get_or_insert_default();
        let sleep = passing.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_TIMEOUT)));
        sleep.as_mut().poll(context).is_ready()
    }
}

/// No seat, no entry of the registry and no byte is left behind, however the task ends.
impl Drop for Serve {
    fn drop(&mut self) {
        let close = self.connection.end();
        self.node.registry.leave(self.place);
        for seat in self.session.close() {
            self.node.relay.leave(seat);
        }
        for (_, seat) in self.passing.take().into_iter().flat_map(|passing| passing.joining) {
            self.node.relay.leave(seat);
        }
        self.node.closed(&self.door, self.session.id(), close);
    }
}

/// The task is this value and nothing around it: an async block would hold it twice.
impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        TURN.with_borrow_mut(|turn| this.turn(turn, context))
    }
}
