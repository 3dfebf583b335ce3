//! The admin port: whatever comes, a problem with a code, and the next request is answered.

use std::net::SocketAddr;

use serde_json::Value;
use tidegate_testkit::Node;

use crate::row::{exchange, status};
use crate::support::{BINARY, admin, say};

/// A request, the status and the `code` of the problem; no code where hyper answers, which has no bodies.
type Row = (&'static str, Vec<u8>, u16, &'static str);

const CONFIG: &str = "[limits]\nevent = \"1KiB\"\n[namespaces.log]\nhistory = {}\n";

fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn publish(body: &str) -> Vec<u8> {
    request("POST /api/v1/publish", "", body.as_bytes())
}

fn post_to(path: &str, body: &str) -> Vec<u8> {
    request(&format!("POST /api/v1/{path}"), "", body.as_bytes())
}

pub(crate) fn rows() -> Vec<Row> {
    let event = r#"{"channel":"a","data":1}"#;
    let raw = |head: &str| format!("{head}\r\n\r\n{event}").into_bytes();
    let nested =
        |levels: usize| format!(r#"{{"channel":"a","data":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let post = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close";
    vec![
        // Bodies.
        ("an event", publish(event), 200, ""),
        ("no body", publish(""), 400, "bad_request"),
        ("no JSON", publish("hello"), 400, "bad_request"),
        ("half a body", publish(r#"{"channel":"a","data":"#), 400, "bad_request"),
        ("two bodies", publish(&event.repeat(2)), 400, "bad_request"),
        ("a list", publish(r#"["a",1,null]"#), 400, "bad_request"),
        ("a BOM", publish(&format!("\u{feff}{event}")), 400, "bad_request"),
        (
            "no UTF-8",
            request("POST /api/v1/publish", "", b"{\"channel\":\"\xff\",\"data\":1}"),
            400,
            "bad_request",
        ),
        ("half a surrogate", publish(r#"{"channel":"\ud800","data":1}"#), 400, "bad_request"),
        ("an unknown field", publish(r#"{"channel":"a","data":1,"kye":"x"}"#), 400, "bad_request"),
        (
            "an unknown field of 1,000 bytes",
            publish(&format!(r#"{{"channel":"a","{}":1}}"#, "x".repeat(1000))),
            400,
            "bad_request",
        ),
        ("a field twice", publish(r#"{"channel":"a","channel":"b","data":1}"#), 400, "bad_request"),
        ("no channel", publish(r#"{"data":1}"#), 400, "bad_request"),
        ("a channel that is a number", publish(r#"{"channel":7,"data":1}"#), 400, "bad_request"),
        ("no data", publish(r#"{"channel":"a"}"#), 400, "bad_request"),
        ("data twice over", publish(r#"{"channel":"a","data":1,"data_base64":"AA=="}"#), 400, "bad_request"),
        ("no base64", publish(r#"{"channel":"a","data_base64":"AA="}"#), 400, "bad_request"),
        ("data of 128 levels", publish(&nested(128)), 200, ""),
        ("data of 129 levels", publish(&nested(129)), 400, "bad_request"),
        ("data of 500 levels", publish(&nested(500)), 400, "bad_request"),
        (
            "30,000 levels that never end",
            publish(&format!(r#"{{"channel":"a","data":{}"#, "[".repeat(30_000))),
            400,
            "bad_request",
        ),
        (
            "30,000 levels in an unknown field",
            publish(&format!(r#"{{"x":{}"#, "[".repeat(30_000))),
            400,
            "bad_request",
        ),
        ("null", publish(r#"{"channel":"a","data":null}"#), 200, ""),
        ("an empty channel", publish(r#"{"channel":"","data":1}"#), 400, "bad_channel"),
        ("a channel with a space", publish(r#"{"channel":"a b","data":1}"#), 400, "bad_channel"),
        ("a channel with braces", publish(r#"{"channel":"tg:{a}","data":1}"#), 400, "bad_channel"),
        ("a channel of Tidegate's own", publish(r#"{"channel":"~a","data":1}"#), 400, "bad_channel"),
        (
            "a channel of 256 bytes",
            publish(&format!(r#"{{"channel":"{}","data":1}}"#, "x".repeat(256))),
            400,
            "bad_channel",
        ),
        (
            "1 KiB and a byte",
            publish(&format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(1023))),
            413,
            "too_large",
        ),
        (
            "a body of 1 MiB",
            publish(&format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(1 << 20))),
            413,
            "too_large",
        ),
        (
            "another content type",
            request("POST /api/v1/publish", "Content-Type: text/html\r\n", event.as_bytes()),
            200,
            "",
        ),
        // Keys.
        ("a key", request("POST /api/v1/publish", "Idempotency-Key: a\r\n", event.as_bytes()), 200, ""),
        (
            "an empty key",
            request("POST /api/v1/publish", "Idempotency-Key:\r\n", event.as_bytes()),
            400,
            "bad_request",
        ),
        (
            "a key of 129 bytes",
            request(
                "POST /api/v1/publish",
                &format!("Idempotency-Key: {}\r\n", "x".repeat(129)),
                event.as_bytes(),
            ),
            400,
            "bad_request",
        ),
        (
            "a key with a space",
            request("POST /api/v1/publish", "Idempotency-Key: a b\r\n", event.as_bytes()),
            400,
            "bad_request",
        ),
        (
            "two keys of an event",
            request("POST /api/v1/publish", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n", event.as_bytes()),
            400,
            "bad_request",
        ),
        // Many at once.
        ("a broadcast", post_to("broadcast", r#"{"channels":["a","~b"],"data":1}"#), 200, ""),
        ("a broadcast to nobody", post_to("broadcast", r#"{"channels":[],"data":1}"#), 400, "bad_request"),
        (
            "a broadcast to 1,001 channels",
            post_to("broadcast", &format!(r#"{{"channels":["a"{}],"data":1}}"#, r#","a""#.repeat(1000))),
            400,
            "bad_request",
        ),
        ("a broadcast without data", post_to("broadcast", r#"{"channels":["a"]}"#), 400, "bad_request"),
        ("a broadcast to a word", post_to("broadcast", r#"{"channels":"a","data":1}"#), 400, "bad_request"),
        ("a batch", post_to("batch", &format!(r#"{{"events":[{event}]}}"#)), 200, ""),
        ("an empty batch", post_to("batch", r#"{"events":[]}"#), 400, "bad_request"),
        (
            "a batch of 1,001",
            post_to("batch", &format!(r#"{{"events":[{event}{}]}}"#, format!(",{event}").repeat(1000))),
            400,
            "bad_request",
        ),
        ("a batch of lists", post_to("batch", r#"{"events":[["a",1]]}"#), 400, "bad_request"),
        (
            "an unknown field in a batch",
            post_to("batch", r#"{"events":[{"channel":"a","data":1,"kye":"x"}]}"#),
            400,
            "bad_request",
        ),
        (
            "one key for a batch",
            request(
                "POST /api/v1/batch",
                "Idempotency-Key: a\r\n",
                format!(r#"{{"events":[{event}]}}"#).as_bytes(),
            ),
            400,
            "bad_request",
        ),
        (
            "a batch of 5 MiB",
            post_to("batch", &format!(r#"{{"events":["{}"]}}"#, "x".repeat(5 << 20))),
            413,
            "too_large",
        ),
        // Histories.
        ("a history", request("GET /api/v1/channels/log:a/history", "", b""), 200, ""),
        ("no history", request("GET /api/v1/channels/a/history", "", b""), 400, "bad_request"),
        ("a history of none", request("GET /api/v1/channels/a%20b/history", "", b""), 400, "bad_channel"),
        ("a history of no UTF-8", request("GET /api/v1/channels/%ff/history", "", b""), 400, "bad_request"),
        ("a limit of 0", request("GET /api/v1/channels/log:a/history?limit=0", "", b""), 400, "bad_request"),
        (
            "a limit of 1,001",
            request("GET /api/v1/channels/log:a/history?limit=1001", "", b""),
            400,
            "bad_request",
        ),
        ("no position", request("GET /api/v1/channels/log:a/history?since=7", "", b""), 400, "bad_request"),
        (
            "an unknown parameter",
            request("GET /api/v1/channels/log:a/history?last=7", "", b""),
            400,
            "bad_request",
        ),
        ("a history to post to", post_to("channels/log:a/history", ""), 405, "bad_request"),
        // Paths and methods.
        ("nothing there", request("GET /nowhere", "", b""), 404, "not_found"),
        ("nothing there in the API", request("GET /api/v1/nowhere", "", b""), 404, "not_found"),
        ("up and away", request("GET /../etc/passwd", "", b""), 404, "not_found"),
        ("no method of this path", request("GET /api/v1/publish", "", b""), 405, "bad_request"),
        ("no method of that path", request("DELETE /api/v1/channels", "", b""), 405, "bad_request"),
        ("no method of health", request("POST /health/ready", "", b""), 405, "bad_request"),
        ("a method that there is not", request("DANCE /metrics", "", b""), 405, "bad_request"),
        // Web pages and rebound names.
        (
            "a page",
            request("POST /api/v1/publish", "Origin: http://localhost\r\n", event.as_bytes()),
            403,
            "forbidden",
        ),
        ("another host", raw(&post.replace("localhost", "evil.example")), 403, "forbidden"),
        // What two readers could understand in two ways.
        ("two Hosts", request("GET /metrics", "Host: localhost\r\n", b""), 400, "bad_request"),
        ("no Host", b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), 400, "bad_request"),
        (
            "two keys",
            request("GET /api/v1/channels", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", b""),
            400,
            "bad_request",
        ),
        ("two Content-Lengths", raw(&format!("{post}\r\nContent-Length: 24\r\nContent-Length: 5")), 400, ""),
        ("a Content-Length of -1", raw(&format!("{post}\r\nContent-Length: -1")), 400, ""),
        ("a Content-Length of +24", raw(&format!("{post}\r\nContent-Length: +24")), 400, ""),
        ("an unknown encoding", raw(&format!("{post}\r\nTransfer-Encoding: gzip")), 400, ""),
        ("chunks, then something else", raw(&format!("{post}\r\nTransfer-Encoding: chunked, gzip")), 400, ""),
        (
            "chunks of HTTP/1.0",
            raw(&format!("{post}\r\nTransfer-Encoding: chunked").replace("1.1", "1.0")),
            400,
            "",
        ),
        ("no chunk at all", raw(&format!("{post}\r\nTransfer-Encoding: chunked")), 400, "bad_request"),
        (
            "a chunk of 2^64",
            [
                raw(&format!("{post}\r\nTransfer-Encoding: chunked"))
                    .split_last_chunk::<24>()
                    .expect("long")
                    .0,
                b"fffffffffffffffff\r\n",
            ]
            .concat(),
            400,
            "bad_request",
        ),
        ("a folded header", raw(&format!("{post}\r\nX: a\r\n b")), 400, ""),
        ("a space before the colon", raw(&format!("{post}\r\nContent-Length : 24")), 400, ""),
        ("NUL in a header", raw(&format!("{post}\r\nX: a\0b")), 400, ""),
        ("HTTP/2's first words", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 0, ""),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400, ""),
        (
            "a head of 600 KiB",
            request("GET /metrics", &format!("X: {}\r\n", "x".repeat(600 << 10)), b""),
            431,
            "",
        ),
        ("101 headers", request("GET /metrics", &"A: b\r\n".repeat(101), b""), 431, ""),
    ]
}

/// Sends each row. Returns a line for each whose status, code or form differs.
pub(crate) fn faults(address: SocketAddr, rows: &[Row]) -> Vec<String> {
    let fault = |(what, request, expected, code): &Row| {
        let answer = exchange(address, request).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let problem: Value = serde_json::from_str(body).unwrap_or_default();
        let whole = match (*expected, *code) {
            (200, _) => true,
            (_, "") => body.is_empty(),
            (status, code) => {
                head.to_ascii_lowercase().contains("content-type: application/problem+json")
                    && problem["status"] == status
                    && problem["code"] == code
                    && ["title", "detail"]
                        .iter()
                        .all(|name| problem[name].as_str().is_some_and(|t| !t.is_empty()))
                    && body.len() < 1000
            }
        };
        let given = status(&answer);
        (given != *expected || !whole)
            .then(|| format!("{what}: {given} instead of {expected} {code}: {text}"))
    };
    rows.iter().filter_map(fault).collect()
}

#[test]
fn whatever_comes_is_answered_with_a_problem() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let rows = rows();
    let found = faults(node.admin_addr(), &rows);
    assert!(found.is_empty(), "{found:#?}");
    let wrong: Vec<Row> =
        rows.iter().map(|(what, bytes, status, _)| (*what, bytes.clone(), *status, "internal")).collect();
    let caught = faults(node.admin_addr(), &wrong).len();
    let refused = rows.iter().filter(|(_, _, status, _)| *status != 200).count();
    assert_eq!(caught, refused, "the control: all but the good ones");
    say(&format!(
        "bad requests to the admin port: {} rows answered as documented; control, other codes expected: all found: {}",
        rows.len(),
        caught == refused
    ));
    assert_eq!(admin::publish(node.admin_addr(), "a", "1").0, 200);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn chunks_beside_a_length_are_answered_once_and_closed() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let event = r#"{"channel":"a","data":1}"#;
    let smuggled = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // A proxy that goes by the length would see one request; what stands behind the chunks is not a second one.
    let chunks = format!("{:x}\r\n{event}\r\n0\r\n\r\n{smuggled}", event.len());
    for headers in [
        "Content-Length: 200\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let request =
            format!("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{chunks}");
        let answer = exchange(node.admin_addr(), request.as_bytes()).expect("it closes");
        let text = String::from_utf8_lossy(&answer);
        assert_eq!((status(&answer), text.matches("HTTP/1.1 ").count()), (200, 1), "{headers}: {text}");
    }
}
