//! What clients say to the native door.

use std::fmt;

use bytes::Bytes;
use tidegate_core::{ChannelName, ClientId, PayloadKind, Reason, Refusal, RequestId};

use crate::flat::ClientFlat;
use crate::{decode_base64, encode_base64};

/// Characters of a refusal of what could not be decoded.
const MAX_MESSAGE: usize = 300;

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
            Self::Subscribe { id, channel } => write!(f, "Subscribe({id:?}, {channel:?})"),
            Self::Unsubscribe { id, channel } => write!(f, "Unsubscribe({id:?}, {channel:?})"),
            Self::Publish { id, channel, data } => {
                write!(f, "Publish({id:?}, {channel:?}, {} bytes)", data.len())
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
            "subscribe" => Ok(Self::Subscribe { id: id()?, channel: channel(flat.channel)? }),
            "unsubscribe" => Ok(Self::Unsubscribe { id: id()?, channel: channel(flat.channel)? }),
            "publish" => {
                let bad = |message| refuse(Reason::BadRequest, message);
                let data = match (flat.data, flat.data_base64) {
                    (Some(data), None) => payload(data).map_err(bad)?,
                    (None, Some(text)) => decode_base64(&text).map_err(bad)?.into(),
                    _ => return Err(bad("`publish` needs either `data` or `data_base64`".into())),
                };
                Ok(Self::Publish { id: id()?, channel: channel(flat.channel)?, data })
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
            Self::Subscribe { id, channel } => named("subscribe", id, channel),
            Self::Unsubscribe { id, channel } => named("unsubscribe", id, channel),
            Self::Publish { id, channel, data: bytes } => {
                let mut flat = named("publish", id, channel);
                let payload = tidegate_core::Payload::new(bytes.clone());
                flat.data = data(bytes, payload.kind());
                if flat.data.is_none() {
                    flat.data_base64 = Some(encode_base64(bytes));
                }
                flat
            }
            Self::Ping { id } => {
                let mut flat = ClientFlat::new("ping");
                flat.id = id.map(RequestId::get);
                flat
            }
        }
    }
}
