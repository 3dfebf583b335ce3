//! History through the function library: one call for each request, pipelined.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, Epoch, Event, Payload, Position};
use tidegate_redis::{Answer, Call, RedisError, Written};

use super::RedisBroker;
use crate::history::{Appended, Durable, History, HistoryError, Query, Read, Since};

/// Said of an event that is published.
const UNACKNOWLEDGED: &str = "it is published, but no replica has acknowledged it in time; \
    publishing it again with the same key is safe";

/// Events that are published, and wait for a replica.
#[derive(Debug)]
pub struct Replicating {
    written: Written,
    /// By their number in what was appended, with their keys in Redis.
    events: Vec<(usize, String)>,
}

impl RedisBroker {
    fn function(&self, name: &str, channel: &ChannelName, arguments: Vec<Bytes>) -> Call {
        let function = format!("{}_{name}", self.prefix);
        Call { function, key: self.keys.channel(channel.as_str()), arguments }
    }

    /// The first half of [`append`](History::append): the events are published, and those that wait for a replica
    /// still do. [`replicate`](Self::replicate) is the second: who has others to publish need not wait for it.
    pub async fn append_first(
        &self,
        events: Vec<Durable>,
    ) -> (Vec<Result<Appended, HistoryError>>, Option<Replicating>) {
        let waiting: Vec<usize> = (0..events.len()).filter(|&at| events[at].replicated).collect();
        let calls: Vec<Call> = events.into_iter().map(|event| self.publish_call(event)).collect();
        if waiting.is_empty() || !self.has_library {
            return (self.call(calls, appended).await, None);
        }
        let (answers, written) = self.servers.write(&calls).await;
        let understand = |answer: Result<Answer, RedisError>| appended(answer?).ok_or_else(strange);
        let results: Vec<Result<Appended, HistoryError>> = answers.into_iter().map(understand).collect();
        // What has no position is kept nowhere.
        let kept = |at: &usize| results[*at].as_ref().is_ok_and(|appended| appended.position.is_some());
        let events: Vec<(usize, String)> =
            waiting.into_iter().filter(kept).map(|at| (at, calls[at].key.clone())).collect();
        let replicating = (!events.is_empty()).then_some(Replicating { written, events });
        (results, replicating)
    }

    /// Waits until a replica has what was published; at most a second. Returns which events, by their number in
    /// what was appended, none has acknowledged.
    pub async fn replicate(&self, replicating: Replicating) -> Vec<(usize, HistoryError)> {
        let Replicating { written, events } = replicating;
        let (numbers, keys): (Vec<usize>, Vec<String>) = events.into_iter().unzip();
        let mark = format!("{}_begin", self.prefix);
        let done = self.servers.replicated(&written, &keys, &mark).await;
        let unacknowledged = || HistoryError::NotReplicated(UNACKNOWLEDGED.to_owned());
        let lacking = numbers.into_iter().zip(done).filter(|(_, is_done)| !is_done);
        lacking.map(|(at, _)| (at, unacknowledged())).collect()
    }

    fn publish_call(&self, event: Durable) -> Call {
        let mut arguments = vec![event.payload];
        for (name, value) in [("key", event.key), ("from", event.from)] {
            if let Some(value) = value {
                arguments.push(Bytes::from_static(name.as_bytes()));
                arguments.push(Bytes::copy_from_slice(value.as_bytes()));
            }
        }
        self.function("publish", &event.channel, arguments)
    }

    /// Calls functions, and understands what each answers.
    async fn call<T>(
        &self,
        calls: Vec<Call>,
        understand: impl Fn(Answer) -> Option<T>,
    ) -> Vec<Result<T, HistoryError>> {
        if !self.has_library {
            let refused = || HistoryError::Refused("this node was started without histories".to_owned());
            return calls.iter().map(|_| Err(refused())).collect();
        }
        let answers = self.servers.call(&calls).await;
        answers.into_iter().map(|answer| understand(answer?).ok_or_else(strange)).collect()
    }
}

