//! What few connections have: subscriptions on their way, orders that wait for room, the list of positions of a
//! stream.

use std::collections::VecDeque;

use tidegate_core::hub::ChannelKey;
use tidegate_core::{ChannelName, Position};

use super::writing::State;
use super::{ByteStream, Connection};
use crate::relay::Parked;

/// Subscriptions of one connection that may be told a page at any time; fewer where the outbox is small. Others
/// wait for their turn. Who waits for room has none.
const ENTERING: usize = 8;
/// Bytes of the outbox for each of them: twice what a page holds.
const ROOM_TO_ENTER: usize = 128 << 10;

/// Boxed, so that a connection which needs none of it stays small.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// One for each channel on its way at most.
    parked: Vec<Parked>,
    /// Subscriptions on their way to channels with history, and those whose turn comes behind them.
    entering: usize,
    queue: VecDeque<Parked>,
    pub(super) list: List,
}

impl Extra {
    /// All who wait for room look again: whoever finds it taken parks once more.
    pub(super) fn unpark(&mut self) {
        std::mem::take(&mut self.parked).into_iter().for_each(Parked::go);
    }

    /// Whether nothing of it is needed any more.
    fn is_idle(&self) -> bool {
        self.parked.is_empty() && self.entering == 0 && self.queue.is_empty() && self.list.channels.is_empty()
    }
}

impl<B: ByteStream> Connection<B> {
    /// Names the positions of these channels at the end of each event.
    pub(crate) fn list(&self, channels: impl Iterator<Item = (ChannelName, Option<Position>)>) {
        self.out.lock().extra.get_or_insert_default().list = List::new(channels);
    }

    /// A channel of the list is known by this key from now on.
    pub(crate) fn sit(&self, channel: &ChannelName, key: ChannelKey) {
        if let Some(extra) = &mut self.out.lock().extra {
            extra.list.sit(channel, key);
        }
    }

    /// Whether there is room for a page: nothing waits for the kernel. Before a head is written nothing
    /// else could ever leave, so there pages gather.
    pub(crate) fn is_roomy(&self) -> bool {
        let mut out = self.out.lock();
        if out.state == State::Open && !out.blocked {
            self.write(&mut out);
        }
        out.outbox.is_empty() || out.state != State::Open
    }

    /// Gives the order to its lane when the outbox is empty.
    pub(crate) fn park(&self, parked: Parked) {
        let mut out = self.out.lock();
        match out.state {
            State::Open if out.outbox.is_empty() => parked.go(),
            State::Open | State::Held => out.extra.get_or_insert_default().parked.push(parked),
            State::Closing | State::Finished | State::Dead => {} // its seats are given back soon
        }
    }

    /// Whether one more subscription may be on its way to a channel with history. Each may be answered with a
    /// page at any time, and all of these must fit; else `order` comes back when another has arrived.
    pub(crate) fn enter(&self, order: impl FnOnce() -> Parked) -> bool {
        let most = self.turns();
        let mut out = self.out.lock();
        if !matches!(out.state, State::Open | State::Held) {
            return false; // its seats are given back soon
        }
        let extra = out.extra.get_or_insert_default();
        if extra.entering < most {
            extra.entering += 1;
            return true;
        }
        extra.queue.push_back(order());
        false
    }

    /// The orders whose turn has not come, save those to keep: it will not.
    pub(crate) fn turn_away(&self, keep: impl Fn(&Parked) -> bool) -> Vec<Parked> {
        let mut out = self.out.lock();
        let Some(extra) = &mut out.extra else { return Vec::new() };
        let (kept, others) = std::mem::take(&mut extra.queue).into_iter().partition(keep);
        extra.queue = kept;
        others.into()
    }

    /// A subscription has arrived, or will not, or waits for room again.
    pub(crate) fn entered(&self) {
        if let Some(extra) = &mut self.out.lock().extra {
            extra.entering = extra.entering.saturating_sub(1);
        }
        self.next_turn();
    }

    /// Whoever is next may go on, if a turn is free.
    pub(crate) fn next_turn(&self) {
        let mut out = self.out.lock();
        let Some(extra) = &mut out.extra else { return };
        if extra.entering < self.turns()
            && let Some(next) = extra.queue.pop_front()
        {
            next.go();
        }
        if extra.is_idle() {
            out.extra = None;
        }
    }

    fn turns(&self) -> usize {
        (self.shared.outbox.bytes / ROOM_TO_ENTER).clamp(1, ENTERING)
    }
}

/// The positions of an event stream of several channels, in the order of its parameters: the id of each
/// event names them all.
#[derive(Debug, Default)]
pub(super) struct List {
    channels: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    channel: ChannelName,
    key: Option<ChannelKey>,
    position: Option<Position>,
}

impl List {
    pub(super) fn new(channels: impl Iterator<Item = (ChannelName, Option<Position>)>) -> Self {
        let listed = |(channel, position)| Listed { channel, key: None, position };
        Self { channels: channels.map(listed).collect() }
    }

    /// This channel is known by `key` from now on.
    pub(super) fn sit(&mut self, channel: &ChannelName, key: ChannelKey) {
        if let Some(listed) = self.channels.iter_mut().find(|listed| listed.channel == *channel) {
            listed.key = Some(key);
        }
    }

    /// Ends an event (WHATWG HTML, section 9.2): the channel has moved on to `position`.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, key: ChannelKey, position: Position) {
        if let Some(listed) = self.channels.iter_mut().find(|listed| listed.key == Some(key)) {
            listed.position = Some(position);
        }
        out.extend_from_slice(b"id: ");
        for (n, listed) in self.channels.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            match listed.position {
                Some(position) => out.extend_from_slice(position.to_string().as_bytes()),
                None => out.push(b'-'),
            }
        }
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::hub::Hub;

    #[test]
    fn an_id_names_the_positions_of_all_channels_in_the_order_of_the_request() {
        let names: Vec<ChannelName> = ["b", "a", "c"].map(|name| name.parse().unwrap()).into();
        let given: Position = "1763700000000000001-7".parse().unwrap();
        let mut list = List::new(names.iter().cloned().zip([None, Some(given), None]));
        let hub = Hub::new(1);
        let keys: Vec<ChannelKey> = names.iter().map(|name| hub.join(name, ()).seat.channel()).collect();
        list.sit(&names[0], keys[0]);
        let mut out = Vec::new();
        list.end(&mut out, keys[0], Position { offset: 9, ..given });
        assert_eq!(out, b"id: 1763700000000000001-9,1763700000000000001-7,-\n\n");
    }
}
