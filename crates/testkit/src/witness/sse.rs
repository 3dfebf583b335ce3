//! One connection of a witness at the SSE door. Its only memory is the id of the last event, as a browser's.

use std::net::SocketAddr;
use std::sync::Mutex;

use tidegate_core::Position;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::notes::{End, Notes};
use super::{DIAL, Habit, Order, dial};
use crate::history::number_in;

/// Opens the stream with `Last-Event-ID`, and notes what comes, to the end.
pub(super) async fn talk(
    address: SocketAddr,
    habit: Habit,
    notes: &Mutex<Notes>,
    orders: &mut Receiver<Order>,
) -> End {
    let since = match habit {
        Habit::Resumes => notes.lock().expect("whole").at.clone(),
        Habit::Forgets => vec![None; notes.lock().expect("whole").at.len()],
    };
    let mut stream = match timeout(DIAL, open(address, notes, &since)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(refusal)) => {
            if let Some(refusal) = refusal {
                notes.lock().expect("whole").trouble(refusal);
            }
            return End::Unreached;
        }
        Err(_) => return End::Unreached,
    };
    {
        // The 200 says that all channels are subscribed to; what follows says where.
        let mut notes = notes.lock().expect("whole");
        for (channel, since) in since.iter().enumerate() {
            if let Some(since) = since {
                notes.subscribed(channel, Some(*since), *since, Some(true));
            }
        }
    }
    let mut message = Message::default();
    let mut line = String::new();
    loop {
        tokio::select! {
            read = stream.read_line(&mut line) => {
                if !matches!(read, Ok(1..)) {
                    return End::Gone(None);
                }
                if let Some(message) = message.take(line.trim_end_matches('\n')) {
                    message.note(&mut notes.lock().expect("whole"));
                }
                line.clear();
            }
            Some(order) = orders.recv() => {
                match order {
                    Order::Drop => return End::Gone(None),
                    Order::StayAway(time) => return End::Moved(time),
                    _ => {} // at this door there is nothing to say
                }
            }
        }
    }
}

/// The stream behind its head; or what was answered instead, if anything.
async fn open(
    address: SocketAddr,
    notes: &Mutex<Notes>,
    since: &[Option<Position>],
) -> Result<BufReader<TcpStream>, Option<String>> {
    let mut stream = dial(address).await.ok_or(None)?;
    let channels = notes.lock().expect("whole").log.channels.clone();
    let query: Vec<String> = channels.iter().map(|channel| format!("channel={channel}")).collect();
    let ids: Vec<String> =
        since.iter().map(|at| at.map_or_else(|| "-".to_owned(), |at| at.to_string())).collect();
    let last = match since.iter().any(Option::is_some) {
        true => format!("Last-Event-ID: {}\r\n", ids.join(",")),
        false => String::new(),
    };
    let request = format!(
        "GET /sse?{} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{last}\r\n",
        query.join("&")
    );
    stream.write_all(request.as_bytes()).await.map_err(|_| None)?;
    let mut stream = BufReader::with_capacity(4096, stream);
    let (mut head, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
            return Err(None);
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    match head.starts_with("HTTP/1.1 200 ") {
        true => Ok(stream),
        false => Err(Some(head)),
    }
}

/// One message of the stream, line by line.
#[derive(Debug, Default)]
struct Message {
    kind: String,
    id: Option<String>,
    data: Option<String>,
}

impl Message {
    /// Takes a line; the whole message at its end.
    fn take(&mut self, line: &str) -> Option<Self> {
        if line.is_empty() {
            return Some(std::mem::take(self));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "event" => self.kind = value,
            "id" => self.id = Some(value),
            "data" => self.data = Some(value), // events of these tests have one line
            _ => {}                            // `retry`, and comments
        }
        None
    }

    /// Notes where it leads to, and what it holds.
    fn note(self, notes: &mut Notes) {
        let several = notes.log.channels.len() > 1;
        let ids: Vec<Option<Position>> = match &self.id {
            Some(id) => id.split(',').map(|part| part.parse().ok()).collect(),
            None => Vec::new(),
        };
        let named = |data: &str| match several {
            false => Some(0),
            true => {
                let frame: serde_json::Value = serde_json::from_str(data).ok()?;
                notes.channel(frame["channel"].as_str()?)
            }
        };
        let own = self.data.as_deref().filter(|_| self.kind.is_empty()).and_then(named);
        if let Some(data) = &self.data
            && own.is_none()
            && self.kind != "gap"
        {
            notes.trouble(format!("{self:?}: {data}"));
        }
        for (channel, id) in ids.iter().enumerate().filter_map(|(at, id)| Some((at, (*id)?))) {
            let (known, is_event) = (notes.at.get(channel).copied().flatten(), own == Some(channel));
            // Where an event stands says where its channel stood before it.
            let before = Position { offset: id.offset.saturating_sub(u64::from(is_event)), ..id };
            if channel >= notes.is_in.len() {
                notes.trouble(format!("{self:?}"));
            } else if !notes.is_in[channel] {
                notes.subscribed(channel, None, before, None);
            } else if self.kind == "gap" && known != Some(id) {
                notes.gap(channel, id);
            } else if known.is_some_and(|known| known.epoch != id.epoch) || (!is_event && known != Some(id)) {
                notes.position(channel, before);
            }
        }
        if let (Some(channel), Some(data)) = (own, &self.data) {
            let offset = ids.get(channel).copied().flatten().map(|id| id.offset);
            // The payload alone carries no key, the event of several channels does.
            let number = number_in(data);
            let keyed = several.then(|| data.contains(r#""key":"#));
            notes.event(channel, offset, number, keyed);
        }
    }
}