impl History for RedisBroker {
    async fn append(&self, events: Vec<Durable>) -> Vec<Result<Appended, HistoryError>> {
        let (mut results, replicating) = self.append_first(events).await;
        if let Some(replicating) = replicating {
            for (at, error) in self.replicate(replicating).await {
                results[at] = Err(error);
            }
        }
        results
    }

    async fn read(&self, queries: Vec<Query>) -> Vec<Result<Option<Read>, HistoryError>> {
        let call = |query: &Query| {
            let mut words = vec![query.count.to_string()];
            match query.since {
                Since::Now => {}
                Since::Last(count) => words.extend(["last".to_owned(), count.to_string()]),
                Since::Position(Position { epoch, offset }) => {
                    words.extend(["since".to_owned(), epoch.to_string(), offset.to_string()]);
                }
            }
            let arguments = words.into_iter().map(Bytes::from).collect();
            self.function("read", &query.channel, arguments)
        };
        self.call(queries.iter().map(call).collect(), read).await
    }

    async fn begin(&self, channels: Vec<ChannelName>) -> Vec<Result<(), HistoryError>> {
        let calls = channels.iter().map(|channel| self.function("begin", channel, Vec::new())).collect();
        self.call(calls, |_| Some(())).await
    }

    async fn tops(&self, channels: Vec<ChannelName>) -> Vec<Result<Option<Position>, HistoryError>> {
        let answers = self.servers.fields(self.names(&channels), &["epoch", "offset"]).await;
        answers.into_iter().map(|answer| top(answer?).ok_or_else(strange)).collect()
    }
}

/// `[epoch, offset, fresh]`; the first two are nil without history.
fn appended(answer: Answer) -> Option<Appended> {
    let Answer::List(parts) = answer else { return None };
    let [epoch, offset, Answer::Integer(fresh)] = &parts[..] else { return None };
    let position = match (epoch, offset) {
        (Answer::Nothing, Answer::Nothing) => None,
        (Answer::Bytes(epoch), offset) => Some(Position { epoch: epoch_of(epoch)?, offset: number(offset)? }),
        _ => return None,
    };
    Some(Appended { position, fresh: *fresh == 1 })
}

/// `[epoch, offset]` of the hash; both are nil where it is not there.
fn top(answer: Answer) -> Option<Option<Position>> {
    let Answer::List(parts) = answer else { return None };
    match &parts[..] {
        [Answer::Bytes(epoch), Answer::Bytes(offset)] => {
            Some(Some(Position { epoch: epoch_of(epoch)?, offset: text(offset)?.parse().ok()? }))
        }
        [_, _] => Some(None),
        _ => None,
    }
}

/// `[epoch, offset, start, end, lost, ahead, events]`, or the word `MISSING`.
fn read(answer: Answer) -> Option<Option<Read>> {
    let parts = match answer {
        Answer::List(parts) => parts,
        Answer::Bytes(word) if word == b"MISSING"[..] => return Some(None),
        _ => return None,
    };
    let [epoch, offset, start, end, lost, ahead, events]: [Answer; 7] = parts.try_into().ok()?;
    let (Answer::Bytes(epoch), Answer::List(events)) = (epoch, events) else { return None };
    let epoch = epoch_of(&epoch)?;
    let end = match end {
        Answer::Nothing => None,
        end => Some(number(&end)?),
    };
    let events = events.into_iter().map(|event| logged(epoch, event)).collect::<Option<_>>()?;
    Some(Some(Read {
        epoch,
        offset: number(&offset)?,
        start: number(&start)?,
        end,
        lost: number(&lost)? == 1,
        ahead: number(&ahead)? == 1,
        events,
    }))
}

/// `[offset, payload, key, from]`; what was not given is nil.
fn logged(epoch: Epoch, answer: Answer) -> Option<Event> {
    let Answer::List(parts) = answer else { return None };
    let [offset, payload, key, from]: [Answer; 4] = parts.try_into().ok()?;
    let Answer::Bytes(payload) = payload else { return None };
    let words = |answer: Answer| match answer {
        Answer::Nothing => Some(None),
        Answer::Bytes(bytes) => Some(Some(Arc::from(text(&bytes)?))),
        _ => None,
    };
    Some(Event {
        payload: Payload::new(payload),
        position: Some(Position { epoch, offset: number(&offset)? }),
        from: words(from)?,
        key: words(key)?,
        published_us: None,
    })
}

