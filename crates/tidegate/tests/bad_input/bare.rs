//! The bare doors: they have no words but to end.

use std::io::Write;

use tidegate_testkit::Node;

use crate::row::exchange;
use crate::socket::{Socket, frame};
use crate::support::{BINARY, admin};

const CONFIG: &str = "[limits]\nevent = \"100B\"\nmessage = \"1KiB\"\n[namespaces.default]\npublish = \"anyone\"\n\
                      [namespaces.news]\npublish = \"nobody\"\n";

#[test]
fn what_a_plain_client_may_not_send_closes_it_with_why() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    for (what, channel, message, code) in [
        ("it may not publish", "news:1", frame(0x81, b"x"), 4003),
        ("an event that is too large", "a", frame(0x82, &[0; 101]), 1009),
        ("a message that is too large", "a", frame(0x82, &[0; 1025]), 1009),
        ("text that is no UTF-8", "a", frame(0x81, b"\xff"), 1007),
    ] {
        let mut socket = Socket::open(node.public_addr(), &format!("/plain?channel={channel}"), "");
        socket.send(&message);
        assert_eq!(socket.closed(), code, "{what}");
    }
    // Whatever a payload looks like, it is only a payload.
    let mut socket = Socket::open(node.public_addr(), "/plain?channel=a", "");
    for (first, payload) in [
        (0x81, &b""[..]),
        (0x81, br#"{"type":"connect","id":1}"#),
        (0x81, b"event: x\n\ndata: y\n\n"),
        (0x82, b"\xc1"),
        (0x82, b"\xc1\x98\x01\xa5event\xc0\xc0\xc0\xc0\xc0\xc4\x01x"),
        (0x82, b"\xff\x00"),
    ] {
        socket.send(&frame(first, payload));
        assert_eq!(socket.next(), Some((first, payload.to_vec())));
    }
}

#[test]
fn whoever_sends_into_an_event_stream_is_not_heard_and_cannot_forge_an_event() {
    let node = Node::builder(BINARY).config(CONFIG).start().expect("a node");
    let mut stream = std::net::TcpStream::connect(node.public_addr()).expect("the node listens");
    stream.set_read_timeout(Some(crate::support::PATIENCE)).expect("a socket");
    stream
        .write_all(
            b"GET /sse?channel=a HTTP/1.1\r\nHost: a\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n\x88\x80\0\0\0\0",
        )
        .expect("sent");
    let mut heard = String::new();
    let mut until = |words: &str| {
        while !heard.contains(words) {
            let mut piece = [0; 1024];
            let read = std::io::Read::read(&mut stream, &mut piece).expect("more");
            assert!(read > 0, "{heard}");
            heard.push_str(std::str::from_utf8(&piece[..read]).expect("ASCII"));
        }
        heard.clone()
    };
    until("retry: 2000\n\n");
    // Line ends within a payload would be events of their own.
    for data in
        [r#""a\n\ndata: forged\n\n""#, "{\"a\":\n\n\"data: forged\"\r\r}", r#""\r\nevent: forged\r\n""#]
    {
        assert_eq!(admin::publish(node.admin_addr(), "a", data).0, 200);
    }
    assert_eq!(admin::publish(node.admin_addr(), "a", r#""end""#).0, 200);
    let text = until("data: \"end\"\n\n");
    let body = text.split_once("\r\n\r\n").expect("a head").1;
    let lines: Vec<&str> = body.split('\n').filter(|line| !line.is_empty()).collect();
    assert!(lines.iter().all(|line| line.starts_with("data: ") || *line == "retry: 2000"), "{body:?}");
    assert_eq!(lines.len(), 5, "{body:?}");
    assert!(exchange(node.public_addr(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_some());
}
