//! What the application asks of a link: subscribe, unsubscribe, publish.
//!
//! Subscriptions outlive connections and wait for one; a publish needs one now, since whether and
//! when it happens must stay the caller's decision.

use bytes::Bytes;
use tidegate_core::{ChannelName, Reason};
use tidegate_protocol::ClientFrame;

use super::{
    Asked, Command, Effect, Effects, Leave, Link, MOST_CHANNELS, MOST_OPEN, Now, Phase, Seat, Wanted,
};
use crate::Error;

impl<R> Link<R> {
    pub(super) fn command(&mut self, command: Command<R>, now: Now, effects: &mut Effects<R>) {
        if let Phase::Closed { code, reason } = &self.phase {
            let error = Error::Closed { code: *code, reason: reason.clone() };
            match command {
                Command::Subscribe(_, reply)
                | Command::Unsubscribe(_, reply)
                | Command::Publish(_, _, reply) => effects.push(Effect::Answer(reply, Err(error))),
            }
            return;
        }
        match command {
            Command::Subscribe(channel, reply) => self.subscribe(channel, reply, effects),
            Command::Unsubscribe(channel, reply) => self.unsubscribe(channel, reply, now, effects),
            Command::Publish(channel, data, reply) => self.publish(channel, data, reply, now, effects),
        }
    }

    fn subscribe(&mut self, channel: ChannelName, reply: R, effects: &mut Effects<R>) {
        let refusal = if self.wanted.contains_key(&channel) {
            Error::refused(Reason::AlreadySubscribed, format!("already subscribed to {channel}"))
        } else if self.wanted.len() >= MOST_CHANNELS {
            Error::refused(Reason::TooManyChannels, format!("at most {MOST_CHANNELS} channels a client"))
        } else {
            let wanted = Wanted { seat: Seat::Due, reply: Some(reply), leaving: None };
            self.wanted.insert(channel.clone(), wanted);
            if matches!(self.phase, Phase::Open(_)) {
                self.joins.push_back(channel);
            }
            return;
        };
        effects.push(Effect::Answer(reply, Err(refusal)));
    }

    fn unsubscribe(&mut self, channel: ChannelName, reply: R, now: Now, effects: &mut Effects<R>) {
        let not_subscribed = || Error::refused(Reason::NotSubscribed, format!("not subscribed to {channel}"));
        match self.wanted.get_mut(&channel) {
            // The server refuses to end what has not begun, so that waits for its answer.
            Some(wanted) if wanted.seat == Seat::Asked && wanted.leaving.is_none() => {
                wanted.leaving = Some(reply);
            }
            Some(wanted) if wanted.seat == Seat::Joined => {
                self.wanted.remove(&channel);
                self.ask_to_leave(channel, Some(reply), now, effects);
            }
            Some(wanted) if wanted.seat == Seat::Due => {
                let waiting = wanted.reply.take();
                effects.extend(waiting.map(|reply| Effect::Answer(reply, Err(not_subscribed()))));
                self.wanted.remove(&channel);
                effects.push(Effect::Answer(reply, Ok(None)));
            }
            _ => effects.push(Effect::Answer(reply, Err(not_subscribed()))),
        }
    }

    pub(super) fn ask_to_leave(
        &mut self,
        channel: ChannelName,
        reply: Option<R>,
        now: Now,
        effects: &mut Effects<R>,
    ) {
        let id = self.requests.open(Asked::Unsubscribe(reply), now.at);
        self.send(&ClientFrame::Unsubscribe { id, channel }, effects);
    }

    fn publish(&mut self, channel: ChannelName, data: Bytes, reply: R, now: Now, effects: &mut Effects<R>) {
        let Phase::Open(open) = &self.phase else {
            return effects.push(Effect::Answer(reply, Err(Error::NotConnected)));
        };
        let limit = open.message_bytes;
        let id = self.requests.open(Asked::Publish(reply), now.at);
        let message = self.encode(&ClientFrame::Publish { id, channel, data, key: None });
        let bytes = message.len();
        if limit == 0 || bytes as u64 <= limit {
            effects.push(Effect::Send(message));
        } else if let Some(Asked::Publish(reply)) = self.requests.close(id.get()) {
            effects.push(Effect::Answer(reply, Err(Error::TooLarge { bytes, limit })));
        }
    }

    /// Sends the `subscribe`s that are due, as far as there is room for requests.
    pub(super) fn join(&mut self, now: Now, effects: &mut Effects<R>) {
        let Phase::Open(open) = &self.phase else { return };
        if matches!(open.leave, Leave::Now(_)) {
            return; // the next node will be asked
        }
        while self.requests.len() < MOST_OPEN
            && let Some(channel) = self.joins.pop_front()
        {
            if let Some(wanted) = self.wanted.get_mut(&channel).filter(|wanted| wanted.seat == Seat::Due) {
                wanted.seat = Seat::Asked;
                let id = self.requests.open(Asked::Subscribe(channel.clone()), now.at);
                self.send(&ClientFrame::Subscribe { id, channel, since: None, last: None }, effects);
            }
        }
    }
}
