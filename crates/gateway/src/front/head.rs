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
        check_lines(&bytes[..length])?;
        let (authority, target) = split_target(request.path.unwrap_or("/"))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query: parse_query(query)?,
            headers: Vec::with_capacity(request.headers.len()),
        };
        for header in request.headers {
            // Bytes that are no text stand in headers that nobody reads here, such as cookies.
            let value = String::from_utf8_lossy(header.value).trim_matches([' ', '\t']).to_owned();
            head.headers.push((header.name.to_ascii_lowercase(), value));
        }
        head.check(request.version)?;
        if let (Some(authority), Some(host)) =
            (authority, head.headers.iter_mut().find(|(name, _)| name == "host"))
        {
            host.1 = authority.to_owned(); // RFC 9112 section 3.2.2: it goes before the header
            head.check_host()?;
        }
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
        self.check_host()
    }

    /// RFC 9112 section 3.2: without a valid Host the request is refused. Origins are compared with it.
    fn check_host(&self) -> Result<(), Response> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+;=:[]".contains(c);
        match self.header("host") {
            None => Err(Response::text(400, "header host is missing")),
            Some(host) if host.is_empty() || !host.chars().all(allowed) => {
                let host: String = host.chars().take(100).collect();
                Err(Response::text(400, &format!("header host names no host: {host:?}")))
            }
            Some(_) => Ok(()),
        }
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

/// RFC 9112 section 2.2 lets a server take a bare LF for the end of a line. A proxy that does not
/// would see other headers than we do, so it is refused.
fn check_lines(head: &[u8]) -> Result<(), Response> {
    let bare = head.iter().enumerate().any(|(at, &b)| b == b'\n' && (at == 0 || head[at - 1] != b'\r'));
    if bare {
        Err(Response::text(400, "lines of a request end with CR LF, not with LF alone"))
    } else {
        Ok(())
    }
}

