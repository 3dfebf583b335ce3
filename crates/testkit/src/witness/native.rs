//! One connection of a witness at the native door, in JSON.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tidegate_core::Position;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::notes::{End, Notes};
use super::{DIAL, Habit, Order, dial};
use crate::history::{Told, number_in};

/// Requests: `connect` is 1, a channel's `subscribe` is twice its place and this, its `unsubscribe` one more.
const FIRST: u64 = 2;
/// After a refusal without a time.
const AGAIN: Duration = Duration::from_millis(150);

/// A frame of the server, as far as a witness reads it.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Option<u64>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    offset: Option<u64>,
    recovered: Option<bool>,
    #[serde(borrow, default)]
    events: Vec<Logged<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    key: Option<IgnoredAny>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(default)]
    retry: bool,
    retry_after_ms: Option<u64>,
    after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Logged<'a> {
    offset: u64,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    key: Option<IgnoredAny>,
}

impl Frame<'_> {
    fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch.as_ref()?.parse().ok()?, offset: self.offset? })
    }
}

/// One conversation.
struct Talk<'a> {
    socket: WebSocketStream<TcpStream>,
    notes: &'a Mutex<Notes>,
    /// What was asked for, by channel.
    since: Vec<Option<Position>>,
    /// Refused, to be asked for again then.
    again: Vec<(Instant, usize)>,
}

/// Connects, subscribes in one write, and notes what comes, to the end.
pub(super) async fn talk(
    address: SocketAddr,
    habit: Habit,
    notes: &Mutex<Notes>,
    orders: &mut Receiver<Order>,
) -> End {
    let Some(stream) = dial(address).await else { return End::Unreached };
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let opening = client_async_with_config(format!("ws://{address}/ws"), stream, Some(config));
    let Ok(Ok((socket, _))) = timeout(DIAL, opening).await else { return End::Unreached };
    let since = vec![None; notes.lock().expect("whole").at.len()];
    let mut talk = Talk { socket, notes, since, again: Vec::new() };
    let wanted: Vec<usize> = {
        let notes = notes.lock().expect("whole");
        if habit == Habit::Resumes {
            talk.since.clone_from(&notes.at);
        }
        (0..notes.wanted.len()).filter(|channel| notes.wanted[*channel]).collect()
    };
    let mut hello = r#"{"type":"connect","id":1}"#.to_owned();
    for channel in wanted {
        hello.push('\n');
        hello.push_str(&talk.subscribe(channel));
    }
    if talk.socket.send(Message::text(hello)).await.is_err() {
        return End::Unreached;
    }
    talk.run(orders).await
}

