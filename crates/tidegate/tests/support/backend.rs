//! A backend that publishes to Redis, and writes down what.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_testkit::checker::Published;
use tidegate_testkit::{RedisCluster, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// What was published so far, shared with the listeners.
pub(crate) type Book = Arc<Mutex<Published>>;

/// Connections to Redis that only publish. A few lines of RESP, as in any language.
pub(crate) struct Backend {
    lines: Vec<TcpStream>,
    /// `PUBLISH`, or on a Cluster `SPUBLISH`.
    command: &'static str,
    /// On a Cluster: which connection leads to the owner of a channel's slot.
    route: HashMap<String, usize>,
    book: Book,
}

impl Backend {
    pub(crate) async fn connect(redis: &RedisServer, book: &Book) -> Self {
        Self::try_connect(redis.port(), book).await.expect("redis")
    }

    /// [`connect`](Self::connect) where Redis may be away.
    pub(crate) async fn try_connect(port: u16, book: &Book) -> io::Result<Self> {
        let lines = vec![line(port).await?];
        Ok(Self { lines, command: "PUBLISH", route: HashMap::new(), book: Arc::clone(book) })
    }

    /// A backend that knows who owns the slots of these channels.
    pub(crate) async fn connect_cluster(cluster: &RedisCluster, channels: &[String], book: &Book) -> Self {
        let (mut lines, mut nodes, mut route) = (Vec::new(), Vec::new(), HashMap::new());
        for channel in channels {
            let slot = cluster.slot(&format!("tg:{{{channel}}}")).expect("a slot");
            let owner = cluster.master_of(slot).expect("an owner");
            if !nodes.contains(&owner) {
                nodes.push(owner);
                lines.push(line(cluster.nodes[owner].port()).await.expect("redis"));
            }
            let at = nodes.iter().position(|node| *node == owner).expect("just connected");
            route.insert(channel.clone(), at);
        }
        Self { lines, command: "SPUBLISH", route, book: Arc::clone(book) }
    }

    /// Publishes one event into each of these channels, in one write for each connection.
    pub(crate) async fn publish<'a>(&mut self, channels: impl IntoIterator<Item = &'a String>) {
        self.try_publish(channels).await.expect("redis takes it");
    }

    /// [`publish`](Self::publish) where Redis may go away. What fails stands in the book all the same: it may have happened.
    pub(crate) async fn try_publish<'a>(
        &mut self,
        channels: impl IntoIterator<Item = &'a String>,
    ) -> io::Result<()> {
        let mut batches = vec![(Vec::new(), 0); self.lines.len()];
        for channel in channels {
            let (bytes, count) = &mut batches[self.route.get(channel).copied().unwrap_or(0)];
            *count += 1;
            let mut book = self.book.lock().expect("whole");
            let payload = format!(r#"{{"channel":"{channel}","number":{}}}"#, book.count());
            book.push(channel, &payload);
            drop(book);
            bytes.extend_from_slice(&command(self.command, &format!("tg:{{{channel}}}"), &payload));
        }
        for (stream, (bytes, count)) in self.lines.iter_mut().zip(batches) {
            send(stream, &bytes, count).await?;
        }
        Ok(())
    }

    /// Publishes these events in one write, without writing them down. Not on a Cluster.
    pub(crate) async fn publish_raw<'a>(&mut self, events: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for (channel, payload) in events {
            count += 1;
            bytes.extend_from_slice(&command(self.command, &format!("tg:{{{channel}}}"), payload));
        }
        send(&mut self.lines[0], &bytes, count).await.expect("redis takes it");
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

/// Writes commands, and reads their answers.
async fn send(line: &mut TcpStream, bytes: &[u8], count: usize) -> io::Result<()> {
    line.write_all(bytes).await?;
    // Each answer is `:<receivers>\r\n`; who publishes without reading them would fill buffers.
    let mut answers = Vec::new();
    while answers.iter().filter(|&&byte| byte == b'\n').count() < count {
        if line.read_buf(&mut answers).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(!answers.contains(&b'-'), "{}", String::from_utf8_lossy(&answers));
    Ok(())
}

async fn line(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn command(command: &str, channel: &str, payload: &str) -> Vec<u8> {
    let words = [command, channel, payload];
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*3\r\n{}", words.collect::<String>()).into_bytes()
}
