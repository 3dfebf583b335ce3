//! What pub/sub is called: a Cluster has words of its own.

/// Which commands are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `PUBLISH`, `SUBSCRIBE`: one server sees all.
    Plain,
    /// `SPUBLISH`, `SSUBSCRIBE`: a channel lives in the shard that owns its slot, and costs the
    /// others nothing.
    Sharded,
}

impl Dialect {
    pub(crate) fn publish(self) -> &'static str {
        match self {
            Self::Plain => "PUBLISH",
            Self::Sharded => "SPUBLISH",
        }
    }

    /// The subcommand of `PUBSUB` that lists names.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Plain => "CHANNELS",
            Self::Sharded => "SHARDCHANNELS",
        }
    }

    /// Names in one command to subscribe.
    pub(crate) fn batch(self) -> usize {
        match self {
            Self::Plain => 512,
            // All names of one command must be of one slot, and one that has moved refuses them all.
            Self::Sharded => 1,
        }
    }
}
