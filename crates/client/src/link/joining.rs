//! The life of a subscription: asked for, heard, asked for again on each connection and from where it was, ended.

use tidegate_core::{ChannelName, Position};
use tidegate_protocol::{ClientFrame, EventFrame, Logged};

use super::frame::again;
use super::{Answer, Asked, Effect, Effects, Leave, Link, MOST_OPEN, Now, Phase, Seat, Wanted};
use crate::followers::{MISSED, Said};
use crate::{Error, News, Start};

/// What `subscribed` says.
pub(super) struct Reply {
    /// Nobody waits for it any more.
    pub(super) late: bool,
    pub(super) position: Option<Position>,
    pub(super) recovered: Option<bool>,
    pub(super) events: Vec<Logged>,
}

impl<R> Link<R> {
    /// Sends the `subscribe`s that are due, as far as there is room for requests.
    pub(super) fn join(&mut self, now: Now, effects: &mut Effects<R>) {
        let Phase::Open(open) = &self.phase else { return };
        if matches!(open.leave, Leave::Now(_)) {
            return; // the next node will be asked
        }
        let mut requests = Vec::new();
        while self.requests.len() < MOST_OPEN
            && let Some(channel) = self.joins.pop_front()
        {
            if let Some(wanted) = self.wanted.get_mut(&channel).filter(|wanted| wanted.seat == Seat::Due) {
                wanted.seat = Seat::Asked;
                let since = self.followers.lock().join(&channel);
                let last = match wanted.start {
                    Start::Last(events) if since.is_none() => Some(events),
                    _ => None,
                };
                let id = self.requests.open(Asked::Subscribe(channel.clone()), now.at);
                requests.push(self.encode(&ClientFrame::Subscribe { id, channel, since, last }));
            }
        }
        self.send_all(requests, effects);
    }

    pub(super) fn subscribed(&mut self, channel: &str, said: Reply, now: Now, effects: &mut Effects<R>) {
        let Ok(name) = ChannelName::parse_any(channel) else { return };
        let Some(wanted) = self.wanted.get_mut(&name) else {
            // Given up as unanswered.
            return self.ask_to_leave(name, None, now, effects);
        };
        let mut followers = self.followers.lock();
        if said.late && (said.position.is_some() || followers.holds(&name)) {
            drop(followers);
            // It began elsewhere than the next one will; that one's own answer decides.
            if wanted.seat == Seat::Due {
                self.rejoin(name, now, effects);
            }
            return;
        }
        let first = wanted.seat != Seat::Joined;
        wanted.seat = Seat::Joined;
        match wanted.reply.take() {
            Some(reply) => effects.push(Effect::Answer(reply, Ok(Answer::Done))),
            None if first => effects.push(Effect::News(News::Resubscribed(name.clone()))),
            None => {}
        }
        if let Some(at) = said.position {
            let told = (at, said.events.len() as u64, said.recovered);
            effects.extend(followers.subscribed(&name, told, now.at).map(Effect::Note));
            let events = said.events.into_iter().map(|logged| EventFrame {
                channel: channel.to_owned(),
                offset: Some(logged.offset),
                payload: logged.payload,
                from: logged.from,
                key: logged.key,
            });
            let notes = events.filter_map(|event| followers.note(&name, Said::Event(event)));
            effects.extend(notes.map(Effect::Note));
        } else if followers.forget(&name) {
            let reason = format!("{MISSED}: the channel has no history");
            effects.push(Effect::News(News::Gap { channel: name.clone(), reason }));
        }
        drop(followers);
        if let Some(leaving) = wanted.leaving.take() {
            self.wanted.remove(&name);
            self.followers.lock().forget(&name);
            self.ask_to_leave(name, Some(leaving), now, effects);
        }
    }

    /// A `subscribe` failed: the first one is told so, a later one is tried again while that can help.
    pub(super) fn not_joined(
        &mut self,
        channel: ChannelName,
        error: Error,
        now: Now,
        effects: &mut Effects<R>,
    ) {
        let Some(wanted) = self.wanted.get_mut(&channel).filter(|wanted| wanted.seat == Seat::Asked) else {
            return;
        };
        let first = wanted.reply.is_some();
        let is = |wanted: &str| matches!(&error, Error::Refused { code, .. } if code == wanted);
        if !first && is("already_subscribed") {
            // An earlier one, given up as unanswered, had arrived.
            if self.followers.lock().holds(&channel) {
                return self.rejoin(channel, now, effects); // where it began is not known
            }
            let said = Reply { late: false, position: None, recovered: None, events: Vec::new() };
            return self.subscribed(channel.as_str(), said, now, effects);
        }
        // `behind`: the server is older than our position, which will pass.
        if (is("behind") || !first && error.retry()) && wanted.leaving.is_none() {
            wanted.seat = Seat::Due;
            self.later.push((now.at + again(&error, now), channel));
        } else if let Some((channel, wanted)) = self.wanted.remove_entry(&channel) {
            self.ended(channel, wanted, error, effects);
        }
    }

    /// Subscribes again where the application's side found that something does not fit.
    pub(super) fn look(&mut self, now: Now, effects: &mut Effects<R>) {
        let lost = self.followers.lock().lost();
        for channel in lost {
            if self.wanted.get(&channel).is_some_and(|wanted| wanted.seat == Seat::Joined) {
                self.rejoin(channel, now, effects);
            }
        }
    }

    /// Leaves, to subscribe again from where the application is.
    fn rejoin(&mut self, channel: ChannelName, now: Now, effects: &mut Effects<R>) {
        let Some(wanted) = self.wanted.get_mut(&channel) else { return };
        wanted.seat = Seat::Leaving;
        let id = self.requests.open(Asked::Leave(channel.clone()), now.at);
        self.send(&ClientFrame::Unsubscribe { id, channel }, effects);
    }

    /// It is left: subscribe again, though not as fast as a server that goes wrong each time.
    pub(super) fn left(&mut self, channel: ChannelName, now: Now, effects: &mut Effects<R>) {
        let Some(wanted) = self.wanted.get_mut(&channel).filter(|wanted| wanted.seat == Seat::Leaving) else {
            return;
        };
        wanted.seat = Seat::Due;
        if let Some(reply) = wanted.leaving.take() {
            self.wanted.remove(&channel);
            self.followers.lock().forget(&channel);
            return effects.push(Effect::Answer(reply, Ok(Answer::Done)));
        }
        self.later.push((now.at + again(&Error::NoAnswer, now), channel));
    }

    pub(super) fn ended(
        &mut self,
        channel: ChannelName,
        wanted: Wanted<R>,
        error: Error,
        effects: &mut Effects<R>,
    ) {
        let mut followers = self.followers.lock();
        match (wanted.reply, wanted.leaving.is_some()) {
            (Some(reply), _) => {
                followers.forget(&channel);
                effects.push(Effect::Answer(reply, Err(error)));
            }
            (None, false) => {
                followers.end(&channel);
                effects.push(Effect::News(News::Ended { channel, error }));
            }
            (None, true) => drop(followers.forget(&channel)),
        }
        effects.extend(wanted.leaving.map(|reply| Effect::Answer(reply, Ok(Answer::Done))));
    }
}
