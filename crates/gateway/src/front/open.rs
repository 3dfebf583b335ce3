//! Which door a request opens, and with what.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::access::Credentials;
use tidegate_core::place::Since;
use tidegate_core::session::{Input, Manner};
use tidegate_core::{ChannelName, Reason, Refusal};

use super::head::Head;
use super::upgrade::{Offer, Upgrade};
use super::{Response, page};
use crate::doors::websocket::Opcode;
use crate::doors::{Door, Native, Plain, Sse};
use crate::node::Node;
use crate::wire::{self, Format};

/// The channel of the page, and of an upgrade at `/`.
const LOBBY: &str = "lobby";

/// What a request leads to.
pub(crate) enum Opened {
    /// A door.
    Door(Box<OpenedDoor>),
    /// Just an answer.
    Answer(Response),
}

/// A door and what it begins with.
pub(crate) struct OpenedDoor {
    pub(crate) door: Door,
    pub(crate) format: Format,
    pub(crate) manner: Manner,
    /// Written at once; none where the answer waits for the broker.
    pub(crate) head: Option<Bytes>,
    /// What the session hears first.
    pub(crate) first: Option<Input>,
}

/// Decides by path.
///
/// # Errors
/// The response that says why no door opens.
pub(super) fn open(node: &Node, head: &Head) -> Result<Opened, Response> {
    let upgrade = Upgrade::is_asked(head);
    match head.path() {
        "/ws" => native(node, head),
        "/plain" => {
            let channels = channels(head, None).map_err(|refusal| Response::refusal(&refusal))?;
            plain(node, head, channels)
        }
        "/sse" => sse(node, head),
        #[cfg(any(test, feature = "echo"))]
        "/echo" => echo(node, head),
        "/" if upgrade && node.settings.page => {
            plain(node, head, vec![(ChannelName::parse(LOBBY).expect("a valid name"), Since::Now)])
        }
        _ => {
            let file = if node.settings.page { page::file(head) } else { None };
            file.map(Opened::Answer).ok_or_else(|| {
                Response::text(404, "nothing is here; doors are /ws, /plain?channel=… and /sse?channel=…")
            })
        }
    }
}

fn native(node: &Node, head: &Head) -> Result<Opened, Response> {
    let upgrade = Upgrade::check(head)?;
    let offer = Offer::read(head).map_err(|refusal| Response::refusal(&refusal))?;
    let token = head.bearer().map(str::to_owned).or(offer.token);
    check_origin(node, head)?; // a token may still come in `connect`; without one the session refuses by itself
    let format = if offer.codec.is_text() { Format::Json } else { Format::MessagePack };
    let native = Native::new(offer.codec, token, Arc::clone(&node.greeting));
    Ok(Opened::Door(Box::new(OpenedDoor {
        door: Door::Native(native),
        format,
        manner: Manner::Framed,
        head: Some(upgrade.response(offer.echo).into()),
        first: None,
    })))
}

fn plain(node: &Node, head: &Head, channels: Vec<(ChannelName, Since)>) -> Result<Opened, Response> {
    let upgrade = Upgrade::check(head)?;
    check_origin(node, head)?;
    let credentials = credentials(node, head).map_err(|refusal| Response::refusal(&refusal))?;
    let mut response = upgrade.response(None);
    let rules = channels.first().and_then(|(channel, _)| node.policy.access.rules(channel).ok());
    if let Some(welcome) = rules.and_then(|rules| rules.welcome.as_deref()) {
        wire::write_frame(&mut response, Opcode::Text, welcome.as_bytes());
    }
    let door = Door::Plain(Plain::new(response.into(), node.policy.limits.message_bytes));
    Ok(bare(door, Format::Plain, credentials, channels))
}

