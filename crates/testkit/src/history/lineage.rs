//! The history that a channel ended with: its last position, and where each former epoch ended in it.

use tidegate_core::{Epoch, Position};

/// What Redis holds of a channel when all is over. With it two names of one event are known as such, and events that died
/// with a server are told from those that live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The last event.
    pub top: Position,
    /// The epochs before, oldest first, each with the last offset that is its own.
    pub former: Vec<(Epoch, u64)>,
}

impl Lineage {
    /// Of a channel that has had one epoch.
    pub fn of(top: Position) -> Self {
        Self { top, former: Vec::new() }
    }

    /// From the fields `epoch`, `offset` and `chain` of the channel's top (`<epoch>:<end>,…`); none if they are not that.
    pub fn parse(epoch: &str, offset: &str, chain: &str) -> Option<Self> {
        let top = Position { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? };
        let link = |text: &str| {
            let (epoch, end) = text.split_once(':')?;
            Some((epoch.parse().ok()?, end.parse().ok()?))
        };
        let former = chain.split(',').filter(|text| !text.is_empty()).map(link).collect::<Option<_>>()?;
        Some(Self { top, former })
    }

    /// Brings back what Redis has forgotten of its chain since `earlier` was read, if it goes on from there.
    pub fn remember(&mut self, earlier: &Self) {
        if self.end(earlier.top.epoch).is_none() {
            return;
        }
        let known: Vec<_> = self.former.iter().map(|(epoch, _)| *epoch).collect();
        let forgotten = earlier.former.iter().filter(|(epoch, _)| !known.contains(epoch));
        let mut former: Vec<_> = forgotten.copied().collect();
        former.append(&mut self.former);
        self.former = former;
    }

    /// The last offset of this epoch's history that is in ours; none if the epoch is not.
    pub(super) fn end(&self, epoch: Epoch) -> Option<u64> {
        if epoch == self.top.epoch {
            return Some(self.top.offset);
        }
        self.former.iter().find(|(former, _)| *former == epoch).map(|(_, end)| *end)
    }

    /// The event's number in this history; none if the event is not in it.
    pub(super) fn offset(&self, name: Position) -> Option<u64> {
        self.end(name.epoch).filter(|end| name.offset <= *end).map(|_| name.offset)
    }

    /// How far who stands there has come in this history; none if it is another history.
    pub(super) fn reached(&self, at: Position) -> Option<u64> {
        self.end(at.epoch).map(|end| end.min(at.offset))
    }
}
