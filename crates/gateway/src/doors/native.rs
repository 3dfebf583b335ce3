//! The native door: requests with ids, replies and events, as frames of `tidegate-protocol`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::access::Credentials;
use tidegate_core::place::Since;
use tidegate_core::session::{Input, Reply};
use tidegate_core::{ClientId, Close, Limits};
use tidegate_protocol::{ClientFrame, Codec, Malformed, ServerFrame, codes, json, msgpack};

use super::websocket::{Broken, Frames, Heard, Opcode};
use crate::connection::{End, Inbound};
use crate::wire;

/// One connection of the native door.
pub(crate) struct Native {
    codec: Codec,
    frames: Frames,
    /// Shown with the upgrade; a token in `connect` goes before it. Taken by the first `connect`.
    token: Option<Box<str>>,
    greeting: Arc<Greeting>,
}

/// What `connected` tells every client of a node. Shared: a connection holds little of its own.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) limits: Limits,
    pub(crate) ping: Duration,
}

impl Native {
    pub(crate) fn new(codec: Codec, token: Option<String>, greeting: Arc<Greeting>) -> Self {
        let token = token.map(String::into_boxed_str);
        Self { codec, frames: Frames::default(), token, greeting }
    }

    pub(crate) fn read(&mut self, bytes: &[u8], inbound: &mut Inbound) {
        let Self { codec, frames, token, greeting } = self;
        let Inbound { inputs, replies, end } = inbound;
        let result = frames.read(bytes, greeting.limits.message_bytes, replies, |message, _| {
            match (message, *codec) {
                (Heard::Close, _) => *end = Some(End::Goodbye),
                (Heard::Text(bytes), Codec::Json) | (Heard::Binary(bytes), Codec::MessagePack) => {
                    let requests = codec.decode(&bytes);
                    inputs.extend(requests.into_iter().map(|request| input(request, token)));
                }
                (Heard::Text(_) | Heard::Binary(_), codec) => {
                    inputs.push(Input::Malformed { id: None, refusal: codec.wrong_frame() });
                }
            }
        });
        if let Err(broken) = result {
            *end = Some(broken.into());
        }
    }

    pub(crate) fn unfinished(&self) -> Option<u16> {
        self.frames.unfinished()
    }

    pub(crate) fn reply(&self, reply: &Reply) -> Option<Bytes> {
        let frame = match reply {
            Reply::History { id, channel, past } => {
                return Some(wire::history(self.codec, *id, channel, past));
            }
            Reply::Connected { id, session, client, user } => ServerFrame::Connected {
                id: id.get(),
                session: session.to_string(),
                client: client.as_str().to_owned(),
                user: user.as_deref().map(str::to_owned),
                ping_ms: self.greeting.ping.as_millis() as u64,
                message_bytes: self.greeting.limits.message_bytes as u64,
                channels: self.greeting.limits.channels as u64,
            },
            Reply::Subscribed { id, channel, recovered } => ServerFrame::Subscribed {
                id: id.get(),
                channel: channel.as_str().to_owned(),
                position: None,
                recovered: *recovered,
                events: Vec::new(),
            },
            Reply::Unsubscribed { id } => ServerFrame::Ok { id: id.get(), position: None },
            Reply::Published { id, position } => ServerFrame::Ok { id: id.get(), position: *position },
            Reply::Pong { id } => ServerFrame::Pong { id: id.map(|id| id.get()) },
            Reply::Refused { id, refusal } => ServerFrame::Error {
                id: id.map(|id| id.get()),
                code: codes::error_code(refusal.reason).to_owned(),
                message: refusal.message.clone(),
                retry: refusal.reason.retry(),
                retry_after_ms: None,
            },
            Reply::Reconnect { after_ms } => ServerFrame::Reconnect { after_ms: *after_ms },
            Reply::Opened => return None,
        };
        Some(encode(self.codec, &frame))
    }
}

/// One frame of the server as one WebSocket frame.
pub(crate) fn encode(codec: Codec, frame: &ServerFrame) -> Bytes {
    let mut out = Vec::new();
    match codec {
        Codec::Json => wire::write_frame(&mut out, Opcode::Text, json::encode_server(frame).as_bytes()),
        Codec::MessagePack => wire::write_frame(&mut out, Opcode::Binary, &msgpack::encode_server(frame)),
    }
    out.into()
}

/// What the session hears of a request. The first `connect` takes the token `shown`, unless it brings its own.
fn input(request: Result<ClientFrame, Malformed>, shown: &mut Option<Box<str>>) -> Input {
    match request {
        Ok(ClientFrame::Connect { id, token, client }) => {
            let token = token.or_else(|| shown.take().map(String::from));
            let client = client.unwrap_or_else(random_client);
            Input::Connect { id, credentials: Credentials { token }, client }
        }
        Ok(ClientFrame::Subscribe { id, channel, since, last }) => {
            let last = last.map(|last| Since::Last(u64::from(last)));
            let since = since.map(Since::At).or(last).unwrap_or(Since::Now);
            Input::Subscribe { id, channel, since }
        }
        Ok(ClientFrame::Unsubscribe { id, channel }) => Input::Unsubscribe { id, channel },
        Ok(ClientFrame::Publish { id, channel, data, key }) => {
            Input::Publish { id: Some(id), channel: Some(channel), payload: data, key }
        }
        Ok(ClientFrame::History { id, channel, since, limit }) => {
            Input::History { id, channel, since, limit }
        }
        Ok(ClientFrame::Ping { id }) => Input::Ping { id },
        Err(Malformed { id, refusal }) => Input::Malformed { id, refusal },
    }
}

/// A client id for a client that brings none: nobody can guess it.
fn random_client() -> ClientId {
    let text = format!("{:032x}", rand::random::<u128>());
    ClientId::parse(&text).expect("32 hexadecimal digits are a client id")
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Protocol(message) => Self::Broken(Close::Protocol, message),
            Broken::Utf8 => Self::Broken(Close::InvalidUtf8, "a text message must be UTF-8".into()),
            Broken::TooBig(message) => Self::Broken(Close::TooBig, message),
        }
    }
}
