//! What reaches a lane besides news of the broker: who subscribes and leaves, what reads found.

use std::sync::Arc;

use tidegate_core::hub::Seat;
use tidegate_core::place::{Answer, Failure, ReadId, Since};
use tidegate_core::{ChannelName, Position, Refusal, RequestId, Ticket};

use super::broker::AnyBroker;
use super::mailbox::Mailbox;
use crate::connection::Peer;

/// Which place an order is for. Places come and go; `life` tells a later one of the same channel apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    pub(crate) channel: ChannelName,
    pub(crate) life: u32,
}

/// A subscriber of a channel with history, until it is attached.
#[derive(Clone)]
pub(crate) struct Newcomer {
    pub(crate) channel: ChannelName,
    pub(crate) seat: Seat,
    pub(crate) connection: Arc<Peer>,
    pub(crate) ticket: Ticket,
    /// For the reply; none: a bare session, which is told the events alone.
    pub(crate) id: Option<RequestId>,
    pub(crate) since: Since,
    /// Whether it holds one of the turns of its connection: a page may be told to it at any time.
    pub(crate) in_turn: bool,
}

/// The top of a channel, as the periodic look found it.
#[derive(Debug)]
pub(crate) struct Top {
    pub(crate) whose: Whose,
    /// Where the place was when the question left.
    pub(crate) asked_at: Position,
    pub(crate) found: Option<Position>,
}

/// One order.
pub(crate) enum Order {
    Subscribe(Newcomer),
    /// The seat was muted, and is to be given back.
    Leave(ChannelName, Seat),
    /// What was told to this subscriber on its way to the place has left its outbox.
    Room(ChannelName, Seat, Arc<Peer>),
    /// The broker's answer to subscribing.
    Heard(ChannelName, Result<(), Refusal>),
    /// Nobody has subscribed for a while.
    Retire(ChannelName),
    Answer(Whose, ReadId, Result<Answer, Failure>),
    Begun(Whose, ReadId, bool),
    /// None of those that are missing here could be had.
    Tops(Vec<Top>),
    Confirmed(Whose),
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Subscribe(_) => "Subscribe",
            Self::Leave(..) => "Leave",
            Self::Room(..) => "Room",
            Self::Heard(..) => "Heard",
            Self::Retire(_) => "Retire",
            Self::Answer(..) => "Answer",
            Self::Begun(..) => "Begun",
            Self::Tops(_) => "Tops",
            Self::Confirmed(_) => "Confirmed",
        })
    }
}

/// An order that waits at a connection until its outbox is empty.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) to: Arc<Mailbox<Order>>,
    pub(crate) order: Order,
}

impl Parked {
    /// Back to its lane.
    pub(crate) fn go(self) {
        self.to.push(self.order);
    }
}

/// The mailboxes of all lanes. What waits in one is bounded by the seats of its channels (one order of each kind
/// for a seat) and by the reads in flight, of which a place has one, and one for each position that
/// subscribers ask from.
pub(crate) struct Orders {
    boxes: Vec<Arc<Mailbox<Order>>>,
    broker: Arc<AnyBroker>,
}

impl Orders {
    pub(super) fn new(lanes: usize, broker: Arc<AnyBroker>) -> Self {
        Self { boxes: (0..lanes).map(|_| Arc::default()).collect(), broker }
    }

    /// The mailbox of each lane.
    pub(super) fn boxes(&self) -> impl Iterator<Item = &Arc<Mailbox<Order>>> {
        self.boxes.iter()
    }

    /// Whether a channel has a place in its lane, while anybody subscribes: whether it has history.
    pub(super) fn has_place(&self, channel: &ChannelName) -> bool {
        self.broker.has_history(channel)
    }

    /// Gives an order to the lane of its channel.
    pub(super) fn push(&self, channel: &ChannelName, order: Order) {
        self.boxes[self.broker.lane_of(channel)].push(order);
    }
}
