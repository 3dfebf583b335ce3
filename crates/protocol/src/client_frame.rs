//! What clients say to the native door.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ChannelName, ClientId, PayloadKind, Position, Reason, Refusal, RequestId};

use crate::flat::{ClientFlat, Since};
use crate::{decode_base64, encode_base64};

/// Characters of a refusal of what could not be decoded.
const MAX_MESSAGE: usize = 300;

/// The longest idempotency key, in bytes.
pub const MAX_KEY: usize = 128;

/// One request of a client.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first request: who this is.
    Connect {
        /// For the reply.
        id: RequestId,
        /// A JSON Web Token.
        token: Option<String>,
        /// What makes two connections the same tab or device.
        client: Option<ClientId>,
    },
    /// Wants to hear a channel.
    Subscribe {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
        /// Wants what follows this position first.
        since: Option<Position>,
        /// Wants so many of the latest events first. Not together with `since`.
        last: Option<u32>,
    },
    /// Wants to hear it no longer.
    Unsubscribe {
        /// For the reply.
        id: RequestId,
        /// Which.
        channel: ChannelName,
    },
    /// Publishes into a channel.
    Publish {
        /// For the reply.
        id: RequestId,
        /// Where.
        channel: ChannelName,
        /// What: JSON, other text or any bytes.
        data: Bytes,
        /// Makes a second publish of the same event known as such: 1 to [`MAX_KEY`] bytes.
        key: Option<Arc<str>>,
    },
    /// Asks for events of a channel's history.
    History {
        /// For the reply.
        id: RequestId,
        /// Which channel.
        channel: ChannelName,
        /// What follows this position; none: the latest.
        since: Option<Position>,
        /// So many at most; none: as many as a page holds.
        limit: Option<u32>,
    },
    /// Asks whether the server is there; for clients that cannot see WebSocket pings.
    Ping {
        /// For the reply, if wanted.
        id: Option<RequestId>,
    },
}

impl fmt::Debug for ClientFrame {
    /// Says what it is about, never what it carries: tokens must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { id, token, .. } => write!(f, "Connect({id:?}, token: {})", token.is_some()),
            Self::Subscribe { id, channel, since, last } => {
                write!(f, "Subscribe({id:?}, {channel:?}, since: {since:?}, last: {last:?})")
            }
            Self::Unsubscribe { id, channel } => write!(f, "Unsubscribe({id:?}, {channel:?})"),
            Self::Publish { id, channel, data, key } => {
                write!(f, "Publish({id:?}, {channel:?}, {} bytes, key: {})", data.len(), key.is_some())
            }
            Self::History { id, channel, since, limit } => {
                write!(f, "History({id:?}, {channel:?}, since: {since:?}, limit: {limit:?})")
            }
            Self::Ping { id } => write!(f, "Ping({id:?})"),
        }
    }
}

/// A frame that could not be understood: whose it is, if that was readable, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The request's id.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub refusal: Refusal,
}

impl Malformed {
    /// Messages are cut: what a decoder says may repeat a value of any length.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
        }
        Self { id: None, refusal: Refusal::new(Reason::BadRequest, message) }
    }
}

