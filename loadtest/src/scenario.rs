//! What a run opens: connections, channels, and who subscribes to what. Pure arithmetic, so every
//! thread knows it without asking.

pub mod later;
pub mod length;
pub mod library;
pub mod plan;
pub mod settings;
pub mod thresholds;
pub mod via;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::checker::Start;
use crate::door::{Door, Doors};
use crate::plant::Plant;
use crate::stamp::NO_RUN;

/// Some connections read slowly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// The share of them, 0 to 1.
    pub share: f64,
    /// What each reads in a second; 0: nothing.
    pub bytes: u32,
}

/// One process of several that share the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which one, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

/// The shape of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// `ws://host:port` of the gateway; the doors' paths are added. Several with commas: connections go there in turn.
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
    /// The part of a channel's name before the colon.
    pub namespace: String,
    /// Channels of each connection; `None`: one, or several where there are more channels than connections.
    pub per_connection: Option<u32>,
    /// Addresses to connect from, in turn; none: whatever the kernel takes.
    pub sources: Vec<IpAddr>,
    /// Connections to start a second; `None`: as fast as they come in.
    pub ramp_up: Option<f64>,
    /// Connections that may be opening at once, for each receiving thread.
    pub opening: u32,
    /// Who reads slowly.
    pub slow: Option<Slow>,
    /// Connections that leave and join another channel, a second.
    pub churn: f64,
    /// How often all drop and come back, evenly over the length.
    pub storms: u32,
    /// How long they stay away, in nanoseconds.
    pub away: u64,
    /// How long events are published, in nanoseconds; storms and churn go by it.
    pub length: u64,
    /// A fault that the publisher makes, for tests.
    pub plant: Option<Plant>,
    /// Which connections are ours.
    pub slice: Slice,
}

impl Scenario {
    /// A scenario of one receiving thread with a fresh run id.
    #[must_use]
    pub fn new(url: &str, connections: u32, channels: u32, doors: Doors, payload: usize) -> Self {
        let run = RandomState::new().build_hasher().finish() as u32 | 1;
        let (url, start, channels) = (url.to_owned(), Start::First, channels.max(1));
        Self {
            url,
            token: None,
            connections,
            channels,
            doors,
            payload,
            start,
            run,
            receivers: 1,
            namespace: "load".to_owned(),
            per_connection: None,
            sources: Vec::new(),
            ramp_up: None,
            opening: 128,
            slow: None,
            churn: 0.0,
            storms: 0,
            away: 0,
            length: 0,
            plant: None,
            slice: Slice { index: 0, of: 1 },
        }
    }

    /// Listens to a server that sends by itself.
    #[must_use]
    pub fn listening(self) -> Self {
        Self { start: Start::Seen, run: NO_RUN, channels: 1, ..self }
    }

    /// The name of a channel. The width is fixed, so a stamp stands at one place in all frames.
    #[must_use]
    pub fn channel_name(&self, channel: u32) -> String {
        format!("{}:{:08x}:{channel:06}", self.namespace, self.run)
    }

    /// The channels of a connection that has moved on `turn` times.
    pub fn channels_of(&self, connection: u32, turn: u32) -> impl Iterator<Item = u32> + use<> {
        let channels = self.channels;
        let (count, step) = match self.per_connection {
            Some(each) => (each, channels / each.max(1)),
            None if channels > self.connections => {
                ((channels - connection).div_ceil(self.connections.max(1)), self.connections)
            }
            None => (1, 1),
        };
        let first = u64::from(connection) + u64::from(turn);
        (0..u64::from(count))
            .map(move |nth| ((first + nth * u64::from(step)) % u64::from(channels.max(1))) as u32)
    }

    /// How many connections subscribe to a channel at the beginning.
    #[must_use]
    pub fn subscribers(&self, channel: u32) -> u32 {
        if let Some(each) = self.per_connection {
            let step = u64::from(self.channels / each.max(1));
            let all = u64::from(self.channels);
            let more = u64::from(self.connections % self.channels);
            // Of the nth channels of all connections, those that are this one.
            let behind = |nth: u64| (u64::from(channel) + all - nth * step % all) % all;
            let extra = (0..u64::from(each)).filter(|&nth| behind(nth) < more).count();
            return self.connections / self.channels * each + u32::try_from(extra).unwrap_or(0);
        }
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

    /// Whether it reads slowly: they are spread evenly over all.
    #[must_use]
    pub fn is_slow(&self, connection: u32) -> bool {
        let below = |number: u32| self.slow.map_or(0.0, |slow| (f64::from(number) * slow.share).floor());
        below(connection + 1) > below(connection)
    }

    /// The connections of one receiving thread: every thread of every process takes each nth.
    pub fn numbers(&self, receiver: u32) -> impl Iterator<Item = u32> + use<> {
        let first = self.slice.index + receiver * self.slice.of;
        (first..self.connections).step_by((self.slice.of * self.receivers.max(1)) as usize)
    }

    /// How many connections are ours.
    #[must_use]
    pub fn own(&self) -> u32 {
        self.connections / self.slice.of + u32::from(self.slice.index < self.connections % self.slice.of)
    }

    /// Whether connections must know their positions.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.storms > 0
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
                for channel in scenario.channels_of(connection, 0) {
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

    #[test]
    fn several_channels_each_are_spread_evenly_and_move_on_together() {
        for (connections, channels, each) in [(10, 5, 2), (7, 5, 5), (3, 10, 4), (100, 7, 3), (1, 1, 1)] {
            let scenario = Scenario::new("ws://h", connections, channels, Doors::Mixed, 128);
            let scenario = Scenario { per_connection: Some(each), ..scenario };
            let mut counted = vec![0; channels as usize];
            for connection in 0..connections {
                let own: std::collections::HashSet<u32> = scenario.channels_of(connection, 0).collect();
                assert_eq!(own.len() as u32, each, "{connections} {channels} {each}: each once");
                own.iter().for_each(|&channel| counted[channel as usize] += 1);
                let next: Vec<u32> = scenario.channels_of(connection, 1).collect();
                assert!(next.iter().all(|channel| own.contains(&((channel + channels - 1) % channels))));
            }
            let told: Vec<u32> = (0..channels).map(|channel| scenario.subscribers(channel)).collect();
            assert_eq!(counted, told, "{connections} {channels} {each}");
        }
    }

    #[test]
    fn threads_of_all_processes_share_the_connections() {
        let whole = Scenario::new("ws://h", 101, 1, Doors::Mixed, 128);
        let mut seen = Vec::new();
        for index in 0..3 {
            let slice = Scenario { receivers: 2, slice: Slice { index, of: 3 }, ..whole.clone() };
            let own: Vec<u32> = (0..2).flat_map(|receiver| slice.numbers(receiver)).collect();
            assert_eq!(own.len() as u32, slice.own());
            seen.extend(own);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..101).collect::<Vec<_>>());
    }

    #[test]
    fn the_slow_ones_are_the_share_that_was_asked_for() {
        let scenario = Scenario::new("ws://h", 1000, 1, Doors::Mixed, 128);
        assert_eq!((0..1000).filter(|&number| scenario.is_slow(number)).count(), 0);
        let scenario = Scenario { slow: Some(Slow { share: 0.1, bytes: 0 }), ..scenario };
        assert_eq!((0..1000).filter(|&number| scenario.is_slow(number)).count(), 100);
    }
}
