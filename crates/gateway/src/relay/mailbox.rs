//! A queue for one reader that whoever writes never waits at.
//!
//! It has no bound of its own: each use says what bounds it.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What waits for one reader, in order.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    mail: Mutex<Vec<T>>,
    ready: Notify,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { mail: Mutex::new(Vec::new()), ready: Notify::new() }
    }
}

impl<T> Mailbox<T> {
    /// Adds one.
    pub(crate) fn push(&self, one: T) {
        let mut mail = self.mail.lock();
        mail.push(one);
        let first = mail.len() == 1;
        drop(mail);
        if first {
            self.ready.notify_one();
        }
    }

    /// Waits until something is there, and moves all of it behind what is in `into`. For one reader.
    /// Dropping the future loses nothing.
    pub(crate) async fn take(&self, into: &mut Vec<T>) {
        loop {
            let mut mail = std::mem::take(&mut *self.mail.lock());
            if !mail.is_empty() {
                into.append(&mut mail);
                return;
            }
            self.ready.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_arrives_in_order_whoever_waits_first() {
        let mailbox = Arc::new(Mailbox::default());
        let from = Arc::clone(&mailbox);
        let writer = tokio::spawn(async move {
            for n in 0..10_000 {
                from.push(n);
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut got = Vec::new();
        while got.len() < 10_000 {
            mailbox.take(&mut got).await;
        }
        assert!(got.iter().copied().eq(0..10_000));
        writer.await.unwrap();
    }
}
