//! The client against a server of a few lines: what only a real socket shows.

#[path = "server/history.rs"]
mod history;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tidegate_client::{Client, Codec, Error, Incoming, News, State};
use tidegate_core::RequestId;
use tidegate_protocol::{ClientFrame, EventFrame, ServerFrame, json, msgpack};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const PATIENCE: Duration = Duration::from_secs(10);

/// The server's side of one connection.
struct Peer {
    stream: WebSocketStream<TcpStream>,
    codec: Codec,
    /// Requests of a message that were not looked at yet.
    requests: VecDeque<ClientFrame>,
    /// Messages that came.
    messages: usize,
}

struct Server {
    listener: TcpListener,
}

impl Server {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn url(&self) -> String {
        format!("ws://{}/ws", self.address())
    }

    /// Accepts a connection and greets it.
    #[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    async fn accept(&self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut codec = None;
        let negotiate = |request: &Request, mut response: Response| {
            let offered = request.headers()["sec-websocket-protocol"].clone();
            codec = Codec::from_subprotocol(offered.to_str().unwrap());
            response.headers_mut().insert("sec-websocket-protocol", offered);
            Ok(response)
        };
        let stream = accept_hdr_async(stream, negotiate).await.unwrap();
        let mut peer = Peer { stream, codec: codec.unwrap(), requests: VecDeque::new(), messages: 0 };
        let ClientFrame::Connect { id, .. } = peer.hear().await else { panic!("`connect` comes first") };
        peer.say(ServerFrame::Connected {
            id: id.get(),
            session: "s1".into(),
            client: "c1".into(),
            user: None,
            ping_ms: 25_000,
            message_bytes: 65_536,
            channels: 128,
        })
        .await;
        peer
    }
}

impl Peer {
    async fn hear(&mut self) -> ClientFrame {
        loop {
            if let Some(request) = self.requests.pop_front() {
                return request;
            }
            let message = timeout(PATIENCE, self.stream.next()).await.unwrap().unwrap().unwrap();
            let requests = match message {
                Message::Text(text) => self.codec.decode(text.as_bytes()),
                Message::Binary(bytes) => self.codec.decode(&bytes),
                _ => continue,
            };
            self.messages += 1;
            self.requests.extend(requests.into_iter().map(Result::unwrap));
        }
    }

    async fn say(&mut self, frame: ServerFrame) {
        let message = match self.codec {
            Codec::Json => Message::Text(json::encode_server(&frame).into()),
            Codec::MessagePack => Message::Binary(msgpack::encode_server(&frame).into()),
        };
        self.stream.send(message).await.unwrap();
    }

    /// Confirms the next `subscribe`.
    async fn confirm(&mut self) -> String {
        let ClientFrame::Subscribe { id, channel, .. } = self.hear().await else { panic!("no `subscribe`") };
        self.say(ServerFrame::Subscribed {
            id: id.get(),
            channel: channel.to_string(),
            position: None,
            recovered: None,
            events: Vec::new(),
        })
        .await;
        channel.to_string()
    }
}

fn event(channel: &str, data: &str) -> EventFrame {
    let payload = tidegate_client::Payload::new(data.to_owned().into());
    EventFrame { channel: channel.into(), offset: None, payload, from: None, key: None }
}

async fn next_event(incoming: &mut Incoming) -> String {
    let event = timeout(PATIENCE, incoming.next_event()).await.expect("an event comes").unwrap();
    format!("{} {}", event.channel, event.payload.text().unwrap())
}

async fn state(incoming: &mut Incoming, wanted: impl Fn(&State) -> bool) -> State {
    loop {
        let news = timeout(PATIENCE, incoming.next()).await.expect("the state comes").expect("not closed");
        if let News::State(state) = news
            && wanted(&state)
        {
            return state;
        }
    }
}

#[tokio::test]
async fn subscribes_hears_publishes_and_says_goodbye_in_both_codecs() {
    for codec in [Codec::Json, Codec::MessagePack] {
        let server = Server::start().await;
        let (client, mut incoming) = Client::builder(server.url()).codec(codec).connect().unwrap();
        let mut peer = server.accept().await;
        assert_eq!(client.connected().await.unwrap(), "s1");
        let (subscribed, _) = tokio::join!(client.subscribe("chat:1"), peer.confirm());
        subscribed.unwrap();
        peer.say(ServerFrame::Event(event("chat:1", r#"{"n":1.50}"#))).await;
        assert_eq!(next_event(&mut incoming).await, r#"chat:1 {"n":1.50}"#);

        let answer = async {
            let ClientFrame::Publish { id, data, .. } = peer.hear().await else { panic!("no `publish`") };
            assert_eq!(data, &b"\xff\x00"[..]);
            peer.say(ServerFrame::Ok { id: RequestId::get(id), position: None }).await;
        };
        let (published, ()) = tokio::join!(client.publish("chat:1", &b"\xff\x00"[..]), answer);
        assert_eq!(published, Ok(None));

        let goodbye = async {
            match timeout(PATIENCE, peer.stream.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(frame)))) => u16::from(frame.code),
                other => panic!("{other:?}"),
            }
        };
        let ((), code) = tokio::join!(client.close(), goodbye);
        assert_eq!(code, 1000);
        state(&mut incoming, |state| matches!(state, State::Closed { code: 1000, .. })).await;
        assert_eq!(incoming.next().await, None);
    }
}

#[tokio::test]
async fn comes_back_after_a_cut_and_subscribes_again() {
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).connect().unwrap();
    let mut peer = server.accept().await;
    let (subscribed, _) = tokio::join!(client.subscribe("chat:1"), peer.confirm());
    subscribed.unwrap();
    let publish = client.publish("chat:1", "1");
    let cut = async {
        peer.hear().await;
        drop(peer);
    };
    let (published, ()) = tokio::join!(publish, cut);
    assert_eq!(published, Err(Error::Cut));
    state(&mut incoming, |state| matches!(state, State::Waiting { .. })).await;
    let mut peer = server.accept().await;
    assert_eq!(peer.confirm().await, "chat:1");
    peer.say(ServerFrame::Event(event("chat:1", "2"))).await;
    assert_eq!(next_event(&mut incoming).await, "chat:1 2");
    client.close().await;
}

