//! The gateway as a library: several nodes in one process, started, used and drained by values.

use std::time::{Duration, Instant};

use tidegate_gateway::settings::{HistorySection, List, NamespaceSettings, Settings, Span};
use tidegate_gateway::{Addresses, Gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(5);

/// A node of this process.
struct Node {
    addresses: Addresses,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Node {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.server.listen = List(vec!["127.0.0.1:0".into()]);
        settings.server.admin = "127.0.0.1:0".into();
        settings.server.workers = 1;
        change(&mut settings);
        let gateway = Gateway::start(settings).await.expect("it starts");
        let (addresses, shutdown) = (gateway.addresses().clone(), CancellationToken::new());
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { addresses, shutdown, running }
    }

    async fn events(&self, channel: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.addresses.public[0]).await.unwrap();
        let request = format!("GET /sse?channel={channel} HTTP/1.1\r\nHost: a\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut socket, "retry: 2000\n\n").await;
        socket
    }

    /// The answer to a GET on the admin port.
    async fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.addresses.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn publish(&self, channel: &str, json: &str) -> String {
        self.post("/api/v1/publish", &format!(r#"{{"channel":"{channel}","data":{json}}}"#)).await
    }

    /// The answer to a POST on the admin port.
    async fn post(&self, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.addresses.admin).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn stop(self) -> Duration {
        let start = Instant::now();
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("in time").expect("no panic");
        start.elapsed()
    }
}

async fn read_until(socket: &mut TcpStream, words: &str) -> String {
    let mut text = String::new();
    let reading = async {
        let mut piece = [0; 64 << 10];
        while !text.contains(words) {
            let read = socket.read(&mut piece).await.unwrap();
            assert!(read > 0, "the end came before {words:?}: {text}");
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {words:?}"));
    text
}

#[tokio::test]
async fn two_nodes_of_one_process_share_nothing() {
    let (a, b) = (Node::start(|_| {}).await, Node::start(|_| {}).await);
    let (mut at_a, mut at_b) = (a.events("chat:1").await, b.events("chat:1").await);
    assert!(a.publish("chat:1", "1").await.starts_with("HTTP/1.1 200"));
    assert!(b.publish("chat:1", "2").await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_until(&mut at_a, "\n\n").await, "data: 1\n\n");
    assert_eq!(read_until(&mut at_b, "\n\n").await, "data: 2\n\n");
    drop((at_a, at_b));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_without_connections_stops_at_once_and_frees_its_ports() {
    let node = Node::start(|_| {}).await;
    let addresses = node.addresses.clone();
    assert!(node.stop().await < Duration::from_secs(1));
    let again = Node::start(|settings| {
        settings.server.listen = List(vec![addresses.public[0].to_string()]);
        settings.server.admin = addresses.admin.to_string();
    });
    assert_eq!(again.await.addresses, addresses);
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_clients_do() {
    let node = Node::start(|settings| settings.server.drain = Span::seconds(2)).await;
    let deaf = node.events("chat:1").await; // never reads its end
    assert!(node.stop().await < Duration::from_secs(3));
    drop(deaf);
}

#[tokio::test]
async fn an_api_that_the_network_reaches_asks_for_its_key() {
    let node = Node::start(|settings| settings.server.admin_key = Some("open sesame, please".into())).await;
    let answer = node.publish("chat:1", "1").await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("server.admin_key"), "{answer}");
    node.stop().await;
    let open = Node::start(|settings| settings.server.admin = "0.0.0.0:0".into()).await;
    let answer = open.publish("chat:1", "1").await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("closed"), "{answer}");
    open.stop().await;
}

#[tokio::test]
async fn who_has_not_said_what_it_wants_keeps_nobody_out() {
    let node = Node::start(|settings| settings.limits.handshakes = 1).await;
    let mut waiting = Vec::new();
    for begun in ["", "G", "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\n"] {
        let mut socket = TcpStream::connect(node.addresses.public[0]).await.unwrap();
        socket.write_all(begun.as_bytes()).await.unwrap();
        waiting.push(socket);
    }
    for _ in 0..3 {
        node.events("chat:1").await;
    }
    let mut last = waiting.pop().unwrap();
    last.write_all(b"\r\n").await.unwrap();
    read_until(&mut last, "retry: 2000\n\n").await;
    drop((waiting, last));
    node.stop().await;
}

#[tokio::test]
async fn refused_and_abandoned_requests_leave_no_seat_behind() {
    let node = Node::start(|_| {}).await;
    let many: String = (0..129).map(|n| format!("&channel=c:{n}")).collect();
    for query in [many, "&channel=ok&channel=~own".to_owned(), "&channel=a&token=nonsense".to_owned()] {
        let mut socket = TcpStream::connect(node.addresses.public[0]).await.unwrap();
        let request = format!("GET /sse?{} HTTP/1.1\r\nHost: a\r\n\r\n", &query[1..]);
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut socket, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    drop(node.events("chat:1").await);
    let gone = async {
        while !node.get("/metrics").await.contains("tidegate_subscriptions 0\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("every seat is given back");
    node.stop().await;
}

#[tokio::test]
async fn an_open_api_is_for_this_machine_and_not_for_web_pages() {
    let node = Node::start(|_| {}).await;
    for header in ["Host: evil.example", "Host: localhost\r\nOrigin: https://evil.example"] {
        let mut socket = TcpStream::connect(node.addresses.admin).await.unwrap();
        let request = format!("GET /api/v1/channels HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert!(node.get("/api/v1/channels").await.starts_with("HTTP/1.1 200"));
    node.stop().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_half_a_handshake() {
    let node = Node::start(|settings| settings.server.drain = Span::seconds(20)).await;
    let mut silent = TcpStream::connect(node.addresses.public[0]).await.unwrap();
    silent.write_all(b"GET /ws HT").await.unwrap();
    node.get("/health/live").await; // the node has run since, and has accepted
    assert!(node.stop().await < Duration::from_secs(3));
    assert!(read_until(&mut silent, "\r\n\r\n").await.starts_with("HTTP/1.1 503"));
}

/// Law: an event stream that comes back is opened and told all that it missed, however many channels it has and
/// however much that is: nothing that it is to be told waits for what waits for it.
#[tokio::test]
async fn a_stream_of_many_channels_comes_back_to_all_of_them() {
    const CHANNELS: usize = 20;
    const MISSED: usize = 600; // more than two pages
    let node = Node::start(|settings| {
        let history = Some(HistorySection::default());
        settings.namespaces.insert("chat".into(), NamespaceSettings { history, ..Default::default() });
    })
    .await;
    let mut epochs = Vec::new();
    for channel in 0..CHANNELS {
        let event = format!(r#"{{"channel":"chat:{channel}","data":1}}"#);
        let answer =
            node.post("/api/v1/batch", &format!(r#"{{"events":[{}]}}"#, vec![event; MISSED].join(","))).await;
        let (_, epoch) = answer.split_once(r#""epoch":""#).unwrap_or_else(|| panic!("{answer}"));
        epochs.push(epoch[..19].to_owned());
    }
    let channels: Vec<String> = (0..CHANNELS).map(|channel| format!("channel=chat:{channel}")).collect();
    let since: Vec<String> = epochs.iter().map(|epoch| format!("{epoch}-0")).collect();
    let mut socket = TcpStream::connect(node.addresses.public[0]).await.unwrap();
    let request = format!(
        "GET /sse?{} HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {}\r\n\r\n",
        channels.join("&"),
        since.join(",")
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let end: Vec<String> = epochs.iter().map(|epoch| format!("{epoch}-{MISSED}")).collect();
    let heard = read_until(&mut socket, &format!("\nid: {}\n\n", end.join(","))).await;
    assert!(heard.starts_with("HTTP/1.1 200"), "{}", &heard[..heard.len().min(100)]);
    for channel in 0..CHANNELS {
        let of_it = format!(r#""channel":"chat:{channel}","#);
        let offsets = heard.lines().filter(|line| line.contains(&of_it)).map(|line| {
            let (_, rest) = line.split_once(r#""offset":"#).expect("an offset");
            rest[..rest.find(',').unwrap()].parse::<usize>().unwrap()
        });
        assert!(offsets.eq(1..=MISSED), "chat:{channel}: each once, in order");
    }
    drop(socket);
    node.stop().await;
}

/// Law: a position that died with its master is told to be lost, by whatever is asked; nobody comes back for ever.
#[tokio::test]
async fn a_history_that_is_sure_of_itself_says_so_to_positions_later_than_it() {
    let node = Node::start(|settings| {
        let history = Some(HistorySection::default());
        settings.namespaces.insert("chat".into(), NamespaceSettings { history, ..Default::default() });
    })
    .await;
    assert!(node.publish("chat:1", "1").await.starts_with("HTTP/1.1 200"));
    let answer = node.get("/api/v1/channels/chat:1/history?since=9763700000000000001-5").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""recovered":false"#), "{answer}");
    node.stop().await;
}
