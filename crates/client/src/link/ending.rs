//! How a connection ends, and what that does to requests and subscriptions: coming back after a
//! cut, moving to another node as planned, closing for good.

use std::time::Duration;

use super::{Answer, Asked, Cut, Effect, Effects, Leave, Link, Now, Phase, Seat, Wanted};
use crate::{Error, News, State};

/// How long a planned move to another node waits for open requests.
const FAREWELL: Duration = Duration::from_secs(2);

impl<R> Link<R> {
    /// Ends the connection from this side and comes back.
    pub(super) fn hang(&mut self, cut: Cut, now: Now, effects: &mut Effects<R>) {
        effects.push(Effect::Hang(1000, cut.reason.clone()));
        self.cut(cut, now, effects);
    }

    pub(super) fn cut(&mut self, cut: Cut, now: Now, effects: &mut Effects<R>) {
        if matches!(self.phase, Phase::Closed { .. } | Phase::Waiting { .. }) {
            return;
        }
        if let Phase::Open(open) = &self.phase {
            self.backoff.held(now.at.saturating_duration_since(open.since));
        }
        let wait = self.backoff.wait(cut.code, now.chance).filter(|_| !cut.never);
        let Some(wait) = wait else {
            return self.close(cut.code.unwrap_or(1006), cut.reason, effects);
        };
        self.moving = false;
        self.lose(effects);
        let until = now.at + wait;
        self.phase = Phase::Waiting { until };
        effects.push(Effect::News(News::State(State::Waiting { until, code: cut.code, reason: cut.reason })));
    }

    /// Goes to another node as planned, once nothing is open any more.
    pub(super) fn leave(&mut self, now: Now, effects: &mut Effects<R>) {
        let Phase::Open(open) = &mut self.phase else { return };
        if matches!(open.leave, Leave::At(at) if now.at >= at) {
            open.leave = Leave::Now(now.at + FAREWELL);
        }
        if matches!(open.leave, Leave::Now(last) if self.requests.len() == 0 || now.at >= last) {
            effects.push(Effect::Hang(1000, "asked to reconnect".into()));
            self.lose(effects);
            self.moving = true;
            self.dial(now, effects);
        }
    }

    /// What a lost connection does to requests and subscriptions.
    fn lose(&mut self, effects: &mut Effects<R>) {
        for asked in self.requests.drain() {
            match asked {
                Asked::Publish(reply) | Asked::History(reply) => {
                    effects.push(Effect::Answer(reply, Err(Error::Cut)));
                }
                // With the connection the subscription is gone, as wished.
                Asked::Unsubscribe(Some(reply)) => effects.push(Effect::Answer(reply, Ok(Answer::Done))),
                // Publishes with keys are sent again.
                Asked::Connect | Asked::Unsubscribe(None) | Asked::Leave(_) | Asked::Subscribe(_) => {}
                Asked::Parcel(_) => {}
            }
        }
        self.parcels.rest();
        let mut followers = self.followers.lock();
        let mut keep = |wanted: &mut Wanted<R>| {
            let asked = std::mem::replace(&mut wanted.seat, Seat::Due) == Seat::Asked;
            if asked && let Some(reply) = wanted.reply.take() {
                effects.push(Effect::Answer(reply, Err(Error::Cut)));
                wanted
                    .leaving
                    .take()
                    .into_iter()
                    .for_each(|r| effects.push(Effect::Answer(r, Ok(Answer::Done))));
                return false;
            }
            match wanted.leaving.take() {
                Some(reply) => effects.push(Effect::Answer(reply, Ok(Answer::Done))),
                None => return true,
            }
            false
        };
        self.wanted.retain(|channel, wanted| {
            keep(wanted) || {
                followers.forget(channel);
                false
            }
        });
        self.joins.clear();
        self.later.clear();
    }

    /// Ends for good.
    pub(super) fn close(&mut self, code: u16, reason: String, effects: &mut Effects<R>) {
        self.moving = false;
        let error = Error::Closed { code, reason: reason.clone() };
        let asked = self.requests.drain().filter_map(|asked| match asked {
            Asked::Publish(reply) | Asked::History(reply) => Some(reply),
            Asked::Unsubscribe(reply) => reply,
            Asked::Connect | Asked::Subscribe(_) | Asked::Leave(_) | Asked::Parcel(_) => None,
        });
        let asked = asked.chain(self.parcels.drain().map(|parcel| parcel.reply));
        let wanted = std::mem::take(&mut self.wanted).into_values();
        let waiting = asked.chain(wanted.flat_map(|w| [w.reply, w.leaving]).flatten());
        effects.extend(waiting.map(|reply| Effect::Answer(reply, Err(error.clone()))));
        self.joins.clear();
        self.later.clear();
        self.phase = Phase::Closed { code, reason: reason.clone() };
        effects.push(Effect::News(News::State(State::Closed { code, reason })));
    }
}
