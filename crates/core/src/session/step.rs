//! The steps of a session: one function for each thing that can happen.

use std::sync::Arc;

use bytes::Bytes;

use super::asks::Pending;
use super::{Answer, Ask, Effect, Effects, Input, Manner, NOBODY, Now, Reply, Session, State, Subscription};
use crate::access::{Action, Credentials, Identity};
use crate::hub::Seat;
use crate::place::Since;
use crate::{ChannelName, ClientId, Close, Position, Reason, Refusal, RequestId, Ticket};

impl Session {
    /// One step: what `input` leads to is appended to `effects`, in order.
    pub fn step(&mut self, input: Input, now: Now, effects: &mut Effects) {
        match (&mut self.state, input) {
            // A seat that comes too late is given back at once, or nobody ever would.
            (State::Closed, Input::Done(ticket, Answer::Joined(Ok(seat)) | Answer::Attached(seat))) => {
                effects.push(Effect::Ask(ticket, Ask::Leave(seat)));
            }
            (State::Closed, _) => {}
            (_, Input::Tick) => self.tick(now, effects),
            (_, Input::Done(ticket, answer)) => self.done(ticket, answer, now, effects),
            (State::New, input) => self.first(input, effects),
            (State::Opening(waiting), input) => {
                // A client may send requests right behind its `connect`; their order is kept.
                if waiting.len() < self.policy.limits.asks {
                    waiting.push(input);
                } else {
                    let message = format!("more than {} requests before `connected`", waiting.len());
                    self.end(Close::RateLimited, message, effects);
                }
            }
            (State::Open(who), input) => {
                let who = who.clone();
                self.request(input, who.as_deref().unwrap_or(&NOBODY), effects);
            }
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Effects) {
        match &self.state {
            State::New | State::Opening(_) if now.monotonic_s >= self.opened_s + super::CONNECT_TIMEOUT_S => {
                let message = format!("no `connect` within {} s", super::CONNECT_TIMEOUT_S);
                self.end(Close::ConnectTimeout, message, effects);
            }
            State::Open(Some(who)) if who.expires.is_some_and(|at| now.unix_s >= at) => {
                self.end(Close::Expired, "the token expired".into(), effects);
            }
            _ => {}
        }
    }

    fn first(&mut self, input: Input, effects: &mut Effects) {
        match input {
            Input::Connect { id, credentials, client } => {
                self.open(Pending::Connect(id, client), credentials, effects)
            }
            Input::Open { credentials, channels } => self.open(Pending::Open(channels), credentials, effects),
            Input::Ping { id } => effects.push(Effect::Reply(Reply::Pong { id })),
            Input::Malformed { id, refusal } => {
                // Whoever starts with what is no frame speaks another protocol.
                let message = refusal.message.clone();
                self.refuse(id, refusal, effects);
                self.end(Close::BadRequest, message, effects);
            }
            Input::Subscribe { id, .. } | Input::Unsubscribe { id, .. } | Input::History { id, .. } => {
                self.not_connected(Some(id), effects)
            }
            Input::Publish { id, .. } => self.not_connected(id, effects),
            Input::Done(..) | Input::Tick => {}
        }
    }

    fn not_connected(&mut self, id: Option<RequestId>, effects: &mut Effects) {
        self.refuse(id, Refusal::new(Reason::NotConnected, "the first request must be `connect`"), effects);
    }

    fn open(&mut self, pending: Pending, credentials: Credentials, effects: &mut Effects) {
        self.state = State::Opening(Box::default());
        let ticket = self.asks.open(pending);
        effects.push(Effect::Ask(ticket, Ask::Authorise(credentials)));
    }

    fn request(&mut self, input: Input, who: &Identity, effects: &mut Effects) {
        match input {
            Input::Subscribe { id, channel, since } => {
                if let Err(refusal) = self.subscribe(Some(id), channel, since, who, effects) {
                    self.refuse(Some(id), refusal, effects);
                }
            }
            Input::Unsubscribe { id, channel } => self.unsubscribe(id, &channel, effects),
            Input::Publish { id, channel, payload, key } => {
                if let Err(refusal) = self.publish(id, channel, payload, key, who, effects) {
                    self.refuse(id, refusal, effects);
                }
            }
            Input::History { id, channel, since, limit } => {
                if let Err(refusal) = self.history(id, channel, since, limit, who, effects) {
                    self.refuse(Some(id), refusal, effects);
                }
            }
            Input::Ping { id } => effects.push(Effect::Reply(Reply::Pong { id })),
            Input::Malformed { id, refusal } => self.refuse(id, refusal, effects),
            Input::Connect { id, .. } => {
                let refusal = Refusal::new(
                    Reason::BadRequest,
                    "`connect` was sent before; a connection has one session",
                );
                self.refuse(Some(id), refusal, effects);
            }
            Input::Open { .. } | Input::Done(..) | Input::Tick => {}
        }
    }

    fn subscribe(
        &mut self,
        id: Option<RequestId>,
        channel: ChannelName,
        since: Since,
        who: &Identity,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        self.policy.access.check(who, Action::Subscribe, &channel)?;
        if self.subscription(&channel).is_some() {
            return Err(Refusal::new(Reason::AlreadySubscribed, format!("already subscribed to {channel}")));
        }
        if let Some(refusal) = self.too_many(self.subscriptions.len() + 1) {
            return Err(refusal);
        }
        self.room_to_ask()?;
        self.subscriptions.push(Subscription { channel: channel.clone(), seat: None });
        let ticket = self.asks.open(Pending::Join(id, channel.clone(), since));
        effects.push(Effect::Ask(ticket, Ask::Join { channel, since, id }));
        Ok(())
    }

    fn too_many(&self, channels: usize) -> Option<Refusal> {
        let most = self.policy.limits.channels;
        let message =
            format!("at most {most} channels a connection (limits.channels), this would be {channels}");
        (channels > most).then(|| Refusal::new(Reason::TooManyChannels, message))
    }

    fn unsubscribe(&mut self, id: RequestId, channel: &ChannelName, effects: &mut Effects) {
        let at = self.subscriptions.iter().position(|s| s.channel == *channel && s.seat.is_some());
        match at.and_then(|at| self.subscriptions.remove(at).seat) {
            Some(seat) => {
                let ticket = self.asks.open(Pending::Leave(id));
                effects.push(Effect::Ask(ticket, Ask::Leave(seat)));
            }
            None => {
                let refusal = Refusal::new(Reason::NotSubscribed, format!("not subscribed to {channel}"));
                self.refuse(Some(id), refusal, effects);
            }
        }
    }

    fn publish(
        &mut self,
        id: Option<RequestId>,
        channel: Option<ChannelName>,
        payload: Bytes,
        key: Option<Arc<str>>,
        who: &Identity,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let first = || self.subscriptions.first().map(|s| s.channel.clone());
        let channel = channel
            .or_else(first)
            .ok_or_else(|| Refusal::new(Reason::BadRequest, "no `channel` is given"))?;
        self.policy.access.check(who, Action::Publish, &channel)?;
        let most = self.policy.limits.event_bytes;
        if payload.len() > most {
            let message =
                format!("`data` has {} bytes, at most {most} are allowed (limits.event)", payload.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        self.room_to_ask()?;
        let ticket = self.asks.open(Pending::Publish(id));
        effects.push(Effect::Ask(ticket, Ask::Publish { channel, payload, from: self.id, key }));
        Ok(())
    }

    /// Whoever may hear a channel may read what it remembers.
    fn history(
        &mut self,
        id: RequestId,
        channel: ChannelName,
        since: Option<Position>,
        limit: Option<u32>,
        who: &Identity,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        self.policy.access.check(who, Action::Subscribe, &channel)?;
        let limit = limit.unwrap_or(super::HISTORY_DEFAULT);
        if limit == 0 || limit > super::HISTORY_MOST {
            let message = format!("`limit` is 1 to {}, this is {limit}", super::HISTORY_MOST);
            return Err(Refusal::new(Reason::BadRequest, message));
        }
        self.room_to_ask()?;
        let ticket = self.asks.open(Pending::History(id, channel.clone()));
        effects.push(Effect::Ask(ticket, Ask::History { channel, since, limit }));
        Ok(())
    }

    fn room_to_ask(&self) -> Result<(), Refusal> {
        let most = self.policy.limits.asks;
        if self.asks.len() < most {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::RateLimited,
            format!("{most} requests of this connection wait already; wait for replies"),
        ))
    }

    fn done(&mut self, ticket: Ticket, answer: Answer, now: Now, effects: &mut Effects) {
        let Some(pending) = self.asks.close(ticket) else {
            return;
        };
        match (pending, answer) {
            (Pending::Connect(id, client), Answer::Authorised(answer)) => {
                self.connected(id, client, answer, now, effects)
            }
            (Pending::Open(channels), Answer::Authorised(answer)) => self.opened(channels, answer, effects),
            (Pending::Join(id, channel, since), Answer::Joined(Ok(seat))) => {
                let recovered = matches!(since, Since::At(_)).then_some(false);
                let reply = id.map(|id| Reply::Subscribed { id, channel: channel.clone(), recovered });
                effects.push(Effect::Attach(seat, reply));
                self.attached(&channel, seat, effects);
            }
            (Pending::Join(_, channel, _), Answer::Attached(seat)) => self.attached(&channel, seat, effects),
            (Pending::Join(id, channel, _), Answer::Joined(Err(refusal))) => {
                self.subscriptions.retain(|s| s.channel != channel);
                self.refuse(id, refusal, effects);
            }
            (Pending::History(id, channel), Answer::History(Ok(past))) => {
                effects.push(Effect::Reply(Reply::History { id, channel, past }));
            }
            (Pending::History(id, _), Answer::History(Err(refusal))) => {
                self.refuse(Some(id), refusal, effects)
            }
            (Pending::Leave(id), Answer::Left) => effects.push(Effect::Reply(Reply::Unsubscribed { id })),
            (Pending::Publish(id), Answer::Published(answer)) => self.published(id, answer, effects),
            (pending, answer) => debug_assert!(false, "{answer:?} does not answer {pending:?}"),
        }
    }

    fn connected(
        &mut self,
        id: RequestId,
        client: ClientId,
        answer: Result<Identity, Refusal>,
        now: Now,
        effects: &mut Effects,
    ) {
        let who = match answer {
            Ok(who) => who,
            Err(refusal) => {
                let message = refusal.message.clone();
                effects.push(Effect::Reply(Reply::Refused { id: Some(id), refusal }));
                return self.end(Close::Unauthorized, message, effects);
            }
        };
        let reply = Reply::Connected { id, session: self.id, client, user: who.user.clone() };
        effects.push(Effect::Reply(reply));
        if let State::Opening(waiting) = std::mem::replace(&mut self.state, State::open(who)) {
            for input in *waiting {
                self.step(input, now, effects);
            }
        }
    }

    fn opened(
        &mut self,
        channels: Vec<(ChannelName, Since)>,
        answer: Result<Identity, Refusal>,
        effects: &mut Effects,
    ) {
        let who = match answer {
            Ok(who) => who,
            Err(refusal) => return self.refuse(None, refusal, effects),
        };
        // All or nothing: what is refused is known before anything is asked for.
        let refused = channels
            .iter()
            .find_map(|(channel, _)| self.policy.access.check(&who, Action::Subscribe, channel).err());
        if let Some(refusal) = refused.or_else(|| self.too_many(channels.len())) {
            return self.refuse(None, refusal, effects);
        }
        self.state = State::open(who.clone());
        for (channel, since) in channels {
            if let Err(refusal) = self.subscribe(None, channel, since, &who, effects) {
                return self.refuse(None, refusal, effects);
            }
        }
    }

    fn attached(&mut self, channel: &ChannelName, seat: Seat, effects: &mut Effects) {
        if let Some(subscription) = self.subscription(channel) {
            subscription.seat = Some(seat);
        }
        // A bare client is answered once, when the last of its channels is confirmed.
        if self.manner == Manner::Bare && !self.asks.joining() {
            effects.push(Effect::Reply(Reply::Opened));
        }
    }

    fn published(
        &mut self,
        id: Option<RequestId>,
        answer: Result<Option<Position>, Refusal>,
        effects: &mut Effects,
    ) {
        match (answer, id) {
            (Ok(position), Some(id)) => effects.push(Effect::Reply(Reply::Published { id, position })),
            (Ok(_), None) => {}
            // A bare session has no words for it, and is not ended either: sockets stay while the broker is away. All
            // that publish would otherwise be gone within a second, and come back as one.
            (Err(refusal), None) if refusal.reason == Reason::Unavailable => {
                effects.push(Effect::Reply(Reply::Refused { id, refusal }));
            }
            (Err(refusal), _) => self.refuse(id, refusal, effects),
        }
    }

    /// Refuses a request. A bare session has no way to say so but to end.
    fn refuse(&mut self, id: Option<RequestId>, refusal: Refusal, effects: &mut Effects) {
        let message = refusal.message.clone();
        let close = match refusal.reason {
            Reason::Forbidden => Close::Forbidden,
            Reason::TooLarge => Close::TooBig,
            Reason::Unavailable => Close::Overloaded,
            Reason::RateLimited => Close::RateLimited,
            Reason::Internal => Close::Internal,
            _ => Close::BadRequest,
        };
        effects.push(Effect::Reply(Reply::Refused { id, refusal }));
        if self.manner == Manner::Bare {
            self.end(close, message, effects);
        }
    }

    fn end(&mut self, close: Close, message: String, effects: &mut Effects) {
        // Seats stay listed until the shell calls `close`; only the state changes here.
        self.state = State::Closed;
        effects.push(Effect::Close(close, message));
    }
}
