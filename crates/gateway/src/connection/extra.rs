//! What few connections have: orders that wait for room, and the list of positions of a stream.

use tidegate_core::hub::ChannelKey;
use tidegate_core::{ChannelName, Position};

use crate::relay::Parked;

/// Boxed, so that a connection which needs none of it stays small.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// One for each channel on its way at most.
    pub(super) parked: Vec<Parked>,
    pub(super) list: List,
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