impl Talk<'_> {
    async fn run(&mut self, orders: &mut Receiver<Order>) -> End {
        loop {
            let due = self.again.iter().min().copied();
            let wait = sleep_until(due.map_or_else(Instant::now, |(at, _)| at));
            let text = tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(end) = text.lines().find_map(|line| self.frame(line)) {
                            return end;
                        }
                        continue;
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map(|frame| u16::from(frame.code));
                        if code.is_some_and(|code| (4000..4100).contains(&code)) {
                            self.trouble(format!("closed with {code:?}"));
                            return End::Refused;
                        }
                        return End::Gone(code);
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return End::Gone(None),
                },
                Some(order) = orders.recv() => match self.obey(order) {
                    Some(text) => text,
                    None => match order {
                        Order::Drop => return End::Gone(None),
                        Order::StayAway(time) => return End::Moved(time),
                        _ => continue,
                    },
                },
                () = wait, if due.is_some() => {
                    self.again.retain(|other| Some(*other) != due);
                    let (_, channel) = due.expect("asked");
                    self.subscribe(channel)
                }
            };
            if self.socket.send(Message::text(text)).await.is_err() {
                return End::Gone(None);
            }
        }
    }

    fn subscribe(&self, channel: usize) -> String {
        let notes = self.notes.lock().expect("whole");
        let (id, name) = (FIRST + 2 * channel as u64, &notes.log.channels[channel]);
        let since = self.since[channel].map_or_else(String::new, |at| {
            format!(r#","since":{{"epoch":"{}","offset":{}}}"#, at.epoch, at.offset)
        });
        format!(r#"{{"type":"subscribe","id":{id},"channel":"{name}"{since}}}"#)
    }

    /// What it says for an order; nothing if it is obeyed already.
    fn obey(&mut self, order: Order) -> Option<String> {
        let mut notes = self.notes.lock().expect("whole");
        match order {
            Order::Leave(channel) if notes.is_in[channel] && notes.wanted[channel] => {
                notes.wanted[channel] = false;
                let (id, name) = (FIRST + 2 * channel as u64 + 1, &notes.log.channels[channel]);
                Some(format!(r#"{{"type":"unsubscribe","id":{id},"channel":"{name}"}}"#))
            }
            // Not before the answer to `unsubscribe`: the two would be mistaken for each other.
            Order::Return(channel) | Order::Join(channel)
                if !notes.is_in[channel] && !notes.wanted[channel] =>
            {
                notes.wanted[channel] = true;
                self.since[channel] = notes.at[channel].filter(|_| order == Order::Return(channel));
                drop(notes);
                Some(self.subscribe(channel))
            }
            _ => None,
        }
    }

    /// Notes one frame. The end, if it is one.
    fn frame(&mut self, line: &str) -> Option<End> {
        let mut notes = self.notes.lock().expect("whole");
        let frame: Frame<'_> = match serde_json::from_str(line) {
            Ok(frame) => frame,
            Err(error) => {
                notes.trouble(format!("{error}: {line}"));
                return None;
            }
        };
        let named = frame.channel.as_deref().and_then(|name| notes.channel(name));
        match (&*frame.kind, named, frame.position()) {
            ("event", Some(channel), _) => {
                let number = frame.data.and_then(|data| number_in(data.get()));
                notes.event(channel, frame.offset, number, Some(frame.key.is_some()));
            }
            ("subscribed", Some(channel), Some(at)) => {
                let start = Position { offset: at.offset.saturating_sub(frame.events.len() as u64), ..at };
                notes.subscribed(channel, self.since[channel].take(), start, frame.recovered);
                for event in &frame.events {
                    let number = event.data.and_then(|data| number_in(data.get()));
                    notes.event(channel, Some(event.offset), number, Some(event.key.is_some()));
                }
            }
            ("position", Some(channel), Some(at)) => notes.position(channel, at),
            ("gap", Some(channel), Some(at)) => notes.gap(channel, at),
            ("unsubscribed", Some(channel), _) => {
                notes.is_in[channel] = false;
                notes.trouble(line);
                notes.log.write(Told::Ended { channel });
            }
            ("ok", ..) => {
                if let Some(channel) = frame.id.and_then(|id| id.checked_sub(FIRST + 1)).map(|id| id / 2)
                    && let Ok(channel) = usize::try_from(channel)
                {
                    notes.left(channel);
                }
            }
            ("reconnect", ..) => return Some(End::Moved(Duration::from_millis(frame.after_ms.unwrap_or(0)))),
            ("error", ..) => {
                notes.trouble(line);
                let channel = frame.id.and_then(|id| id.checked_sub(FIRST)).map(|id| id / 2);
                let channel = channel.and_then(|channel| usize::try_from(channel).ok());
                if let Some(channel) = channel.filter(|_| frame.retry) {
                    // It is the node that is behind: another may not be.
                    if frame.code.as_deref() == Some("behind") {
                        return Some(End::Gone(None));
                    }
                    let after = frame.retry_after_ms.map_or(AGAIN, Duration::from_millis);
                    self.again.push((Instant::now() + after, channel));
                }
            }
            ("connected" | "pong", ..) => {}
            _ => notes.trouble(line),
        }
        None
    }

    fn trouble(&self, text: String) {
        self.notes.lock().expect("whole").trouble(text);
    }
}
