//! What the native door says to clients.

use tidegate_core::{Epoch, Payload, Position};

use crate::flat::{LimitsFlat, LoggedFlat, ServerFlat};
use crate::logged::carried;
use crate::{Logged, encode_base64};

/// One frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// To `connect`.
    Connected {
        /// The request.
        id: u64,
        /// The session's public id.
        session: String,
        /// The client id, as given or made up.
        client: String,
        /// The token's subject.
        user: Option<String>,
        /// How often the server pings, in milliseconds.
        ping_ms: u64,
        /// Largest message the server takes, in bytes.
        message_bytes: u64,
        /// Most subscriptions of one connection.
        channels: u64,
    },
    /// To `subscribe`; comes before the channel's first event.
    Subscribed {
        /// The request.
        id: u64,
        /// The channel.
        channel: String,
        /// The position behind `events`, in a channel with history.
        position: Option<Position>,
        /// Whether nothing is missing behind the position that was asked for; there if one was.
        recovered: Option<bool>,
        /// What was missed, or the first page of it.
        events: Vec<Logged>,
    },
    /// To `history`.
    History {
        /// The request.
        id: u64,
        /// The channel.
        channel: String,
        /// The position of the channel's last event.
        position: Position,
        /// Whether nothing is missing behind the position that was asked for; there if one was.
        recovered: Option<bool>,
        /// The events; the offset of the first says where they begin.
        events: Vec<Logged>,
    },
    /// To `unsubscribe`, `publish`.
    Ok {
        /// The request.
        id: u64,
        /// Where a published event stands, in a channel with history.
        position: Option<Position>,
    },
    /// An event.
    Event(EventFrame),
    /// A new epoch of a channel: delivery goes on behind this position, which may lie below what the client
    /// has.
    Position {
        /// The channel.
        channel: String,
        /// Where delivery goes on.
        position: Position,
    },
    /// What lies before this position could not be had: the application loads its state anew.
    Gap {
        /// The channel.
        channel: String,
        /// Where delivery goes on.
        position: Position,
        /// Why, for people.
        reason: String,
    },
    /// To `ping`.
    Pong {
        /// The request, if it had an id.
        id: Option<u64>,
    },
    /// A request was refused.
    Error {
        /// The request, if known.
        id: Option<u64>,
        /// One of [`codes::ERRORS`](crate::codes::ERRORS), or a newer one.
        code: String,
        /// For people.
        message: String,
        /// Whether the same request may succeed later.
        retry: bool,
        /// When to try again, if the server knows.
        retry_after_ms: Option<u64>,
    },
    /// The server ended a subscription.
    Unsubscribed {
        /// The channel.
        channel: String,
        /// Why.
        code: String,
    },
    /// The node is about to stop: come back, to any node.
    Reconnect {
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// A type that this version does not know; to be ignored.
    Unknown(String),
}

/// An event as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFrame {
    /// The channel.
    pub channel: String,
    /// Its offset, in a channel with history.
    pub offset: Option<u64>,
    /// What was published. A text that is no JSON arrives as a JSON string.
    pub payload: Payload,
    /// Who published it.
    pub from: Option<String>,
    /// The publisher's idempotency key.
    pub key: Option<String>,
}

