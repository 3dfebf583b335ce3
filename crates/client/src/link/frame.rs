//! What the server says to a link: replies, events, hints. What becomes of subscriptions is in `joining`.
//!
//! Frames and fields that this version does not know are ignored; a message that cannot be read
//! ends the connection, since what followed it would be guesswork.

use std::time::Duration;

use tidegate_core::{ClientId, Position};
use tidegate_protocol::{Codec, EventFrame, ServerFrame, json, msgpack};

use super::joining::Reply;
use super::{Answer, Asked, Cut, Effect, Effects, Leave, Link, Now, Open, Phase, Seat};
use crate::followers::Said;
use crate::silence::Silence;
use crate::{Error, History, News, State};

/// The range of the wait before what was refused is tried again, unless the server knows.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));
/// Longest wait a server can ask for in `reconnect` and `retry_after_ms`.
const LONGEST: Duration = Duration::from_secs(600);

impl<R> Link<R> {
    pub(super) fn message(&mut self, message: &[u8], now: Now, effects: &mut Effects<R>) {
        let frames = match self.identity.codec {
            Codec::Json => json::decode_server(message),
            Codec::MessagePack => msgpack::decode_server(message),
        };
        match frames {
            Ok(frames) => frames.into_iter().for_each(|frame| self.frame(frame, now, effects)),
            Err(error) => {
                let reason = format!("a message of the server cannot be read: {error}");
                self.hang(Cut::new(None, reason), now, effects);
            }
        }
    }

    fn frame(&mut self, frame: ServerFrame, now: Now, effects: &mut Effects<R>) {
        match frame {
            ServerFrame::Event(event) => self.event(event, effects),
            ServerFrame::Connected { id, session, client, user, ping_ms, message_bytes, .. } => {
                if matches!(self.phase, Phase::Greeting { .. }) && self.requests.close(id).is_some() {
                    let silence = Silence::new(ping_ms, now.at);
                    let open = Open { since: now.at, silence, leave: Leave::No, message_bytes };
                    self.phase = Phase::Open(open);
                    self.moving = false;
                    self.identity.client = ClientId::parse(&client).ok();
                    self.joins = self.wanted.keys().cloned().collect();
                    self.parcels.all_due();
                    effects.push(Effect::News(News::State(State::Connected { session, user })));
                }
            }
            ServerFrame::Subscribed { id, channel, position, recovered, events } => {
                let reply = Reply { late: self.requests.close(id).is_none(), position, recovered, events };
                self.subscribed(&channel, reply, now, effects);
            }
            ServerFrame::History { id, position, recovered, events, .. } => {
                let history = History { position, recovered, events };
                if let Some(Asked::History(reply)) = self.requests.close(id) {
                    effects.push(Effect::Answer(reply, Ok(Answer::History(history))));
                }
            }
            ServerFrame::Position { channel, position } => {
                self.note(&channel, Said::Position(position), effects);
            }
            ServerFrame::Gap { channel, position, reason } => {
                self.note(&channel, Said::Gap(position, reason), effects);
            }
            ServerFrame::Ok { id, position } => self.done(id, position, now, effects),
            ServerFrame::Error { id: Some(id), code, message, retry, retry_after_ms } => {
                let retry_after = retry_after_ms.map(|ms| Duration::from_millis(ms).min(LONGEST));
                self.refused(id, Error::Refused { code, message, retry, retry_after }, now, effects);
            }
            ServerFrame::Unsubscribed { channel, code } => {
                let message = format!("the server ended the subscription to {channel}");
                let error = Error::Refused { code, message, retry: false, retry_after: None };
                if let Some((channel, wanted)) = self.wanted.remove_entry(channel.as_str()) {
                    self.ended(channel, wanted, error, effects);
                }
            }
            ServerFrame::Reconnect { after_ms } => {
                if let Phase::Open(open) = &mut self.phase {
                    open.leave = Leave::At(now.at + Duration::from_millis(after_ms).min(LONGEST));
                }
            }
            ServerFrame::Pong { .. } | ServerFrame::Error { id: None, .. } | ServerFrame::Unknown(_) => {}
        }
    }

