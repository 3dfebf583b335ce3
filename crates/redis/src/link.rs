//! One connection to Redis, and whether Redis is at its other end.
//!
//! redis-rs reads the socket in a task of its own and calls us from there with what Redis pushes.
//! Once a [`Link`] is dropped, nothing is heard from it any more, though that task may still run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Patience, RedisError};

/// A connection that stands, or stood.
pub(crate) struct Link {
    pub(crate) connection: MultiplexedConnection,
    signs: Arc<Signs>,
}

/// What the connection's own task tells.
struct Signs {
    /// False once the link is dropped. Locked while a message is handed on, so that nothing of an
    /// old link can come after the first of a new one.
    open: Mutex<bool>,
    /// Grows with everything Redis says.
    heard: AtomicU64,
    closed: CancellationToken,
}

impl Link {
    /// Opens a connection. `hear` gets pub/sub messages (channel, payload), in the connection's own
    /// task: it must not block.
    pub(crate) async fn open(
        client: &Client,
        patience: &Patience,
        hear: impl Fn(&[u8], Vec<u8>) + Send + Sync + 'static,
    ) -> Result<Self, RedisError> {
        let signs = Arc::new(Signs::new());
        let pushed = Arc::clone(&signs);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect))
            .set_response_timeout(None) // whoever asks has a deadline of his own
            .set_push_sender(move |push: PushInfo| {
                pushed.take(push, &hear);
                Ok::<(), RedisError>(())
            });
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Self { connection, signs })
    }

    /// Runs a command, unless the connection is closed first. redis-rs alone may then never answer: what
    /// enters its queue in the very moment its task ends stays there as long as the connection is held.
    pub(crate) async fn unless_closed<T>(
        &self,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, RedisError> {
        tokio::select! {
            biased; // an answer that came counts
            answer = command => Ok(answer?),
            () = self.signs.closed.cancelled() => Err(closed()),
        }
    }

    /// A sign of life that only the caller saw: an answer.
    pub(crate) fn was_heard(&self) {
        self.signs.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks again and again whether Redis is there, and tells `heard` when that changes; it starts
    /// as heard. Returns when the link is of no more use.
    ///
    /// Everything Redis says counts, not only the answer: in a flood it comes late.
    pub(crate) async fn watch(&self, patience: &Patience, mut heard: impl FnMut(bool)) -> RedisError {
        let look = (patience.ping_timeout / 8).max(Duration::from_millis(1));
        let mut is_heard = true;
        loop {
            tokio::select! {
                () = sleep(patience.ping_interval) => {}
                () = self.signs.closed.cancelled() => return closed(),
            }
            let mut ping = std::pin::pin!(self.ping());
            let mut count = self.signs.count();
            let mut since = Instant::now();
            loop {
                tokio::select! {
                    answer = &mut ping => match answer {
                        Ok(()) => break,
                        Err(error) => return error,
                    },
                    () = self.signs.closed.cancelled() => return closed(),
                    () = sleep(look) => {}
                }
                let now = self.signs.count();
                if now != count {
                    (count, since) = (now, Instant::now());
                }
                let silent = since.elapsed();
                if silent >= patience.give_up {
                    return RedisError::Unavailable(format!("it has said nothing for {silent:.1?}"));
                }
                if is_heard != (silent < patience.ping_timeout) {
                    is_heard = !is_heard;
                    heard(is_heard);
                }
            }
            if !is_heard {
                is_heard = true;
                heard(true);
            }
        }
    }

    async fn ping(&self) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        match connection.send_packed_command(&redis::cmd("PING")).await {
            Ok(_) => Ok(()), // also an error such as LOADING is an answer
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        *self.signs.open.lock() = false;
    }
}

impl Signs {
    fn new() -> Self {
        Self { open: Mutex::new(true), heard: AtomicU64::new(0), closed: CancellationToken::new() }
    }

    fn count(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn take(&self, push: PushInfo, hear: &impl Fn(&[u8], Vec<u8>)) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        match push.kind {
            PushKind::Message => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                    (data.next(), data.next())
                {
                    let open = self.open.lock();
                    if *open {
                        hear(&channel, payload);
                    }
                }
            }
            PushKind::Disconnection => self.closed.cancel(),
            _ => {}
        }
    }
}

fn closed() -> RedisError {
    RedisError::unavailable("the connection was closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    /// redis-rs names no provider of cryptography, and rustls panics without one.
    #[tokio::test]
    async fn tls_has_its_cryptography() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings::new(format!("rediss://{}", listener.local_addr().unwrap()));
        let client = settings.client().unwrap();
        let (opened, hello) = tokio::join!(Link::open(&client, &settings.patience, |_, _| {}), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap()
        });
        assert_eq!(hello, 0x16, "a TLS handshake record");
        assert!(matches!(opened, Err(RedisError::Unavailable(_))), "the server hung up");
    }
}