/// The authority, if the target is a whole URL (RFC 9112 section 3.2.2), and the path with its query.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Response> {
    if target.starts_with('/') || target == "*" {
        return Ok((None, target));
    }
    let whole = target
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].into_iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let Some((_, rest)) = whole else {
        return Err(Response::text(400, "the target of a request is a path, or an http URL"));
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Ok((Some(authority), path))
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
        let line = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (what, text, status) in [
            ("no Host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("an empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n".into(), 400),
            ("two Hosts in one", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(), 400),
            ("a Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), 400),
            ("a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), 400),
            ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n".into(), 400),
            ("HTTP/0.9", "GET /\r\n\r\n".into(), 400),
            ("HTTP/2's first words", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400),
            ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("an authority", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("another scheme", "GET file:///etc HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("a URL without a host", "GET http:///ws HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("two Hosts", format!("{line}Host: b\r\n\r\n"), 400),
            ("a body", format!("{line}Content-Length: 4\r\n\r\n"), 400),
            ("a length with a sign", format!("{line}Content-Length: +0\r\n\r\n"), 400),
            ("two lengths in one", format!("{line}Content-Length: 0, 0\r\n\r\n"), 400),
            ("two lengths", format!("{line}Content-Length: 0\r\nContent-Length: 9\r\n\r\n"), 400),
            ("the same length twice", format!("{line}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), 400),
            ("chunks", format!("{line}Transfer-Encoding: chunked\r\n\r\n"), 400),
            ("chunks, hidden", format!("{line}Transfer-Encoding:\tchunked\r\n\r\n"), 400),
            ("an encoding that is none", format!("{line}Transfer-Encoding: 0\r\n\r\n"), 400),
            ("an empty encoding", format!("{line}Transfer-Encoding:\r\n\r\n"), 400),
            (
                "length and chunks",
                format!("{line}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
                400,
            ),
            ("a space before the colon", format!("{line}Transfer-Encoding : chunked\r\n\r\n"), 400),
            ("a folded line", format!("{line}X: a\r\n Content-Length: 4\r\n\r\n"), 400),
            ("LF alone", "GET / HTTP/1.1\nHost: a\n\n".into(), 400),
            ("LF alone between headers", format!("{line}X: a\nY: b\r\n\r\n"), 400),
            ("LF alone at the end", format!("{line}\n"), 400),
            ("CR alone", format!("{line}X: a\rY: b\r\n\r\n"), 400),
            ("NUL in a header", format!("{line}X: a\0b\r\n\r\n"), 400),
            ("a control character", format!("{line}X: a\x07b\r\n\r\n"), 400),
            ("a header without a name", format!("{line}: a\r\n\r\n"), 400),
            ("a header without a colon", format!("{line}X\r\n\r\n"), 400),
            ("two keys", format!("{line}Sec-WebSocket-Key: a\r\nsec-websocket-key: b\r\n\r\n"), 400),
            (
                "two versions",
                format!("{line}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n\r\n"),
                400,
            ),
            ("two upgrades", format!("{line}Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n"), 400),
            ("two origins", format!("{line}Origin: http://a\r\nOrigin: http://b\r\n\r\n"), 400),
            (
                "two authorizations",
                format!("{line}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
                400,
            ),
            ("a query that is no UTF-8", "GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
            ("nonsense", "nonsense\r\n\r\n".into(), 400),
            ("too many headers", format!("{line}{}\r\n", "a: b\r\n".repeat(64)), 431),
            ("not yet whole", line.into(), 0),
        ] {
            assert_eq!(parse(&text).err(), Some(status), "{what}: {text:?}");
        }
        for (what, text) in [
            ("an empty line before", format!("\r\n{line}\r\n")),
            ("no body, said so", format!("{line}Content-Length: 0\r\n\r\n")),
            ("64 headers", format!("{line}{}\r\n", "a: b\r\n".repeat(63))),
            ("bytes that are no text", format!("{line}Cookie: \u{e9}\r\n\r\n")),
        ] {
            assert!(parse(&text).is_ok(), "{what}: {text:?}");
        }
    }

    #[test]
    fn a_whole_url_names_the_host_too() {
        for (target, host, path) in [
            ("http://b:8080/ws?a=1", "b:8080", "/ws"),
            ("HTTPS://b?a=1", "b", "/"),
            ("http://b", "b", "/"),
            ("/ws?a=http://c", "a", "/ws"),
        ] {
            let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
            assert_eq!((head.header("host"), head.path()), (Some(host), path), "{target}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::parse(&bytes);
            let _ = Head::parse(&[b"GET /?".as_slice(), &bytes, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
            let _ = Head::parse(&[b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &bytes, b"\r\n\r\n"].concat());
        }

        #[test]
        fn a_head_is_the_same_however_much_comes_behind(
            target in "/[a-z/?=&%0-9+]{0,40}|http://[a-z@/.:]{0,20}|\\*|[ -~]{0,20}",
            headers in prop::collection::vec(
                ("(host|origin|content-length|transfer-encoding|upgrade|connection|x)", "[ -~\t]{0,20}|0|chunked"), 0..6,
            ),
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let text = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
            let alone = Head::parse(text.as_bytes());
            if let Ok(Some((head, length))) = &alone {
                prop_assert_eq!(*length, text.len());
                prop_assert!(head.header("host").is_some() && head.header("transfer-encoding").is_none());
                prop_assert!(head.header("content-length").is_none_or(|length| length == "0"));
            }
            let more = Head::parse(&[text.as_bytes(), &behind].concat());
            let outline = |parsed: Result<Option<(Head, usize)>, Response>| match parsed {
                Ok(parsed) => Ok(parsed.map(|(head, length)| (head.path, head.query, head.headers, length))),
                Err(response) => Err(response.status()),
            };
            prop_assert_eq!(outline(alone), outline(more));
        }
    }
}