fn sse(node: &Node, head: &Head) -> Result<Opened, Response> {
    let origin = head.header("origin");
    if head.method() == "OPTIONS" {
        check_origin(node, head)?;
        let response = Response::new(204, "text/plain", "");
        let response = response.with("Access-Control-Allow-Methods", "GET");
        let response =
            response.with("Access-Control-Allow-Headers", "Authorization, Last-Event-ID, Cache-Control");
        let response = response.with("Access-Control-Max-Age", "600");
        return Ok(Opened::Answer(with_cors(response, origin)));
    }
    if head.method() != "GET" {
        return Err(Response::text(405, "only GET").with("Allow", "GET, OPTIONS"));
    }
    check_origin(node, head)?;
    let refused = |refusal| with_cors(Response::refusal(&refusal), origin);
    let credentials = credentials(node, head).map_err(refused)?;
    let channels = channels(head, head.header("last-event-id")).map_err(refused)?;
    let mut response = String::from(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
         X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
    );
    for (name, value) in cors(origin) {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str("\r\nretry: 2000\n\n");
    let format = if channels.len() == 1 { Format::SseOne } else { Format::SseMany };
    Ok(bare(Door::Sse(Sse::new(response.into())), format, credentials, channels))
}

/// The door of conformance suites: open to anybody, which is why the product has none.
#[cfg(any(test, feature = "echo"))]
fn echo(node: &Node, head: &Head) -> Result<Opened, Response> {
    let response = Upgrade::check(head)?.response(None);
    let door = Door::Echo(crate::doors::Echo::new(node.policy.limits.message_bytes));
    Ok(Opened::Door(Box::new(OpenedDoor {
        door,
        format: Format::Plain,
        manner: Manner::Bare,
        head: Some(response.into()),
        // A session without channels: opened at once, so that it is not closed for want of a `connect`.
        first: Some(Input::Open { credentials: Credentials::default(), channels: Vec::new() }),
    })))
}

fn bare(door: Door, format: Format, credentials: Credentials, channels: Vec<(ChannelName, Since)>) -> Opened {
    let first = Some(Input::Open { credentials, channels });
    Opened::Door(Box::new(OpenedDoor { door, format, manner: Manner::Bare, head: None, first }))
}

/// The token that a bare door was shown. Where one is needed and there is none, this says how; the
/// session, which refuses it too, does not know HTTP.
fn credentials(node: &Node, head: &Head) -> Result<Credentials, Refusal> {
    let mut given = head.params("token");
    let (first, second) = (given.next(), given.next());
    if second.is_some() {
        // Who logs or checks the one must not let the other in.
        return Err(Refusal::new(Reason::BadRequest, "`token` is there twice"));
    }
    let token = head.bearer().or(first);
    if token.is_none() && !node.policy.access.anonymous() {
        let message = "a token is needed here: as the header `Authorization: Bearer …`, or as `?token=…`";
        return Err(Refusal::new(Reason::Unauthorized, message));
    }
    Ok(Credentials { token: token.map(str::to_owned) })
}

/// The channels, and from where each is heard. A browser that comes back says so in `Last-Event-ID`, which is newer
/// than what stands in its address.
fn channels(head: &Head, last_event_id: Option<&str>) -> Result<Vec<(ChannelName, Since)>, Refusal> {
    let mut channels: Vec<ChannelName> = Vec::new();
    for text in head.params("channel") {
        let channel = ChannelName::parse(text)
            .map_err(|error| Refusal::new(Reason::BadChannel, format!("`channel`: {error}")))?;
        if channels.contains(&channel) {
            return Err(Refusal::new(Reason::BadRequest, format!("`channel` {channel} is there twice")));
        }
        channels.push(channel);
    }
    if channels.is_empty() {
        return Err(Refusal::new(Reason::BadRequest, "`channel` is missing: ?channel=chat:1"));
    }
    let mut given = head.params("since");
    let (since, second) = (given.next(), given.next());
    if second.is_some() {
        return Err(Refusal::new(
            Reason::BadRequest,
            "`since` is there twice; one names all channels, with commas",
        ));
    }
    let (name, list) = match last_event_id.filter(|id| !id.is_empty()) {
        Some(id) => ("Last-Event-ID", Some(id)),
        None => ("since", since.filter(|list| !list.is_empty())),
    };
    let since = match list {
        Some(list) => positions(name, list, channels.len())?,
        None => vec![Since::Now; channels.len()],
    };
    Ok(channels.into_iter().zip(since).collect())
}

/// A list of positions, one for each channel, `-` for none.
fn positions(name: &str, list: &str, channels: usize) -> Result<Vec<Since>, Refusal> {
    let refuse = |message| Refusal::new(Reason::BadRequest, message);
    let given = list.split(',').count();
    if given != channels {
        let message = format!("`{name}` has {given} positions for {channels} channels; `-` stands for none");
        return Err(refuse(message));
    }
    let position = |text: &str| match text.trim() {
        "-" => Ok(Since::Now),
        text => text.parse().map(Since::At).map_err(|error| refuse(format!("`{name}`: {error}"))),
    };
    list.split(',').map(position).collect()
}

/// A missing Origin is no browser: whether it may come in is up to its token.
fn check_origin(node: &Node, head: &Head) -> Result<(), Response> {
    let Some(origin) = head.header("origin") else { return Ok(()) };
    if node.settings.origins.allow(origin, head.header("host").unwrap_or_default()) {
        return Ok(());
    }
    let origin: String = origin.chars().take(100).collect();
    tracing::debug!(%origin, "not a listed origin");
    let message = format!("pages of origin {origin:?} may not connect here (server.origins)");
    Err(Response::refusal(&Refusal::new(Reason::Forbidden, message)))
}

fn with_cors(response: Response, origin: Option<&str>) -> Response {
    cors(origin).fold(response, |response, (name, value)| response.with(name, value))
}

/// What lets the page of an origin that was found to be allowed read the answer. With credentials too, since
/// an `EventSource` with `withCredentials` reads nothing otherwise: cookies mean nothing here, but may to a proxy.
fn cors(origin: Option<&str>) -> impl Iterator<Item = (&'static str, &str)> {
    let headers = origin.map(|origin| {
        [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        ]
    });
    headers.into_iter().flatten()
}
