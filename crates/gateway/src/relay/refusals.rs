//! What callers are told of a broker's errors. Its own words stay in the log.

use tidegate_broker::{BrokerError, HistoryError};
use tidegate_core::{ChannelName, Reason, Refusal};

/// What a client is told whose position is newer than this node's server.
pub(super) fn behind(channel: &ChannelName) -> Refusal {
    let message =
        format!("this node's server is older than your position in {channel}; come back with it soon");
    Refusal::new(Reason::Behind, message)
}

/// What a client is told of a broker's error. The broker's own words stay in the log.
pub(super) fn refusal(error: &BrokerError) -> Refusal {
    match error {
        BrokerError::Unavailable(_) => Refusal::unavailable(),
        BrokerError::Refused(_) => {
            Refusal::new(Reason::Internal, "the broker refused it; the node's log says why")
        }
    }
}

/// What a client is told of a history's error. Its own words stay in the log, save those about what was asked.
pub(super) fn history_refusal(error: &HistoryError) -> Refusal {
    match error {
        HistoryError::Unavailable(_) | HistoryError::TryAgain(_) | HistoryError::Behind(_) => {
            Refusal::unavailable()
        }
        HistoryError::KeyReused => {
            Refusal::new(Reason::KeyReused, "the key was used for another event of this channel")
        }
        // They say whether it is published.
        HistoryError::NotReplicated(words) => Refusal::new(Reason::NotReplicated, words.clone()),
        HistoryError::BadArgument(words) => Refusal::new(Reason::BadRequest, words.clone()),
        HistoryError::Refused(_) => {
            Refusal::new(Reason::Internal, "the broker refused it; the node's log says why")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_history_says_becomes_a_reason() {
        let words = || "x".to_owned();
        for (error, reason) in [
            (HistoryError::Unavailable(words()), Reason::Unavailable),
            (HistoryError::TryAgain(words()), Reason::Unavailable),
            (HistoryError::Behind(words()), Reason::Unavailable),
            (HistoryError::KeyReused, Reason::KeyReused),
            (HistoryError::NotReplicated(words()), Reason::NotReplicated),
            (HistoryError::BadArgument(words()), Reason::BadRequest),
            (HistoryError::Refused(words()), Reason::Internal),
        ] {
            assert_eq!(history_refusal(&error).reason, reason, "{error}");
        }
    }
}