impl ClientFrame {
    /// Checks a flat frame. `payload` turns what stood in `data` into bytes.
    pub(crate) fn from_flat<D>(
        flat: ClientFlat<D>,
        payload: impl FnOnce(D) -> Result<Bytes, String>,
    ) -> Result<Self, Malformed> {
        let given = flat.id.map(RequestId::new).transpose();
        let readable = given.as_ref().ok().copied().flatten();
        let refuse =
            |reason, message: String| Malformed { id: readable, refusal: Refusal::new(reason, message) };
        let given = given.map_err(|error| refuse(Reason::BadRequest, error.to_string()))?;
        let kind = flat.kind.as_str();
        let id = || given.ok_or_else(|| refuse(Reason::BadRequest, format!("`{kind}` needs an `id`")));
        let channel = |text: Option<String>| {
            let text =
                text.ok_or_else(|| refuse(Reason::BadRequest, format!("`{kind}` needs a `channel`")))?;
            ChannelName::parse(&text)
                .map_err(|error| refuse(Reason::BadChannel, format!("`channel`: {error}")))
        };
        match kind {
            "connect" => {
                let client = flat.client.as_deref().map(ClientId::parse).transpose();
                let client = client.map_err(|error| refuse(Reason::BadRequest, error.to_string()))?;
                Ok(Self::Connect { id: id()?, token: flat.token, client })
            }
            "subscribe" => {
                let (id, channel) = (id()?, channel(flat.channel)?);
                if flat.since.is_some() && flat.last.is_some() {
                    let message = "`subscribe` takes either `since` or `last`";
                    return Err(refuse(Reason::BadRequest, message.into()));
                }
                Ok(Self::Subscribe { id, channel, since: flat.since.map(|s| s.0), last: flat.last })
            }
            "unsubscribe" => Ok(Self::Unsubscribe { id: id()?, channel: channel(flat.channel)? }),
            "publish" => {
                let bad = |message| refuse(Reason::BadRequest, message);
                let data = match (flat.data, flat.data_base64) {
                    (Some(data), None) => payload(data).map_err(bad)?,
                    (None, Some(text)) => decode_base64(&text).map_err(bad)?.into(),
                    _ => return Err(bad("`publish` needs either `data` or `data_base64`".into())),
                };
                let (id, channel) = (id()?, channel(flat.channel)?);
                let length = flat.key.as_ref().map_or(1, String::len);
                if !(1..=MAX_KEY).contains(&length) {
                    return Err(bad(format!("`key` has 1 to {MAX_KEY} bytes, this one has {length}")));
                }
                Ok(Self::Publish { id, channel, data, key: flat.key.map(Arc::from) })
            }
            "history" => {
                let (id, channel) = (id()?, channel(flat.channel)?);
                Ok(Self::History { id, channel, since: flat.since.map(|s| s.0), limit: flat.limit })
            }
            "ping" => Ok(Self::Ping { id: given }),
            other => {
                let other: String = other.chars().take(64).collect();
                Err(refuse(Reason::UnknownType, format!("{other:?} is no `type` of a request")))
            }
        }
    }

    /// The flat frame. `data` turns the payload into what `data` can hold; none: it goes as base64.
    pub(crate) fn to_flat<D>(&self, data: impl FnOnce(&Bytes, PayloadKind) -> Option<D>) -> ClientFlat<D> {
        let named = |kind: &str, id: &RequestId, channel: &ChannelName| {
            let mut flat = ClientFlat::new(kind);
            flat.id = Some(id.get());
            flat.channel = Some(channel.as_str().to_owned());
            flat
        };
        match self {
            Self::Connect { id, token, client } => {
                let mut flat = ClientFlat::new("connect");
                flat.id = Some(id.get());
                flat.token.clone_from(token);
                flat.client = client.as_ref().map(|c| c.as_str().to_owned());
                flat
            }
            Self::Subscribe { id, channel, since, last } => {
                ClientFlat { since: since.map(Since), last: *last, ..named("subscribe", id, channel) }
            }
            Self::Unsubscribe { id, channel } => named("unsubscribe", id, channel),
            Self::Publish { id, channel, data: bytes, key } => {
                let mut flat = named("publish", id, channel);
                flat.key = key.as_deref().map(str::to_owned);
                let payload = tidegate_core::Payload::new(bytes.clone());
                flat.data = data(bytes, payload.kind());
                if flat.data.is_none() {
                    flat.data_base64 = Some(encode_base64(bytes));
                }
                flat
            }
            Self::History { id, channel, since, limit } => {
                ClientFlat { since: since.map(Since), limit: *limit, ..named("history", id, channel) }
            }
            Self::Ping { id } => {
                let mut flat = ClientFlat::new("ping");
                flat.id = id.map(RequestId::get);
                flat
            }
        }
    }
}
