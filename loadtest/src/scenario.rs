//! What a run opens: connections, channels, and who subscribes to what. Pure arithmetic, so every
//! thread knows it without asking.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::checker::Start;
use crate::door::{Door, Doors};
use crate::stamp::NO_RUN;

/// The shape of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `ws://host:port` of the gateway; the doors' paths are added.
    pub url: String,
    /// For a gateway that wants to know who is there.
    pub token: Option<String>,
    /// Sockets to open.
    pub connections: u32,
    /// Channels to spread them over.
    pub channels: u32,
    /// How they come in.
    pub doors: Doors,
    /// Bytes of each payload.
    pub payload: usize,
    /// From where deliveries are complete.
    pub start: Start,
    /// Tells this run's events from others'.
    pub run: u32,
    /// Receiving threads.
    pub receivers: u32,
}

impl Scenario {
    /// A scenario of one receiving thread with a fresh run id.
    #[must_use]
    pub fn new(url: &str, connections: u32, channels: u32, doors: Doors, payload: usize) -> Self {
        let run = RandomState::new().build_hasher().finish() as u32 | 1;
        let (url, start, channels) = (url.to_owned(), Start::First, channels.max(1));
        Self { url, token: None, connections, channels, doors, payload, start, run, receivers: 1 }
    }

    /// Listens to a server that sends by itself.
    #[must_use]
    pub fn listening(self) -> Self {
        Self { start: Start::Seen, run: NO_RUN, channels: 1, ..self }
    }

    /// The name of a channel. The width is fixed, so a stamp stands at one place in all frames.
    #[must_use]
    pub fn channel_name(&self, channel: u32) -> String {
        format!("load:{:08x}:{channel:06}", self.run)
    }

    /// The channels of a connection: one, or several where there are more channels than connections.
    pub fn channels_of(&self, connection: u32) -> impl Iterator<Item = u32> + use<> {
        let step = self.connections.max(1) as usize;
        let first = if self.channels > self.connections { connection } else { connection % self.channels };
        let last = if self.channels > self.connections { self.channels } else { first + 1 };
        (first..last).step_by(step)
    }

    /// How many connections subscribe to a channel.
    #[must_use]
    pub fn subscribers(&self, channel: u32) -> u32 {
        if self.channels > self.connections {
            return 1;
        }
        self.connections / self.channels + u32::from(channel < self.connections % self.channels)
    }

    /// The door of a connection.
    #[must_use]
    pub fn door_of(&self, connection: u32) -> Door {
        self.doors.of(connection, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_the_subscribers_it_should() {
        for (connections, channels) in [(1, 1), (10, 3), (3, 10), (7, 7), (2000, 1)] {
            let scenario = Scenario::new("ws://h", connections, channels, Doors::Mixed, 128);
            let mut counted = vec![0; channels as usize];
            for connection in 0..connections {
                for channel in scenario.channels_of(connection) {
                    counted[channel as usize] += 1;
                }
            }
            for channel in 0..channels {
                assert_eq!(
                    counted[channel as usize],
                    scenario.subscribers(channel),
                    "{connections} on {channels}"
                );
                assert_ne!(counted[channel as usize], 0);
            }
        }
    }
}
