//! The head of a request, parsed and looked through once.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::Response;

/// The longest head, in bytes: room for a token in a header and one in the query.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// The most headers.
const MAX_HEADERS: usize = 64;

/// Headers that two readers could understand in two ways if they were there twice.
const ONCE: &[&str] = &[
    "host",
    "origin",
    "authorization",
    "content-length",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
];

/// Method, path, query and headers of a request.
pub(super) struct Head {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl fmt::Debug for Head {
    /// Query and headers may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Head {
    /// Parses a head and tells its length; none while it is incomplete.
    ///
    /// # Errors
    /// 400 with a sentence for what is no request that this port serves.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Response> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Response::text(431, &format!("a request has at most {MAX_HEADERS} headers")));
            }
            Err(error) => return Err(Response::text(400, &format!("not an HTTP request: {error}"))),
        };
        let target = request.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: parse_query(query)?,
            headers: Vec::with_capacity(request.headers.len()),
        };
        for header in request.headers {
            // Bytes that are no text stand in headers that nobody reads here, such as cookies.
            let value = String::from_utf8_lossy(header.value).trim().to_owned();
            head.headers.push((header.name.to_ascii_lowercase(), value));
        }
        head.check(request.version)?;
        Ok(Some((head, length)))
    }

    /// What is ambiguous is refused: two readers could understand it in two ways.
    fn check(&self, version: Option<u8>) -> Result<(), Response> {
        let bad = |message: String| Err(Response::text(400, &message));
        if version != Some(1) {
            return bad("HTTP/1.1 is needed".into());
        }
        let body = [("content-length", "0"), ("transfer-encoding", "")];
        for (name, harmless) in body {
            if self.header(name).is_some_and(|value| value != harmless || harmless.is_empty()) {
                return bad(format!("requests here have no body, but {name} says so"));
            }
        }
        for name in ONCE {
            if self.headers.iter().filter(|(n, _)| n == *name).count() > 1 {
                return bad(format!("header {name} is there twice"));
            }
        }
        if self.header("host").is_none() {
            return bad("header host is missing".into());
        }
        Ok(())
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The value of a header that may be there once; names are in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The items of a header that is a comma list, over all its lines.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.headers.iter().filter(move |(n, _)| n == name);
        lines.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
    }

    /// The values of a query parameter, in order.
    pub(super) fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The token of `Authorization: Bearer …`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, Response> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8();
        decoded.map(String::from).map_err(|_| Response::text(400, "the query is not UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Head, u16> {
        match Head::parse(text.as_bytes()) {
            Ok(Some((head, _))) => Ok(head),
            Ok(None) => Err(0),
            Err(response) => Err(response.status()),
        }
    }

    #[test]
    fn parameters_are_decoded_in_order() {
        let head =
            parse("GET /plain?channel=chat%3A1&channel=b+c&token=t HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(head.params("channel").collect::<Vec<_>>(), ["chat:1", "b c"]);
        assert_eq!((head.path(), head.params("token").next()), ("/plain", Some("t")));
    }

    #[test]
    fn lists_and_bearers() {
        let head = parse("GET / HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, Upgrade\r\nconnection: x\r\nAUTHORIZATION: bearer abc\r\n\r\n").unwrap();
        assert_eq!(head.list("connection").collect::<Vec<_>>(), ["keep-alive", "Upgrade", "x"]);
        assert_eq!(head.bearer(), Some("abc"));
    }

    #[test]
    fn what_two_readers_could_understand_in_two_ways_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: 0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n", 400),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Key: b\r\n\r\n",
                400,
            ),
            ("GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("nonsense\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n", 0),
        ] {
            assert_eq!(parse(text).unwrap_err(), status, "{text}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(parse(&many).unwrap_err(), 431);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::parse(&bytes);
            let _ = Head::parse(&[b"GET /?".as_slice(), &bytes, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        }
    }
}