impl ServerFrame {
    pub(crate) fn from_flat<D>(flat: ServerFlat<D>, payload: impl Fn(D) -> Payload) -> Result<Self, String> {
        let kind = flat.kind.clone();
        let lacks = |field: &str| format!("`{kind}` lacks `{field}`");
        let id = flat.id.ok_or_else(|| lacks("id"));
        let position = match (&flat.epoch, flat.offset) {
            (Some(epoch), Some(offset)) => {
                let epoch: Epoch = epoch.parse().map_err(|e: tidegate_core::PositionError| e.to_string())?;
                Some(Position { epoch, offset })
            }
            _ => None,
        };
        let logged = |events: Option<Vec<LoggedFlat<D>>>| {
            let events = events.unwrap_or_default().into_iter();
            events.map(|flat| Logged::from_flat(flat, &payload)).collect::<Result<Vec<_>, _>>()
        };
        let named = flat.channel.ok_or_else(|| lacks("channel"));
        let placed = position.ok_or_else(|| lacks("epoch` or `offset"));
        Ok(match flat.kind.as_str() {
            "connected" => Self::Connected {
                id: id?,
                session: flat.session.ok_or_else(|| lacks("session"))?,
                client: flat.client.ok_or_else(|| lacks("client"))?,
                user: flat.user,
                ping_ms: flat.ping_ms.ok_or_else(|| lacks("ping_ms"))?,
                message_bytes: flat.limits.map_or(0, |l| l.message_bytes),
                channels: flat.limits.map_or(0, |l| l.channels),
            },
            "subscribed" => Self::Subscribed {
                id: id?,
                channel: named?,
                position,
                recovered: flat.recovered,
                events: logged(flat.events)?,
            },
            "history" => Self::History {
                id: id?,
                channel: named?,
                position: placed?,
                recovered: flat.recovered,
                events: logged(flat.events)?,
            },
            "position" => Self::Position { channel: named?, position: placed? },
            "gap" => {
                Self::Gap { channel: named?, position: placed?, reason: flat.reason.unwrap_or_default() }
            }
            "ok" => Self::Ok { id: id?, position },
            "event" => {
                let payload = carried(flat.data, flat.data_base64, payload)?.ok_or_else(|| lacks("data"))?;
                Self::Event(EventFrame {
                    channel: named?,
                    offset: flat.offset,
                    payload,
                    from: flat.from,
                    key: flat.key,
                })
            }
            "pong" => Self::Pong { id: flat.id },
            "error" => Self::Error {
                id: flat.id,
                code: flat.code.ok_or_else(|| lacks("code"))?,
                message: flat.message.unwrap_or_default(),
                retry: flat.retry.unwrap_or(false),
                retry_after_ms: flat.retry_after_ms,
            },
            "unsubscribed" => Self::Unsubscribed { channel: named?, code: flat.code.unwrap_or_default() },
            "reconnect" => Self::Reconnect { after_ms: flat.after_ms.unwrap_or(0) },
            _ => Self::Unknown(flat.kind),
        })
    }

    /// The flat frame. `data` turns a payload into what `data` can hold; none: it goes as base64.
    pub(crate) fn to_flat<D>(&self, data: impl Fn(&Payload) -> Option<D>) -> ServerFlat<D> {
        let flat = |kind: &str, id: Option<u64>| {
            let mut flat = ServerFlat::new(kind);
            flat.id = id;
            flat
        };
        let about = |kind: &str, id: Option<u64>, channel: &str, position: Option<Position>| ServerFlat {
            channel: Some(channel.to_owned()),
            epoch: position.map(|p| p.epoch.to_string()),
            offset: position.map(|p| p.offset),
            ..flat(kind, id)
        };
        let logged = |events: &[Logged]| Some(events.iter().map(|event| event.to_flat(&data)).collect());
        match self {
            Self::Connected { id, session, client, user, ping_ms, message_bytes, channels } => {
                let limits = LimitsFlat { message_bytes: *message_bytes, channels: *channels };
                ServerFlat {
                    session: Some(session.clone()),
                    client: Some(client.clone()),
                    user: user.clone(),
                    ping_ms: Some(*ping_ms),
                    limits: Some(limits),
                    ..flat("connected", Some(*id))
                }
            }
            Self::Subscribed { id, channel, position, recovered, events } => ServerFlat {
                recovered: *recovered,
                events: if position.is_some() { logged(events) } else { None },
                ..about("subscribed", Some(*id), channel, *position)
            },
            Self::History { id, channel, position, recovered, events } => ServerFlat {
                recovered: *recovered,
                events: logged(events),
                ..about("history", Some(*id), channel, Some(*position))
            },
            Self::Position { channel, position } => about("position", None, channel, Some(*position)),
            Self::Gap { channel, position, reason } => {
                ServerFlat { reason: Some(reason.clone()), ..about("gap", None, channel, Some(*position)) }
            }
            Self::Ok { id, position } => ServerFlat {
                epoch: position.map(|p| p.epoch.to_string()),
                offset: position.map(|p| p.offset),
                ..flat("ok", Some(*id))
            },
            Self::Event(event) => {
                let held = data(&event.payload);
                ServerFlat {
                    channel: Some(event.channel.clone()),
                    offset: event.offset,
                    data_base64: held.is_none().then(|| encode_base64(event.payload.bytes())),
                    data: held,
                    from: event.from.clone(),
                    key: event.key.clone(),
                    ..flat("event", None)
                }
            }
            Self::Pong { id } => flat("pong", *id),
            Self::Error { id, code, message, retry, retry_after_ms } => ServerFlat {
                code: Some(code.clone()),
                message: Some(message.clone()),
                retry: Some(*retry),
                retry_after_ms: *retry_after_ms,
                ..flat("error", *id)
            },
            Self::Unsubscribed { channel, code } => ServerFlat {
                channel: Some(channel.clone()),
                code: Some(code.clone()),
                ..flat("unsubscribed", None)
            },
            Self::Reconnect { after_ms } => {
                ServerFlat { after_ms: Some(*after_ms), ..flat("reconnect", None) }
            }
            Self::Unknown(kind) => flat(kind, None),
        }
    }
}
