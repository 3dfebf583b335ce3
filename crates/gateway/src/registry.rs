//! All connections of the node, and when each must be looked at again.
//!
//! Sixteen bytes a connection, walked once a second from front to back: cheaper than a timer each,
//! and than a wheel whose entries are spread over memory. Who is due is pinged, closed as silent,
//! or told that a deadline of its session may have passed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tidegate_core::Close;

use crate::connection::{Peer, wake};

/// How long what waits for a peer may wait without a byte of it being taken. Above: close 4100.
const WRITE_TIMEOUT_S: u32 = 5;
/// Connections looked at under one hold of the lock.
const WALK: usize = 1024;

/// The connections of a node.
pub(crate) struct Registry {
    entries: Mutex<Slab<Entry>>,
    ping_s: u32,
    pong_s: u32,
}

struct Entry {
    connection: Arc<Peer>,
    /// The second at which its signs of life are looked at next.
    look_s: u32,
    /// The second at which its session wants to be told the time.
    deadline_s: u32,
}

/// No deadline: 136 years after the start.
const NEVER: u32 = u32::MAX;

/// A connection's place; given back when the connection is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

impl Registry {
    /// Pings after `ping` of silence; closes after `pong` more. Both count in whole seconds.
    pub(crate) fn new(ping: Duration, pong: Duration) -> Self {
        let seconds = |d: Duration| d.as_secs().max(1) as u32;
        Self { entries: Mutex::new(Slab::new()), ping_s: seconds(ping), pong_s: seconds(pong) }
    }

    /// Takes a connection in.
    pub(crate) fn enter(&self, connection: Arc<Peer>, now_s: u32) -> Place {
        let look_s = now_s + self.first_look(&connection);
        Place(self.entries.lock().insert(Entry { connection, look_s, deadline_s: NEVER }))
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, place: Place) {
        self.entries.lock().remove(place.0);
    }

    /// The session at `place` wants to be told the time at `deadline_s`.
    pub(crate) fn expect(&self, place: Place, deadline_s: Option<u64>) {
        let deadline_s = deadline_s.map_or(NEVER, |s| u32::try_from(s).unwrap_or(NEVER));
        if let Some(entry) = self.entries.lock().get_mut(place.0) {
            entry.deadline_s = deadline_s;
        }
    }

    /// Something waits for the peer at `place` since `now_s`: whether it gets on is looked at when the
    /// write deadline is over. Returns the second of that look; until then nobody has to ask again.
    pub(crate) fn watch(&self, place: Place, now_s: u32) -> u32 {
        let at_s = now_s + WRITE_TIMEOUT_S;
        if let Some(entry) = self.entries.lock().get_mut(place.0) {
            entry.look_s = entry.look_s.min(at_s);
        }
        at_s
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// The connections there are now.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.entries.lock().iter().map(|(_, entry)| Arc::clone(&entry.connection)).collect()
    }

    /// Looks at all that are due.
    pub(crate) fn tick(&self, now_s: u32) {
        let mut from = 0;
        let mut due = Vec::new();
        loop {
            let next = self.walk(from, now_s, &mut due);
            for (place, connection) in due.drain(..) {
                if !connection.is_blocked() {
                    self.look_at(&connection, now_s);
                } else if now_s.saturating_sub(connection.last_signs_s().1) >= WRITE_TIMEOUT_S {
                    connection.give_up();
                } else {
                    // A ping would only wait behind the rest: what counts is whether the rest gets on.
                    // Its place may be another's by now; then that one is looked at early.
                    self.watch(place, connection.last_signs_s().1);
                }
            }
            match next {
                Some(next) => from = next,
                None => return,
            }
        }
    }

    /// Gathers who is due among some entries; returns where to go on.
    fn walk(&self, from: usize, now_s: u32, due: &mut Vec<(Place, Arc<Peer>)>) -> Option<usize> {
        let mut entries = self.entries.lock();
        let end = entries.capacity();
        let to = end.min(from + WALK);
        for at in from..to {
            let Some(entry) = entries.get_mut(at) else { continue };
            if entry.deadline_s <= now_s {
                entry.deadline_s = now_s + 1; // until the session is closed or names another
                entry.connection.wake(wake::TICK);
            }
            if entry.look_s <= now_s {
                entry.look_s = now_s + self.next_look(&entry.connection, now_s);
                due.push((Place(at), Arc::clone(&entry.connection)));
            }
        }
        (to < end).then_some(to)
    }

    /// Seconds until the next look at a connection that is looked at now.
    fn next_look(&self, connection: &Arc<Peer>, now_s: u32) -> u32 {
        let (heard_s, _) = connection.last_signs_s();
        let silent = now_s.saturating_sub(heard_s);
        match silent {
            s if s < self.earliest() => self.ping_s - s,
            s if connection.format().answers_pings() => (self.ping_s + self.pong_s).saturating_sub(s).max(1),
            _ => self.ping_s,
        }
    }

    fn look_at(&self, connection: &Arc<Peer>, now_s: u32) {
        let (heard_s, _) = connection.last_signs_s();
        let silent = now_s.saturating_sub(heard_s);
        if silent < self.earliest() {
            return;
        }
        let format = connection.format();
        if format.answers_pings() && silent >= self.ping_s + self.pong_s {
            connection.close(Close::NoPong, format.close(Close::NoPong, ""));
            connection.wake(wake::KILL); // nobody is there to finish a closing handshake with
        } else {
            connection.send(format.ping());
        }
    }

    /// The first ping comes up to a fifth early, so that connections of one storm part; the later ones keep the
    /// whole interval, and stay apart. Never later: who vanished is found within ping and pong together.
    fn first_look(&self, connection: &Arc<Peer>) -> u32 {
        // The address is as good as random, and costs no memory.
        let seed = (Arc::as_ptr(connection) as usize >> 6) as u32;
        self.ping_s - seed % (self.ping_s - self.earliest() + 1)
    }

    /// Who was silent for so many seconds when it is looked at is pinged.
    fn earliest(&self) -> u32 {
        self.ping_s - self.ping_s / 5
    }
}
