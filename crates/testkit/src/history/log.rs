//! What one client was told, frame by frame, over all its connections.

use std::time::{Duration, Instant};

use tidegate_core::Position;

/// One client's lines, in the order told.
#[derive(Debug, Clone)]
pub struct Log {
    /// In messages.
    pub client: String,
    /// Its channels; lines name them by their place here.
    pub channels: Vec<String>,
    /// What it was told.
    pub lines: Vec<Line>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// What it says.
    pub told: Told,
}

/// What a client was told, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is subscribed. Events of the reply follow as lines of their own.
    Subscribed {
        /// Where.
        channel: usize,
        /// What it had asked for.
        since: Option<Position>,
        /// What it was told, before the events of the reply.
        start: Position,
        /// Whether nothing is missing between the two.
        recovered: Option<bool>,
    },
    /// An event.
    Event {
        /// Where.
        channel: usize,
        /// Its number; none where it has no place in the history.
        offset: Option<u64>,
        /// What stood in it; none if it is none of ours.
        number: Option<u64>,
        /// Whether it carried a key; none where the door does not say.
        keyed: Option<bool>,
    },
    /// A new epoch.
    Position {
        /// Where.
        channel: usize,
        /// Behind which it goes on.
        at: Position,
    },
    /// What lies before could not be had.
    Gap {
        /// Where.
        channel: usize,
        /// Behind which it goes on.
        at: Position,
    },
    /// It left the channel: nothing is promised until it subscribes again.
    Left {
        /// Which.
        channel: usize,
    },
    /// The node ended its subscription.
    Ended {
        /// Which.
        channel: usize,
    },
    /// Its connection is gone; with this close code, if there was one.
    Closed(Option<u16>),
}

impl Log {
    /// An empty one.
    pub fn new(client: &str, channels: &[String]) -> Self {
        Self { client: client.to_owned(), channels: channels.to_vec(), lines: Vec::new() }
    }

    /// Adds a line.
    pub fn write(&mut self, told: Told) {
        self.lines.push(Line { at: Instant::now(), told });
    }

    /// How many lines are like this.
    pub fn count(&self, is_so: impl Fn(&Told) -> bool) -> usize {
        self.lines.iter().filter(|line| is_so(&line.told)).count()
    }

    /// How long it took each time from the end of a connection until all channels that it had were subscribed to again.
    pub fn resumes(&self) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut open = vec![false; self.channels.len()];
        let mut missing: Option<(Instant, Vec<usize>)> = None;
        for line in &self.lines {
            match line.told {
                Told::Closed(_) => {
                    let had = (0..open.len()).filter(|channel| open[*channel]).collect();
                    open.fill(false);
                    missing.get_or_insert((line.at, had));
                }
                Told::Subscribed { channel, .. } => {
                    open[channel] = true;
                    if let Some((since, had)) = &mut missing {
                        had.retain(|missed| *missed != channel);
                        if had.is_empty() {
                            times.push(line.at - *since);
                            missing = None;
                        }
                    }
                }
                Told::Left { channel } | Told::Ended { channel } => open[channel] = false,
                _ => {}
            }
        }
        times
    }
}
