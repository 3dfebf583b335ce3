//! What the server says to a link: replies, events, hints.
//!
//! Frames and fields that this version does not know are ignored; a message that cannot be read
//! ends the connection, since what followed it would be guesswork.

use std::time::Duration;

use tidegate_core::{ChannelName, ClientId, Position};
use tidegate_protocol::{Codec, ServerFrame, json, msgpack};

use super::{Asked, Cut, Effect, Effects, Leave, Link, Now, Open, Phase, Seat, Wanted};
use crate::silence::Silence;
use crate::{Error, News, State};

/// The range of the wait before a refused `subscribe` is tried again, unless the server knows.
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
            ServerFrame::Event(event) => {
                // After `unsubscribe` some may still be on their way.
                if self.wanted.contains_key(event.channel.as_str()) {
                    effects.push(Effect::News(News::Event(event)));
                }
            }
            ServerFrame::Connected { id, session, client, user, ping_ms, message_bytes, .. } => {
                if matches!(self.phase, Phase::Greeting { .. }) && self.requests.close(id).is_some() {
                    let silence = Silence::new(ping_ms, now.at);
                    let open = Open { since: now.at, silence, leave: Leave::No, message_bytes };
                    self.phase = Phase::Open(open);
                    self.moving = false;
                    self.identity.client = ClientId::parse(&client).ok();
                    self.joins = self.wanted.keys().cloned().collect();
                    effects.push(Effect::News(News::State(State::Connected { session, user })));
                }
            }
            ServerFrame::Subscribed { id, channel, .. } => {
                self.requests.close(id);
                self.subscribed(&channel, now, effects);
            }
            ServerFrame::Ok { id, position } => self.done(id, position, effects),
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
            ServerFrame::History { .. }
            | ServerFrame::Position { .. }
            | ServerFrame::Gap { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Error { id: None, .. }
            | ServerFrame::Unknown(_) => {}
        }
    }

    fn subscribed(&mut self, channel: &str, now: Now, effects: &mut Effects<R>) {
        let Ok(name) = ChannelName::parse_any(channel) else { return };
        let Some(wanted) = self.wanted.get_mut(&name) else {
            // Given up as unanswered.
            return self.ask_to_leave(name, None, now, effects);
        };
        let again = wanted.seat != Seat::Joined;
        wanted.seat = Seat::Joined;
        match wanted.reply.take() {
            Some(reply) => effects.push(Effect::Answer(reply, Ok(None))),
            None if again => effects.push(Effect::News(News::Resubscribed(name.clone()))),
            None => {}
        }
        if let Some(leaving) = wanted.leaving.take() {
            self.wanted.remove(&name);
            self.ask_to_leave(name, Some(leaving), now, effects);
        }
    }

    fn done(&mut self, id: u64, position: Option<Position>, effects: &mut Effects<R>) {
        match self.requests.close(id) {
            Some(Asked::Publish(reply)) => effects.push(Effect::Answer(reply, Ok(position))),
            Some(Asked::Unsubscribe(Some(reply))) => effects.push(Effect::Answer(reply, Ok(None))),
            _ => {}
        }
    }

    fn refused(&mut self, id: u64, error: Error, now: Now, effects: &mut Effects<R>) {
        match self.requests.close(id) {
            Some(Asked::Publish(reply) | Asked::Unsubscribe(Some(reply))) => {
                effects.push(Effect::Answer(reply, Err(error)));
            }
            Some(Asked::Subscribe(channel)) => self.not_joined(channel, error, now, effects),
            // A refused `connect` is followed by a close, whose code decides.
            Some(Asked::Connect | Asked::Unsubscribe(None)) | None => {}
        }
    }

    pub(super) fn unanswered(&mut self, asked: Asked<R>, now: Now, effects: &mut Effects<R>) {
        match asked {
            Asked::Publish(reply) | Asked::Unsubscribe(Some(reply)) => {
                effects.push(Effect::Answer(reply, Err(Error::NoAnswer)));
            }
            Asked::Subscribe(channel) => self.not_joined(channel, Error::NoAnswer, now, effects),
            Asked::Connect | Asked::Unsubscribe(None) => {}
        }
    }

    /// A `subscribe` failed: the first one is told so, a later one is tried again while that can help.
    fn not_joined(&mut self, channel: ChannelName, error: Error, now: Now, effects: &mut Effects<R>) {
        let Some(wanted) = self.wanted.get_mut(&channel).filter(|wanted| wanted.seat == Seat::Asked) else {
            return;
        };
        let first = wanted.reply.is_some();
        if !first && matches!(&error, Error::Refused { code, .. } if code == "already_subscribed") {
            // An earlier one, given up as unanswered, had arrived.
            return self.subscribed(channel.as_str(), now, effects);
        }
        if !first && error.retry() && wanted.leaving.is_none() {
            wanted.seat = Seat::Due;
            let (least, range) = AGAIN;
            let wait = match &error {
                Error::Refused { retry_after: Some(wait), .. } => *wait,
                _ => least + range.mul_f64(now.chance),
            };
            self.later.push((now.at + wait, channel));
        } else if let Some((channel, wanted)) = self.wanted.remove_entry(&channel) {
            self.ended(channel, wanted, error, effects);
        }
    }

    fn ended(&mut self, channel: ChannelName, wanted: Wanted<R>, error: Error, effects: &mut Effects<R>) {
        match (wanted.reply, wanted.leaving.is_some()) {
            (Some(reply), _) => effects.push(Effect::Answer(reply, Err(error))),
            (None, false) => effects.push(Effect::News(News::Ended { channel, error })),
            (None, true) => {}
        }
        effects.extend(wanted.leaving.map(|reply| Effect::Answer(reply, Ok(None))));
    }
}
