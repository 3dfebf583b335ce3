//! Where the scripts play: one node that lets nobody in without a token, and Alice, who has one.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tidegate_testkit::Node;

use super::support::{BINARY, admin};

const SECRET: &str = "a secret of the stock client tests";

/// Pings often, so that a script sees some; drains quickly. `room` is open to who was granted it, `closed` to no publisher.
pub(crate) const CONFIG: &str = r#"
[server]
ping = "1s"
pong_timeout = "3s"
drain = "1s"
[auth]
anonymous = false
hmac_secret = "a secret of the stock client tests"
[namespaces.room]
subscribe = "granted"
publish = "granted"
[namespaces.closed]
publish = "nobody"
"#;

/// A node and a token for it.
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) token: String,
}

impl Place {
    /// With `from` in [`CONFIG`] replaced.
    pub(crate) fn with(from: &str, to: &str) -> Self {
        assert!(CONFIG.contains(from), "{from}");
        let node = Node::builder(BINARY).config(&CONFIG.replace(from, to)).env("TIDEGATE_LOG", "debug");
        let grants = json!({ "subscribe": ["room:*"], "publish": ["room:*"] });
        Self { node: node.start().expect("a node"), token: token(&grants) }
    }

    pub(crate) fn open() -> Self {
        Self::with("", "")
    }

    /// As a backend does, over HTTP. `payload` is `"data":…` or `"data_base64":…`.
    pub(crate) fn publish(&self, channel: &str, payload: &str) {
        let body = format!(r#"{{"channel":"{channel}",{payload}}}"#);
        let request = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, answer) = admin::ask(self.node.admin_addr(), &request).expect("an answer");
        assert_eq!(status, 200, "{body}: {answer}");
    }
}

/// A token of Alice's with these grants, good for an hour.
pub(crate) fn token(grants: &Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let claims =
        json!({ "sub": "alice", "exp": (now + Duration::from_secs(3600)).as_secs(), "grants": grants });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
}
