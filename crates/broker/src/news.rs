//! What a broker tells the node.

use tidegate_core::{ChannelName, Event};

/// One part of the broker that can be up or down by itself: a Redis master, or the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard(pub u16);

/// Why events of one channel may have been lost. Of two that are told as one the later in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCause {
    /// The queue was full.
    Overflowed,
    /// The channel went to another shard: commands about it go to another server now.
    Moved,
}

/// One piece of news, in the order things happened to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An event of a channel this node is subscribed to (or was, a moment ago).
    Event(ChannelName, Event),
    /// Events of this channel may have been lost on the way here. Stands where they would have stood.
    Gap(ChannelName, GapCause),
    /// The shard is heard, all its channels are subscribed, and it can be published to. The first
    /// news of each shard; later, any of its channels may have lost events before it.
    Up(Shard),
    /// The shard is not heard, or cannot be published to.
    Down(Shard),
}
