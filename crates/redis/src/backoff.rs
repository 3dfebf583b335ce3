//! How long to wait before the next attempt: full jitter, for ever.
//!
//! A random time below a doubling bound spreads best the nodes that lost the same Redis
//! ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

use std::time::Duration;

/// The first bound.
const FIRST: Duration = Duration::from_millis(50);

/// Makes pauses.
#[derive(Debug)]
pub(crate) struct Backoff {
    most: Duration,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, bound: FIRST.min(most) }
    }

    /// The next pause. There is no last one.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.bound.mul_f64(rand::random::<f64>());
        self.bound = (self.bound * 2).min(self.most);
        pause
    }

    /// A connection ended that had lived so long. Only one that lived starts the pauses anew: a
    /// server that accepts and closes at once is not to be hammered.
    pub(crate) fn lived(&mut self, life: Duration) {
        if life >= self.most {
            self.bound = FIRST.min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_up_to_the_bound_and_never_end() {
        let mut backoff = Backoff::new(MOST);
        for attempt in 0..1000 {
            let bound = FIRST * 2u32.pow(attempt.min(10));
            assert!(backoff.pause() <= bound.min(MOST));
        }
        assert_eq!(backoff.bound, MOST);
    }

    #[test]
    fn only_a_link_that_lived_starts_the_pauses_anew() {
        let mut backoff = Backoff::new(MOST);
        for _ in 0..10 {
            backoff.pause();
        }
        backoff.lived(MOST / 2);
        assert_eq!(backoff.bound, MOST);
        backoff.lived(MOST);
        assert_eq!(backoff.bound, FIRST);
    }
}