#[tokio::test]
async fn a_close_code_that_says_never_is_obeyed() {
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).connect().unwrap();
    let mut peer = server.accept().await;
    let frame = CloseFrame { code: 4001.into(), reason: "the token is revoked".into() };
    peer.stream.close(Some(frame)).await.unwrap();
    let closed = state(&mut incoming, |state| matches!(state, State::Closed { .. })).await;
    assert_eq!(closed, State::Closed { code: 4001, reason: "the token is revoked".into() });
    assert_eq!(incoming.next().await, None);
    let error = Error::Closed { code: 4001, reason: "the token is revoked".into() };
    assert_eq!(client.publish("chat:1", "1").await, Err(error));
    client.close().await;
}

#[tokio::test]
async fn a_full_stream_stops_the_reader_and_loses_nothing() {
    const EVENTS: usize = 2000;
    let server = Server::start().await;
    let (client, mut incoming) = Client::builder(server.url()).incoming(4).connect().unwrap();
    let mut peer = server.accept().await;
    let (subscribed, _) = tokio::join!(client.subscribe("chat:1"), peer.confirm());
    subscribed.unwrap();
    let padding = "x".repeat(16_000);
    let flood = tokio::spawn(async move {
        for n in 0..EVENTS {
            peer.say(ServerFrame::Event(event("chat:1", &format!("[{n},\"{padding}\"]")))).await;
        }
        peer
    });
    // 32 MB fit no socket buffer: while nobody takes them, the server cannot get rid of them.
    assert!(
        timeout(Duration::from_millis(300), async {
            while !flood.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_err()
    );
    for n in 0..EVENTS {
        let event = next_event(&mut incoming).await;
        assert!(event.starts_with(&format!("chat:1 [{n},")), "{}", &event[..40]);
    }
    drop(flood.await.unwrap());
    client.close().await;
}

#[tokio::test]
async fn dropping_the_client_ends_the_connection_and_pings_are_answered() {
    let server = Server::start().await;
    let (client, incoming) = Client::builder(server.url()).connect().unwrap();
    drop(incoming); // who only publishes needs no stream
    let mut peer = server.accept().await;
    peer.stream.send(Message::Ping("p".into())).await.unwrap();
    let pong = timeout(PATIENCE, peer.stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("p".into()));
    drop(client);
    let end = timeout(PATIENCE, peer.stream.next()).await.unwrap();
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
}

#[tokio::test]
async fn many_publishers_share_a_client() {
    let server = Server::start().await;
    let (client, _incoming) = Client::builder(server.url()).connect().unwrap();
    let client = Arc::new(client);
    let mut peer = server.accept().await;
    client.connected().await.unwrap();
    let echo = tokio::spawn(async move {
        for _ in 0..1000 {
            let ClientFrame::Publish { id, .. } = peer.hear().await else { panic!("no `publish`") };
            peer.say(ServerFrame::Ok { id: id.get(), position: None }).await;
        }
        peer
    });
    let publishers: Vec<_> = (0..1000)
        .map(|n| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.publish("chat:1", n.to_string()).await })
        })
        .collect();
    for publisher in publishers {
        assert_eq!(timeout(PATIENCE, publisher).await.unwrap().unwrap(), Ok(None));
    }
    drop(echo.await.unwrap());
}

#[tokio::test]
async fn urls_that_cannot_work_are_said_at_once() {
    for (url, why) in [
        ("http://localhost/ws", "it starts with http://, not with ws://"),
        ("localhost:8080", "it does not start with ws://"),
        ("wss://localhost/ws", "wss:// is not supported yet; let a proxy speak TLS"),
    ] {
        let error = Client::builder(url).connect().unwrap_err();
        assert_eq!(error, Error::Url { url: url.into(), why: why.into() });
    }
    assert!(matches!(Client::builder("ws://h/ws").client_id("").connect(), Err(Error::ClientId(_))));
}
