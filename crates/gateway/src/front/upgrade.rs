//! The WebSocket handshake (RFC 6455 section 4.2).

use tidegate_core::Reason;
use tidegate_core::Refusal;
use tidegate_protocol::Codec;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::head::Head;
use super::response::Response;

/// Carries a token in the list of subprotocols, for browsers, which cannot set headers.
const TOKEN_PROTOCOL: &str = "tidegate.token.";

/// A valid request to upgrade.
#[derive(Debug)]
pub(super) struct Upgrade {
    accept: String,
}

/// What the list of subprotocols asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The codec; JSON where nothing was offered.
    pub(super) codec: Codec,
    /// What to echo; nothing where nothing was offered.
    pub(super) echo: Option<&'static str>,
    /// The token in the list.
    pub(super) token: Option<String>,
}

impl Upgrade {
    /// Whether the request asks for an upgrade at all.
    pub(super) fn is_asked(head: &Head) -> bool {
        head.header("upgrade").is_some()
    }

    /// Checks the request.
    ///
    /// # Errors
    /// 400 or 426 with a sentence.
    pub(super) fn check(head: &Head) -> Result<Self, Response> {
        let websocket = head.list("upgrade").any(|item| item.eq_ignore_ascii_case("websocket"));
        let upgrade = head.list("connection").any(|item| item.eq_ignore_ascii_case("upgrade"));
        if !websocket || !upgrade {
            let response = Response::text(426, "this is a WebSocket endpoint: connect with ws:// or wss://");
            return Err(asking_for_websocket(response));
        }
        if head.method() != "GET" {
            return Err(Response::text(405, "an upgrade is a GET").with("Allow", "GET"));
        }
        if head.header("sec-websocket-version") != Some("13") {
            let response = Response::text(426, "WebSocket version 13 is needed (RFC 6455)");
            return Err(asking_for_websocket(response).with("Sec-WebSocket-Version", "13"));
        }
        let key = head.header("sec-websocket-key").unwrap_or_default();
        if tidegate_protocol::decode_base64(key).map_or(0, |bytes| bytes.len()) != 16 {
            return Err(Response::text(400, "Sec-WebSocket-Key must be 16 bytes in base64"));
        }
        Ok(Self { accept: derive_accept_key(key.as_bytes()) })
    }

    /// The head of the answer.
    pub(super) fn response(&self, protocol: Option<&str>) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            self.accept
        );
        if let Some(protocol) = protocol {
            head.push_str("Sec-WebSocket-Protocol: ");
            head.push_str(protocol);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// RFC 9110 section 15.5.22: a 426 names the protocol, and so a connection option (section 7.8).
fn asking_for_websocket(response: Response) -> Response {
    response.with("Upgrade", "websocket").with("Connection", "Upgrade")
}

impl Offer {
    /// Reads the list of subprotocols.
    ///
    /// # Errors
    /// `bad_request` when something is offered but nothing we speak.
    pub(super) fn read(head: &Head) -> Result<Self, Refusal> {
        let mut offer = Self { codec: Codec::Json, echo: None, token: None };
        let mut unknown = Vec::new();
        for item in head.list("sec-websocket-protocol") {
            if let Some(token) = item.strip_prefix(TOKEN_PROTOCOL) {
                offer.token = Some(token.to_owned());
            } else if let Some(codec) = Codec::from_subprotocol(item) {
                if offer.echo.is_none() {
                    offer.codec = codec;
                    offer.echo = Some(codec.subprotocol());
                }
            } else {
                unknown.push(item);
            }
        }
        if offer.echo.is_none() && offer.token.is_some() && unknown.is_empty() {
            let message = format!(
                "beside the token offer a subprotocol that can be chosen: {}",
                Codec::Json.subprotocol()
            );
            return Err(Refusal::new(Reason::BadRequest, message)); // browsers fail without one
        }
        if offer.echo.is_none() && !unknown.is_empty() {
            let known = format!("{} and {}", Codec::Json.subprotocol(), Codec::MessagePack.subprotocol());
            let given: String = unknown.join(", ").chars().take(100).collect();
            let message = format!("no subprotocol of {given:?} is spoken here: {known} are");
            return Err(Refusal::new(Reason::BadRequest, message));
        }
        Ok(offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &str) -> Head {
        let text = format!("GET /ws HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn the_answer_to_the_example_of_rfc_6455() {
        let head = head(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        );
        let answer = String::from_utf8(Upgrade::check(&head).unwrap().response(None)).unwrap();
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert!(!answer.contains("Extensions"), "none is agreed to: {answer}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let asked = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
        for (headers, status) in [
            (String::new(), 426),
            (format!("Upgrade: h2c\r\nConnection: Upgrade\r\n{key}Sec-WebSocket-Version: 13\r\n"), 426),
            (format!("{asked}{key}"), 426),
            (format!("{asked}{key}Sec-WebSocket-Version: 8\r\n"), 426),
            (format!("{asked}Sec-WebSocket-Version: 13\r\n"), 400),
            (format!("{asked}Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n"), 400),
        ] {
            assert_eq!(Upgrade::check(&head(&headers)).unwrap_err().status(), status, "{headers}");
        }
    }

    #[test]
    fn subprotocols() {
        let offer = |list: &str| Offer::read(&head(&format!("Sec-WebSocket-Protocol: {list}\r\n")));
        let expected =
            |codec, echo, token: Option<&str>| Offer { codec, echo, token: token.map(str::to_owned) };
        assert_eq!(Offer::read(&head("")).unwrap(), expected(Codec::Json, None, None));
        assert_eq!(
            offer("x, tidegate.v1.msgpack, tidegate.v1.json").unwrap(),
            expected(Codec::MessagePack, Some("tidegate.v1.msgpack"), None)
        );
        assert_eq!(
            offer("tidegate.v1.json, tidegate.token.a.b.c").unwrap(),
            expected(Codec::Json, Some("tidegate.v1.json"), Some("a.b.c"))
        );
        assert!(offer("tidegate.token.a.b.c").unwrap_err().message.contains("tidegate.v1.json"));
        assert!(offer("graphql-ws").unwrap_err().message.contains("graphql-ws"));
    }
}
