//! One lane of the relay: takes what is ready, groups it by channel, hands it to all subscribers.
//!
//! There is no delay timer: while one batch is written the next gathers, so events that are ready
//! together leave in one write, and a single event leaves at once. A channel with history has a place
//! here, and everything that concerns it passes through this task: so nothing overtakes anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_broker::{EventQueue, GapCause, News, Shard};
use tidegate_core::hub::Seat;
use tidegate_core::place::{Cause, Effect, Effects, Input, Now, Refused};
use tidegate_core::session::Answer;
use tidegate_core::{ChannelName, Event, Reason, Refusal};
use tokio::time::MissedTickBehavior;

use super::broker::AnyBroker;
use super::delivery::{Delivery, Reply, Welcome};
use super::groups::Groups;
use super::keeper::{Keeper, PULSE_MS};
use super::mailbox::Mailbox;
use super::order::{Newcomer, Order, Parked};
use super::reader::{Question, Questions, What};
use super::routes::Routes;
use crate::clock::Clock;
use crate::connection::Peer;
use crate::wire::Format;

/// News taken at once.
const BATCH: usize = 512;
/// Orders obeyed in one turn; then news has its own. One that attaches a subscriber writes a page to it, so thousands
/// that come back at once would hold up for long what others are to hear.
const ORDERS: usize = 32;

/// One lane.
pub(super) struct Lane {
    pub(super) queue: Arc<EventQueue>,
    pub(super) orders: Arc<Mailbox<Order>>,
    pub(super) questions: Arc<Questions>,
    pub(super) routes: Arc<Routes>,
    pub(super) broker: Arc<AnyBroker>,
    pub(super) clock: Clock,
    pub(super) delivery: Delivery,
    pub(super) keeper: Keeper,
    /// Whether places repair what is missing. Always, but in a control of the tests.
    pub(super) repairs: bool,
}

impl Lane {
    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let (queue, orders) = (Arc::clone(&self.queue), Arc::clone(&self.orders));
        let (mut news, mut arrived) = (Vec::with_capacity(BATCH), Vec::new());
        let mut ordered = VecDeque::new();
        let mut pulse = tokio::time::interval(Duration::from_millis(PULSE_MS));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.delivery.rounds.room();
            tokio::select! {
                () = queue.take(room.min(BATCH), &mut news), if room > 0 => {
                    self.hear(&mut news).await;
                }
                () = std::future::ready(()), if !self.delivery.rounds.is_empty() => self.go_round().await,
                () = orders.take(&mut arrived), if ordered.is_empty() => ordered.extend(arrived.drain(..)),
                () = std::future::ready(()), if !ordered.is_empty() => {
                    for order in ordered.drain(..ordered.len().min(ORDERS)) {
                        self.obey(order).await;
                    }
                }
                _ = pulse.tick(), if !self.keeper.is_empty() => self.look().await,
            }
            self.delivery.flush();
            // A queue that never runs dry must not starve the connections of this thread. One that is empty makes
            // this task wait by itself: a yield would be one more look at all sockets for each single event.
            if !ordered.is_empty() || !queue.is_empty() || !self.delivery.rounds.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Passes on what the broker says.
    async fn hear(&mut self, news: &mut Vec<News>) {
        let taken = Instant::now();
        let Groups { events: mut groups, rest } = Groups::of(news.drain(..));
        let count: usize = groups.iter().map(|(_, events)| events.len()).sum();
        self.delivery.metrics.metrics.events_received.inc_by(count as u64);
        for (channel, events) in &mut groups {
            if self.repairs && self.keeper.has(channel) {
                self.follow(channel, events).await;
            } else if self.delivery.carry(channel, events, taken).await {
                events.clear(); // they are observed when they have arrived
            }
        }
        self.delivery.flush();
        for news in rest {
            if !self.repairs {
                continue;
            }
            match news {
                News::Gap(channel, why) => {
                    // Without a position there is nothing to repair from. What the queue dropped it has
                    // counted and said; what a moved slot lost nobody can count.
                    tracing::debug!(%channel, "events of a channel may be missing");
                    let cause = match why {
                        GapCause::Overflowed => Cause::Overflowed,
                        GapCause::Moved => Cause::Moved,
                    };
                    self.missed(channel, cause).await;
                }
                News::Up(shard) => self.shard(shard, true).await,
                News::Down(shard) => self.shard(shard, false).await,
                News::Event(..) => {}
            }
        }
        self.observe(groups.iter().flat_map(|(_, events)| events), taken);
    }

    /// One step of what goes round hot channels.
    async fn go_round(&mut self) {
        for arrived in self.delivery.step().await {
            self.observe(arrived.events.iter(), arrived.taken);
        }
    }

