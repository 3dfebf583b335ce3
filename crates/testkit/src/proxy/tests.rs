//! Each fault, seen from both ends of a link: a client, and a server that answers every line with `<line>!`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_millis(200);

/// A server of lines; it ends with this value.
struct Echo {
    port: u16,
    lines: Arc<AtomicUsize>,
    resets: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Echo {
    fn start() -> Self {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (lines, resets) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&lines), Arc::clone(&resets));
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (lines, resets) = counts.clone();
                tokio::spawn(async move {
                    let (from, mut to) = stream.into_split();
                    let mut from = tokio::io::BufReader::new(from).lines();
                    loop {
                        match from.next_line().await {
                            Ok(Some(line)) => {
                                lines.fetch_add(1, Ordering::Relaxed);
                                let _ = to.write_all(format!("{line}!\n").as_bytes()).await;
                            }
                            Ok(None) => return,
                            Err(_) => {
                                resets.fetch_add(1, Ordering::Relaxed);
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { port, lines, resets, runtime: Some(runtime) }
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn dial(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("the proxy");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("it takes bytes");
    }

    /// The next line; empty at the end.
    fn hear(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).map(|_| line)
    }

    fn works(&mut self, line: &str) {
        self.say(line);
        assert_eq!(self.hear().expect("an answer"), format!("{line}!\n"));
    }

    /// Nothing comes for a while, and nobody closes.
    fn is_silent(&mut self) {
        self.0.get_mut().set_read_timeout(Some(SHORT)).expect("a timeout");
        let error = self.hear().expect_err("nothing is heard");
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        self.0.get_mut().set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }
}

fn both() -> (Echo, Proxy) {
    let echo = Echo::start();
    let proxy = Proxy::start(echo.port);
    (echo, proxy)
}

#[test]
fn without_a_fault_it_is_not_noticed() {
    let (_echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    let long = "x".repeat(1 << 20);
    client.works(&long);
    drop(client);
    eventually(PATIENCE, "the link ends with its client", || proxy.open(all) == 0);
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.to_server, counts.to_client), (1, (1 << 20) + 1, (1 << 20) + 2));
    assert_eq!((counts.unreachable, counts.swallowed, counts.lost_replies), (0, 0, 0));
}

#[test]
fn held_bytes_come_later_and_whole() {
    let (echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    proxy.set(all, Fault::Hold);
    client.say("held");
    client.is_silent();
    assert_eq!(echo.lines(), 1);
    proxy.heal();
    assert_eq!(client.hear().expect("an answer"), "held!\n");
    client.works("after");
}

#[test]
fn a_link_that_has_swallowed_stays_deaf_and_new_ones_are_fine() {
    let (echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    proxy.set(all, Fault::Swallow(Way::Both));
    client.say("gone");
    client.is_silent();
    // One that comes meanwhile is accepted, as healthy TCP would, and hears nothing.
    let mut meanwhile = Client::dial(&proxy);
    meanwhile.say("gone too");
    meanwhile.is_silent();
    proxy.heal();
    client.say("a stream has no holes");
    client.is_silent();
    Client::dial(&proxy).works("after");
    assert_eq!(echo.lines(), 2);
    assert!(proxy.counts().swallowed >= 5 + 9, "{:?}", proxy.counts());
}

#[test]
fn one_way_is_enough_to_be_deaf() {
    let (echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    proxy.set(all, Fault::Swallow(Way::ToClient));
    client.say("it arrives");
    eventually(PATIENCE, "the server has it", || echo.lines() == 1);
    client.is_silent();
    proxy.heal();
    let mut client = Client::dial(&proxy);
    proxy.set(all, Fault::Swallow(Way::ToServer));
    client.say("it does not");
    client.is_silent();
    assert_eq!(echo.lines(), 1);
}

#[test]
fn a_deaf_link_does_not_tell_that_the_other_end_has_closed() {
    let (mut echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    proxy.set(all, Fault::Swallow(Way::ToClient));
    echo.runtime.take().expect("it runs").shutdown_timeout(PATIENCE);
    client.is_silent();
    client.say("into the void");
    client.is_silent();
}

#[test]
fn only_links_that_fit_are_touched() {
    let (_echo, proxy) = both();
    let (mut publisher, mut listener) = (Client::dial(&proxy), Client::dial(&proxy));
    publisher.works("PUBLISH");
    listener.works("HELLO");
    // It becomes the feed after the rule was made.
    proxy.set(feed, Fault::Swallow(Way::ToClient));
    listener.works("PING");
    listener.say("SSUBSCRIBE a");
    listener.is_silent();
    publisher.works("PUBLISH");
    assert_eq!((proxy.open(feed), proxy.open(all)), (1, 2));

    // The latest rule that fits counts: an exception.
    proxy.set(|link| link.number() >= 2, Fault::Nothing);
    let mut late = Client::dial(&proxy);
    late.works("SUBSCRIBE b");
    assert_eq!(proxy.cut(|link| link.number() == 0, Cut::Fin), 1);
    assert_eq!(publisher.hear().expect("an end"), "");
    late.works("still there");
}

#[test]
fn a_cut_is_an_end_or_a_reset_at_both_ends() {
    let (echo, proxy) = both();
    let (mut ended, mut reset) = (Client::dial(&proxy), Client::dial(&proxy));
    ended.works("a");
    reset.works("b");
    assert_eq!(proxy.cut(|link| link.said("a\n"), Cut::Fin), 1);
    let mut rest = Vec::new();
    ended.0.read_to_end(&mut rest).expect("an end without an error");
    assert!(rest.is_empty());
    assert_eq!(echo.resets.load(Ordering::Relaxed), 0);
    assert_eq!(proxy.cut(all, Cut::Reset), 1);
    assert_eq!(reset.hear().expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    eventually(PATIENCE, "the server is reset too", || echo.resets.load(Ordering::Relaxed) == 1);
    Client::dial(&proxy).works("new ones are fine");
}

#[test]
fn a_port_that_refuses_is_the_same_port_afterwards() {
    let (_echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    proxy.refuse();
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.works("links that are there stay");
    proxy.heal();
    Client::dial(&proxy).works("after");
}

#[test]
fn a_server_that_is_not_there_is_an_end_and_counted() {
    let proxy = Proxy::start(free_port());
    let mut client = Client::dial(&proxy);
    let _ = client.hear(); // an end or a reset
    assert_eq!((proxy.counts().accepted, proxy.counts().unreachable), (1, 1));
}

#[test]
fn a_delay_is_paid_both_ways() {
    let (_echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    proxy.set(all, Fault::Delay(Duration::from_millis(50)));
    let since = Instant::now();
    client.works("slow");
    assert!(since.elapsed() >= Duration::from_millis(100), "{:?}", since.elapsed());
}

/// How many of 200 requests, each on a connection of its own, lose their reply.
fn lost_of_200(percent: u8, seed: u64) -> usize {
    let (echo, proxy) = both();
    proxy.set(all, Fault::LoseReplies { percent, seed });
    let lost = (0..200).filter(|_| {
        let mut client = Client::dial(&proxy);
        client.say("x");
        client.hear().is_err()
    });
    let lost = lost.count();
    assert_eq!(echo.lines(), 200, "the server has done all of it");
    assert_eq!(proxy.counts().lost_replies as usize, lost);
    lost
}

#[test]
fn lost_replies_follow_their_seed() {
    let lost = lost_of_200(20, 7);
    assert!((20..=60).contains(&lost), "{lost} of 200");
    // One piece on each link, so its number and the seed say all.
    assert_eq!(lost_of_200(20, 7), lost);
    assert_eq!((lost_of_200(0, 7), lost_of_200(100, 7)), (0, 200));
}

#[test]
fn its_links_end_with_it() {
    let (_echo, proxy) = both();
    let mut client = Client::dial(&proxy);
    client.works("before");
    let port = proxy.port();
    drop(proxy);
    assert!(matches!(client.hear().as_deref(), Ok("") | Err(_)));
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens");
}

#[test]
fn a_feed_can_be_deaf_while_its_answers_pass() {
    let redis = crate::RedisServer::start().expect("redis");
    let proxy = Proxy::start(redis.port());
    let mut listener = Client::dial(&proxy);
    let mut lines = |request: &str, last: &str| {
        listener.say(request);
        std::iter::from_fn(|| listener.hear().ok())
            .map_while(|line| (line.trim() != last).then_some(line))
            .count()
    };
    lines("HELLO 3", "modules");
    lines("SUBSCRIBE a", ":1");
    let publish = || redis.cli(&["PUBLISH", "a", "x"]).expect("published").trim().to_owned();
    assert_eq!(publish(), "1");
    assert!(lines("PING", "+PONG") >= 7, "the message is before the answer");
    proxy.set(feed, Fault::SwallowPushes);
    assert_eq!((publish(), publish()), ("1".to_owned(), "1".to_owned()));
    assert_eq!(lines("PING", "+PONG"), 0, "nothing but the answer");
    assert_eq!(proxy.counts().swallowed_pushes, 2);
    proxy.heal();
    assert_eq!(publish(), "1");
    assert_eq!(lines("PING", "+PONG"), 7, "it hears again, and no byte is out of place");
}
