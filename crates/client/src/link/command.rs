//! What the application asks of a link: subscribe, unsubscribe, publish, history.
//!
//! Subscriptions outlive connections and wait for one, and so do publishes with a key; one without needs a
//! connection now, since whether and when it happens must stay the caller's decision.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Reason};
use tidegate_protocol::ClientFrame;

use super::parcels::Parcel;
use super::{
    Answer, Asked, Command, Effect, Effects, Leave, Link, MOST_CHANNELS, MOST_OPEN, Now, Phase, Seat, Wanted,
};
use crate::{Error, Start};

impl<R> Link<R> {
    pub(super) fn command(&mut self, command: Command<R>, now: Now, effects: &mut Effects<R>) {
        if let Phase::Closed { code, reason } = &self.phase {
            let error = Error::Closed { code: *code, reason: reason.clone() };
            return effects.push(Effect::Answer(command.into_reply(), Err(error)));
        }
        match command {
            Command::Subscribe(channel, start, reply) => self.subscribe(channel, start, reply, effects),
            Command::Unsubscribe(channel, reply) => self.unsubscribe(channel, reply, now, effects),
            Command::Publish(channel, data, reply) => self.publish(channel, data, reply, now, effects),
            Command::Post(channel, data, key, reply) => {
                let parcel = Parcel { channel, data, key, reply, first: None, refused: 0 };
                if let Err((parcel, room)) = self.parcels.push(parcel) {
                    let error = Error::Full { count: room.count, bytes: room.bytes };
                    effects.push(Effect::Answer(parcel.reply, Err(error)));
                }
            }
            Command::History(channel, since, limit, reply) => {
                if !matches!(self.phase, Phase::Open(_)) {
                    return effects.push(Effect::Answer(reply, Err(Error::NotConnected)));
                }
                let id = self.requests.open(Asked::History(reply), now.at);
                self.send(&ClientFrame::History { id, channel, since, limit }, effects);
            }
        }
    }

    fn subscribe(&mut self, channel: ChannelName, start: Start, reply: R, effects: &mut Effects<R>) {
        let refusal = if self.wanted.contains_key(&channel) {
            Error::refused(Reason::AlreadySubscribed, format!("already subscribed to {channel}"))
        } else if self.wanted.len() >= MOST_CHANNELS {
            Error::refused(Reason::TooManyChannels, format!("at most {MOST_CHANNELS} channels a client"))
        } else {
            let mut followers = self.followers.lock();
            followers.forget(&channel); // one that the server ended
            if let Start::Since(position) = start {
                followers.begin(channel.clone(), position);
            }
            drop(followers);
            let wanted = Wanted { seat: Seat::Due, start, reply: Some(reply), leaving: None };
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
            Some(wanted)
                if matches!(wanted.seat, Seat::Asked | Seat::Leaving) && wanted.leaving.is_none() =>
            {
                wanted.leaving = Some(reply);
            }
            Some(wanted) if wanted.seat == Seat::Joined => {
                self.wanted.remove(&channel);
                self.followers.lock().forget(&channel);
                self.ask_to_leave(channel, Some(reply), now, effects);
            }
            Some(wanted) if wanted.seat == Seat::Due => {
                let waiting = wanted.reply.take();
                effects.extend(waiting.map(|reply| Effect::Answer(reply, Err(not_subscribed()))));
                self.wanted.remove(&channel);
                self.followers.lock().forget(&channel);
                effects.push(Effect::Answer(reply, Ok(Answer::Done)));
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

    /// Sends the publishes with keys that are due, as far as there is room for requests.
    pub(super) fn post(&mut self, now: Now, effects: &mut Effects<R>) {
        let Phase::Open(open) = &self.phase else { return };
        if matches!(open.leave, Leave::Now(_)) {
            return; // the next node gets them
        }
        let limit = open.message_bytes;
        let mut requests = Vec::new();
        while self.requests.len() < MOST_OPEN
            && let Some(number) = self.parcels.next()
        {
            let Some(parcel) = self.parcels.get(number) else { continue };
            parcel.first.get_or_insert(now.at);
            let (channel, data) = (parcel.channel.clone(), parcel.data.clone());
            let key = Some(Arc::clone(&parcel.key));
            let id = self.requests.open(Asked::Parcel(number), now.at);
            let request = self.encode(&ClientFrame::Publish { id, channel, data, key });
            let bytes = request.len();
            if limit == 0 || bytes as u64 <= limit {
                requests.push(request);
            } else {
                self.requests.close(id.get());
                let parcel = self.parcels.remove(number);
                let error = Error::TooLarge { bytes, limit };
                effects.extend(parcel.map(|parcel| Effect::Answer(parcel.reply, Err(error))));
            }
        }
        self.send_all(requests, effects);
    }
}