    fn event(&mut self, event: EventFrame, effects: &mut Effects<R>) {
        // After `unsubscribe` some may still be on their way.
        let Some((channel, wanted)) = self.wanted.get_key_value(event.channel.as_str()) else { return };
        let followers = self.followers.lock();
        if event.offset.is_none() || !followers.holds(channel) {
            effects.push(Effect::News(News::Event(event))); // a live one, which has no place
        } else if wanted.seat == Seat::Joined {
            effects.extend(followers.note(channel, Said::Event(event)).map(Effect::Note));
        }
    }

    fn note(&mut self, channel: &str, said: Said, effects: &mut Effects<R>) {
        let wanted = self.wanted.get_key_value(channel);
        if let Some((channel, _)) = wanted.filter(|(_, wanted)| wanted.seat == Seat::Joined) {
            effects.extend(self.followers.lock().note(channel, said).map(Effect::Note));
        }
    }

    fn done(&mut self, id: u64, position: Option<Position>, now: Now, effects: &mut Effects<R>) {
        match self.requests.close(id) {
            Some(Asked::Publish(reply)) => effects.push(Effect::Answer(reply, Ok(position.into()))),
            Some(Asked::Parcel(number)) => {
                let parcel = self.parcels.remove(number);
                effects.extend(parcel.map(|parcel| Effect::Answer(parcel.reply, Ok(position.into()))));
            }
            Some(Asked::Unsubscribe(Some(reply))) => effects.push(Effect::Answer(reply, Ok(Answer::Done))),
            Some(Asked::Leave(channel)) => self.left(channel, now, effects),
            _ => {}
        }
    }

    fn refused(&mut self, id: u64, error: Error, now: Now, effects: &mut Effects<R>) {
        match self.requests.close(id) {
            Some(Asked::Publish(reply) | Asked::History(reply) | Asked::Unsubscribe(Some(reply))) => {
                effects.push(Effect::Answer(reply, Err(error)));
            }
            Some(Asked::Parcel(number)) => self.not_posted(number, error, now, effects),
            Some(Asked::Subscribe(channel)) => self.not_joined(channel, error, now, effects),
            Some(Asked::Leave(channel)) => self.left(channel, now, effects),
            // A refused `connect` is followed by a close, whose code decides.
            Some(Asked::Connect | Asked::Unsubscribe(None)) | None => {}
        }
    }

    pub(super) fn unanswered(&mut self, asked: Asked<R>, now: Now, effects: &mut Effects<R>) {
        match asked {
            Asked::Publish(reply) | Asked::History(reply) | Asked::Unsubscribe(Some(reply)) => {
                effects.push(Effect::Answer(reply, Err(Error::NoAnswer)));
            }
            Asked::Parcel(number) => {
                let given_up = self.parcels.again(number, now.at, Duration::ZERO);
                effects.extend(given_up.map(|parcel| Effect::Answer(parcel.reply, Err(Error::NoAnswer))));
            }
            Asked::Subscribe(channel) => self.not_joined(channel, Error::NoAnswer, now, effects),
            Asked::Leave(channel) => self.left(channel, now, effects),
            Asked::Connect | Asked::Unsubscribe(None) => {}
        }
    }

    /// A publish with a key was refused: it is tried again while that can help, each time a little later.
    fn not_posted(&mut self, number: u64, error: Error, now: Now, effects: &mut Effects<R>) {
        let Some(parcel) = self.parcels.get(number) else { return };
        parcel.refused = parcel.refused.saturating_add(1);
        let times = 1 << (parcel.refused - 1).min(4); // 24 s at most
        let given_up = if error.retry() {
            self.parcels.again(number, now.at, again(&error, now) * times)
        } else {
            self.parcels.remove(number)
        };
        effects.extend(given_up.map(|parcel| Effect::Answer(parcel.reply, Err(error))));
    }
}

/// How long to wait before what was refused is tried again.
pub(super) fn again(error: &Error, now: Now) -> Duration {
    let (least, range) = AGAIN;
    match error {
        Error::Refused { retry_after: Some(wait), .. } => *wait,
        _ => least + range.mul_f64(now.chance),
    }
}