fn number(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn text(bytes: &Bytes) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn epoch_of(bytes: &Bytes) -> Option<Epoch> {
    text(bytes)?.parse().ok()
}

/// Somebody else's function, or hash.
fn strange() -> HistoryError {
    HistoryError::Refused(
        "Redis answers what our functions never do: is redis.prefix used by others?".to_owned(),
    )
}

impl From<RedisError> for HistoryError {
    fn from(error: RedisError) -> Self {
        let words = error.to_string();
        let told = |code: &str| words.strip_prefix(code).unwrap_or(&words).trim_start().to_owned();
        match (error.code(), &error) {
            (Some("TGKEY"), _) => Self::KeyReused,
            (Some("TGARG"), _) => Self::BadArgument(told("TGARG")),
            (Some("READONLY"), _) => Self::Behind(words),
            (Some("NOREPLICAS"), _) => Self::NotReplicated(words),
            (Some("TRYAGAIN"), _) | (_, RedisError::Moved(_)) => Self::TryAgain(words),
            (_, RedisError::Unavailable(_)) => Self::Unavailable(words),
            (_, RedisError::Refused(_) | RedisError::Address(_)) => Self::Refused(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_becomes_what_a_caller_can_do() {
        let refused = |words: &str| HistoryError::from(RedisError::Refused(words.to_owned()));
        assert_eq!(refused("TGKEY the key was used"), HistoryError::KeyReused);
        assert_eq!(refused("TGARG a limit"), HistoryError::BadArgument("a limit".to_owned()));
        assert!(matches!(refused("READONLY a replica"), HistoryError::Behind(_)));
        assert!(matches!(refused("NOREPLICAS too few"), HistoryError::NotReplicated(_)));
        assert!(matches!(refused("OOM no memory"), HistoryError::Refused(_)));
        assert!(matches!(refused("this Redis has no Functions"), HistoryError::Refused(_)));
        let unavailable = |words: &str| HistoryError::from(RedisError::Unavailable(words.to_owned()));
        assert!(matches!(unavailable("TRYAGAIN moving"), HistoryError::TryAgain(_)));
        assert!(matches!(unavailable("LOADING dataset"), HistoryError::Unavailable(_)));
        let moved = RedisError::Moved("ASK 1 127.0.0.1:1".to_owned());
        assert!(matches!(HistoryError::from(moved), HistoryError::TryAgain(_)));
    }

    #[test]
    fn what_is_no_answer_of_ours_is_not_understood() {
        let list = |parts: &[Answer]| Answer::List(parts.to_vec());
        let bytes = |text: &'static str| Answer::Bytes(Bytes::from_static(text.as_bytes()));
        let epoch = bytes("1763700000000000001");
        let is = |answer| appended(answer).is_some();
        assert!(is(list(&[epoch.clone(), Answer::Integer(1), Answer::Integer(1)])));
        assert!(is(list(&[Answer::Nothing, Answer::Nothing, Answer::Integer(1)])));
        assert!(!is(list(&[epoch.clone(), Answer::Nothing, Answer::Integer(1)])));
        assert!(!is(list(&[bytes("1"), Answer::Integer(1), Answer::Integer(1)])));
        assert!(!is(list(&[epoch.clone(), Answer::Integer(-1), Answer::Integer(1)])));
        assert!(!is(Answer::Nothing));
        assert_eq!(read(bytes("MISSING")), Some(None));
        assert_eq!(read(bytes("other")), None);
        assert_eq!(read(list(std::slice::from_ref(&epoch))), None);
        assert_eq!(top(list(&[Answer::Nothing, Answer::Nothing])), Some(None));
        assert_eq!(top(list(&[epoch, bytes("x")])), None);
    }
}
