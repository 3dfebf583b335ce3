//! A backend that publishes to Redis, and writes down what.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_testkit::RedisServer;
use tidegate_testkit::checker::Published;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// What was published so far, shared with the listeners.
pub(crate) type Book = Arc<Mutex<Published>>;

/// One connection to Redis that only publishes. A few lines of RESP, as in any language.
pub(crate) struct Backend {
    stream: TcpStream,
    book: Book,
}

impl Backend {
    pub(crate) async fn connect(redis: &RedisServer, book: &Book) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        let stream = TcpStream::connect(address).await.expect("redis");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, book: Arc::clone(book) }
    }

    /// Publishes one event into each of these channels, in one write.
    pub(crate) async fn publish<'a>(&mut self, channels: impl IntoIterator<Item = &'a String>) {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for channel in channels {
            count += 1;
            let mut book = self.book.lock().expect("whole");
            let payload = format!(r#"{{"channel":"{channel}","number":{}}}"#, book.count());
            book.push(channel, &payload);
            drop(book);
            bytes.extend_from_slice(&command(&format!("tg:{{{channel}}}"), &payload));
        }
        self.stream.write_all(&bytes).await.expect("redis takes it");
        // Each answer is `:<receivers>\r\n`; who publishes without reading them would fill buffers.
        let mut answers = Vec::new();
        while answers.iter().filter(|&&byte| byte == b'\n').count() < count {
            let read = self.stream.read_buf(&mut answers).await.expect("redis answers");
            assert!(read > 0, "redis closed");
        }
        assert!(!answers.contains(&b'-'), "{}", String::from_utf8_lossy(&answers));
    }

    /// Publishes `count` events round robin over `channels` at `rate` a second, then one more into
    /// each channel: who has heard that has heard all that it will.
    pub(crate) async fn publish_all(&mut self, channels: &[String], count: usize, rate: usize) {
        const TICK: Duration = Duration::from_millis(10);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let batch = (rate / 100).max(1);
        let mut names = channels.iter().cycle();
        for start in (0..count).step_by(batch) {
            ticks.tick().await;
            self.publish(names.by_ref().take(batch.min(count - start))).await;
        }
        self.publish(channels).await;
    }
}

fn command(channel: &str, payload: &str) -> Vec<u8> {
    let words = ["PUBLISH", channel, payload];
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*3\r\n{}", words.collect::<String>()).into_bytes()
}
