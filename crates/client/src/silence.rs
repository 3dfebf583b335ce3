//! Whether the server is still there: what was heard last, and what to do about silence.
//!
//! Time is passed in. It must not know sockets.

use std::time::{Duration, Instant};

/// How long a ping may stay unanswered.
const ANSWER: Duration = Duration::from_secs(10);

/// What to do about silence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// Ask.
    Ping,
    /// Give up: the server is gone, or the way to it.
    Gone,
}

/// The watch over one connection.
#[derive(Debug)]
pub(crate) struct Silence {
    /// Twice the server's ping interval.
    patience: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

impl Silence {
    /// A watch over a server that pings every `ping_ms` milliseconds; at least one second apart, so
    /// that an odd server costs no storm.
    pub(crate) fn new(ping_ms: u64, now: Instant) -> Self {
        let patience = Duration::from_millis(ping_ms.clamp(1000, 600_000)) * 2;
        Self { patience, heard: now, asked: None }
    }

    /// Something was heard.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// When to look again.
    pub(crate) fn due(&self) -> Instant {
        self.asked.map_or(self.heard + self.patience, |asked| asked + ANSWER)
    }

    /// Looks.
    pub(crate) fn look(&mut self, now: Instant) -> Verdict {
        if now < self.due() {
            return Verdict::Fine;
        }
        match self.asked.replace(now) {
            None => Verdict::Ping,
            Some(_) => Verdict::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_then_given_up() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(25_000, start);
        silence.heard(at(25));
        assert_eq!(silence.look(at(74)), Verdict::Fine);
        assert_eq!(silence.look(at(75)), Verdict::Ping);
        assert_eq!(silence.look(at(84)), Verdict::Fine);
        silence.heard(at(84));
        assert_eq!(silence.due(), at(134));
        assert_eq!(silence.look(at(134)), Verdict::Ping);
        assert_eq!(silence.due(), at(144));
        assert_eq!(silence.look(at(144)), Verdict::Gone);
    }
}