    /// Events of a channel with a place.
    async fn follow(&mut self, channel: &ChannelName, events: &[Event]) {
        let mut rest = events;
        while !rest.is_empty() {
            let count = self.keeper.follow(channel, rest);
            let (run, others) = rest.split_at(count);
            self.delivery.deliver(channel, run).await;
            rest = others;
            if let Some((event, others)) = rest.split_first() {
                self.step(channel, Input::Message(event.clone())).await;
                rest = others;
            }
        }
    }

    async fn shard(&mut self, shard: Shard, up: bool) {
        let of_it = |channel: &ChannelName| self.broker.shard_of(channel).is_none_or(|of| of == shard);
        let channels = self.keeper.channels().into_iter().filter(of_it).collect();
        for channel in self.keeper.shard(channels, up, self.clock.ms()) {
            self.step(&channel, if up { Input::Connected } else { Input::Down }).await;
        }
    }

    /// A channel's messages may be missing; one that fell silent with its shard may be heard at another now.
    async fn missed(&mut self, channel: ChannelName, cause: Cause) {
        let back = self.keeper.is_down(&channel) && self.broker.hears(&channel);
        let told = match back {
            true => self.keeper.shard(vec![channel.clone()], true, self.clock.ms()),
            false => Vec::new(),
        };
        let input = if told.is_empty() { Input::Missed(cause) } else { Input::Connected };
        self.step(&channel, input).await;
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Subscribe(newcomer) => self.subscribe(newcomer).await,
            Order::Leave(channel, seat) => {
                self.keeper.settle(seat);
                self.step(&channel, Input::Unsubscribe(seat)).await;
                if let Some(channel) = self.delivery.hub.leave(seat) {
                    self.routes.linger(channel);
                }
            }
            Order::Room(channel, seat, connection) => self.room(channel, seat, connection).await,
            Order::Heard(channel, Ok(())) => {
                self.keeper.heard(&channel, true);
                self.step(&channel, Input::Connected).await;
            }
            Order::Heard(channel, Err(refusal)) => {
                self.keeper.heard(&channel, false);
                let now = Now { ms: self.clock.ms(), dice: rand::random() };
                for effect in self.keeper.step(&channel, Input::Unheard, now) {
                    if let Effect::Refused(seat, _) = effect {
                        self.refuse(seat, refusal.clone());
                    }
                }
            }
            Order::Retire(channel) => {
                // Whoever waits for it holds a seat, so it cannot be retired under them.
                if self.delivery.hub.retire(&channel) {
                    self.keeper.forget(&channel);
                    self.routes.give_up(channel);
                }
            }
            Order::Answer(whose, id, answer) if self.keeper.is_alive(&whose) => {
                self.step(&whose.channel, Input::Answer(id, answer)).await;
            }
            Order::Begun(whose, id, begun) if self.keeper.is_alive(&whose) => {
                self.step(&whose.channel, Input::Begun(id, begun)).await;
            }
            Order::Confirmed(whose) if self.keeper.is_alive(&whose) => {
                self.step(&whose.channel, Input::Confirmed).await;
            }
            Order::Tops(tops) => {
                for (channel, found) in self.keeper.found(tops, self.clock.ms()) {
                    self.step(&channel, Input::Top(found)).await;
                }
            }
            Order::Answer(..) | Order::Begun(..) | Order::Confirmed(_) => {} // of a place before this one
        }
    }

    async fn subscribe(&mut self, mut newcomer: Newcomer) {
        let Newcomer { seat, since, .. } = newcomer;
        // Nothing leaves before the last of its channels is answered: pages of many would not fit.
        let brief = newcomer.id.is_none() && newcomer.connection.format() != Format::SseOne;
        let channel = newcomer.channel.clone();
        if !newcomer.connection.is_roomy() {
            // What it missed comes in pages: those of many channels must not add up to an overflow.
            let connection = Arc::clone(&newcomer.connection);
            let parked = Parked { to: Arc::clone(&self.orders), order: Order::Subscribe(newcomer) };
            return connection.park(parked);
        }
        let again = || Parked { to: Arc::clone(&self.orders), order: Order::Subscribe(newcomer.clone()) };
        if !newcomer.connection.enter(again) {
            return;
        }
        newcomer.in_turn = true;
        let position_ttl = self.broker.rules_of(&channel).position_ttl;
        if self.keeper.welcome(newcomer, position_ttl, self.clock.ms()) {
            self.routes.want(channel.clone());
        }
        self.step(&channel, Input::Subscribe { seat, since, brief }).await;
    }

    /// A subscriber on its way takes more, unless another of its channels has filled the outbox meanwhile.
    async fn room(&mut self, channel: ChannelName, seat: Seat, connection: Arc<Peer>) {
        let Some(newcomer) = self.keeper.newcomer(seat).filter(|of| Arc::ptr_eq(&of.connection, &connection))
        else {
            return connection.next_turn(); // it has left meanwhile: it was not its turn
        };
        let in_turn = newcomer.in_turn;
        let again = || Parked {
            to: Arc::clone(&self.orders),
            order: Order::Room(channel.clone(), seat, Arc::clone(&connection)),
        };
        if !connection.is_roomy() {
            return connection.park(again());
        }
        if in_turn || connection.enter(again) {
            self.keeper.turn(seat, true);
            self.step(&channel, Input::Room(seat)).await;
        }
    }

    /// What the clock brings.
    async fn look(&mut self) {
        let due = self.keeper.pulse(self.clock.ms());
        for channel in due.ticks {
            self.step(&channel, Input::Tick).await;
        }
        if !self.repairs {
            return;
        }
        for (whose, top) in due.missing {
            self.step(&whose.channel, Input::Top(Some(top))).await;
        }
        for (whose, _) in &due.tops {
            // Its slot went to a shard that was up all along.
            if self.keeper.is_down(&whose.channel) && self.broker.hears(&whose.channel) {
                self.missed(whose.channel.clone(), Cause::Moved).await;
            }
        }
        if !due.tops.is_empty() {
            self.ask(What::Tops(due.tops));
        }
        for channel in due.renew {
            self.ask(What::Renew(channel));
        }
    }

    fn ask(&self, what: What) {
        self.questions.push(Question { to: Arc::clone(&self.orders), what });
    }

    async fn step(&mut self, channel: &ChannelName, input: Input<Seat>) {
        let now = Now { ms: self.clock.ms(), dice: rand::random() };
        let effects = self.keeper.step(channel, input, now);
        if !effects.is_empty() {
            self.carry_out(channel, effects).await;
        }
    }

    async fn carry_out(&mut self, channel: &ChannelName, effects: Effects<Seat>) {
        let Some(whose) = self.keeper.whose(channel) else { return };
        for effect in effects {
            match effect {
                Effect::Pass { events, above } => {
                    self.delivery.deliver_above(channel, &events, &above).await;
                }
                Effect::Tell(words) => self.delivery.tell(channel, &words).await,
                Effect::Subscribed { seat, at, recovered, events, attach } => {
                    let reply = Some(Reply { at, recovered });
                    self.welcome(seat, &Welcome { reply, word: None, events: &events, attach });
                }
                Effect::Page { seat, word, events, attach } => {
                    self.welcome(seat, &Welcome { reply: None, word, events: &events, attach });
                }
                Effect::Refused(seat, why) => self.refuse(seat, refusal(why, channel)),
                Effect::Read { id, since, count } => {
                    self.ask(What::Read { whose: whose.clone(), id, since, count });
                }
                Effect::Begin(id) => self.ask(What::Begin { whose: whose.clone(), id }),
                Effect::Seek => self.ask(What::Seek(whose.clone())),
                Effect::Stale { .. } => tracing::debug!(%channel, "a channel may miss events"),
                Effect::Repaired { .. } => {} // the keeper has counted it
            }
        }
    }

    fn welcome(&mut self, seat: Seat, welcome: &Welcome<'_>) {
        let Some(newcomer) = self.keeper.newcomer(seat) else { return };
        self.delivery.welcome(newcomer, welcome);
        if welcome.attach {
            self.keeper.settle(seat);
        } else {
            let connection = Arc::clone(&newcomer.connection);
            let order = Order::Room(newcomer.channel.clone(), seat, Arc::clone(&connection));
            // While it waits for room others have its turn: a stream is opened when all of its channels are
            // answered, and nothing leaves before.
            self.keeper.turn(seat, false);
            connection.park(Parked { to: Arc::clone(&self.orders), order });
        }
    }

    /// Its connection gives the seat back.
    fn refuse(&mut self, seat: Seat, refusal: Refusal) {
        let Some(Newcomer { connection, ticket, .. }) = self.keeper.newcomer(seat).cloned() else { return };
        if refusal.reason == Reason::Unavailable {
            // Who waits behind it would wait as long again, one after the other: all hear it within 2 s.
            let answered = |parked: &Parked| matches!(parked.order, Order::Room(..));
            for parked in connection.turn_away(answered) {
                if let Order::Subscribe(Newcomer { ticket, .. }) = parked.order {
                    connection.answer(ticket, Answer::Joined(Err(refusal.clone())));
                }
            }
        }
        self.keeper.settle(seat);
        connection.answer(ticket, Answer::Joined(Err(refusal)));
    }

    fn observe<'a>(&self, events: impl Iterator<Item = &'a Event>, taken: Instant) {
        let metrics = &self.delivery.metrics.metrics;
        let lag = taken.elapsed().as_secs_f64();
        metrics.relay_lag.set(lag);
        let now_us = self.clock.unix_us();
        for event in events {
            metrics.delivery.received.observe(lag);
            if let Some(published_us) = event.published_us {
                let us = now_us.saturating_sub(published_us); // clocks of two nodes may differ
                metrics.delivery.published.observe(us as f64 / 1e6);
            }
        }
    }
}

fn refusal(why: Refused, channel: &ChannelName) -> Refusal {
    match why {
        Refused::Unavailable => Refusal::unavailable(),
        Refused::Behind => super::behind(channel),
    }
}
