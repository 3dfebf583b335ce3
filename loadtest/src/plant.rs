//! Faults on purpose, at the publisher: tests show with them that a run notices loss, duplicates and swaps on the
//! whole way through a gateway.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// From this event of each publishing thread on something is wrong, once.
const TURN: u64 = 5;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plant {
    /// One event is never sent.
    Loss,
    /// One is sent twice.
    Double,
    /// One is sent after the next of its channel.
    Swap,
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "loss" => Self::Loss,
            "double" => Self::Double,
            "swap" => Self::Swap,
            _ => return Err("what can be planted is loss, double and swap".to_owned()),
        })
    }
}

/// An event on its way out: channel and payload.
type Event = (u32, Vec<u8>);

/// Plants one fault in a stream of events.
#[derive(Debug)]
pub struct Planting {
    plant: Plant,
    seen: u64,
    held: Option<Event>,
}

impl Planting {
    /// Will plant this.
    #[must_use]
    pub fn new(plant: Plant) -> Self {
        Self { plant, seen: 0, held: None }
    }

    /// Appends the event to what is sent next, or spoils it.
    pub fn push(&mut self, event: Event, out: &mut Vec<Event>) {
        self.seen += 1;
        if self.seen == TURN {
            match self.plant {
                Plant::Loss => {}
                Plant::Double => out.extend([event.clone(), event]),
                Plant::Swap => self.held = Some(event),
            }
            return;
        }
        let held = self.held.take_if(|held| held.0 == event.0);
        out.push(event);
        out.extend(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(plant: Plant) -> Vec<u8> {
        let mut planting = Planting::new(plant);
        let mut out = Vec::new();
        for number in 1..=8 {
            planting.push((u32::from(number == 6), vec![number]), &mut out);
        }
        out.into_iter().map(|(_, payload)| payload[0]).collect()
    }

    #[test]
    fn each_fault_is_planted_once() {
        assert_eq!(sent(Plant::Loss), [1, 2, 3, 4, 6, 7, 8]);
        assert_eq!(sent(Plant::Double), [1, 2, 3, 4, 5, 5, 6, 7, 8]);
        assert_eq!(sent(Plant::Swap), [1, 2, 3, 4, 6, 7, 5, 8]);
    }
}
