//! The requests that wait for an answer.
//!
//! Ids go out, answers come back, and what is left over at a cut or too old is handed back. It must
//! not know what a request means or who waits for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_core::RequestId;

/// How long a request may wait. The gateway answers within 2 s, also while Redis is away.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Open requests, each with what belongs to it. Ids and ages rise together.
#[derive(Debug)]
pub(crate) struct Requests<T> {
    last: u64,
    open: BTreeMap<u64, (Instant, T)>,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { last: 0, open: BTreeMap::new() }
    }
}

impl<T> Requests<T> {
    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Opens a request and names it.
    pub(crate) fn open(&mut self, what: T, now: Instant) -> RequestId {
        // 2^53 requests of one client are not reached; should they be, the ids start over.
        let id = RequestId::new(self.last + 1).or_else(|_| RequestId::new(1)).expect("1 is an id");
        self.last = id.get();
        self.open.insert(id.get(), (now + ANSWER, what));
        id
    }

    /// Closes the request that was answered; none for an answer to nothing.
    pub(crate) fn close(&mut self, id: u64) -> Option<T> {
        self.open.remove(&id).map(|(_, what)| what)
    }

    /// When the oldest becomes too old.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.values().next().map(|(due, _)| *due)
    }

    /// The oldest, if it is too old.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<T> {
        let entry = self.open.first_entry().filter(|entry| entry.get().0 <= now)?;
        Some(entry.remove().1)
    }

    /// All of them, oldest first; none is left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.open).into_values().map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_finds_its_request_once() {
        let now = Instant::now();
        let mut requests = Requests::default();
        let (a, b) = (requests.open('a', now).get(), requests.open('b', now).get());
        assert_eq!((a, b), (1, 2));
        assert_eq!((requests.close(b), requests.close(b), requests.close(99)), (Some('b'), None, None));
        requests.open('c', now);
        assert_eq!(requests.drain().collect::<String>(), "ac");
        assert_eq!((requests.len(), requests.open('d', now).get()), (0, 4));
    }

    #[test]
    fn the_oldest_is_overdue_first() {
        let now = Instant::now();
        let mut requests = Requests::default();
        requests.open('a', now);
        requests.open('b', now + Duration::from_secs(1));
        assert_eq!(requests.due(), Some(now + ANSWER));
        assert_eq!(requests.overdue(now), None);
        assert_eq!(requests.overdue(now + ANSWER), Some('a'));
        assert_eq!(requests.overdue(now + ANSWER), None);
    }
}
