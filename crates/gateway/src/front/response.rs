//! Responses of the front: whole, small, and the last of their connection.

use std::fmt::Write;

use bytes::Bytes;
use tidegate_core::{Close, Reason, Refusal};
use tidegate_protocol::codes;

use crate::doors::Said;

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// HEAD: the length is said, the body is not sent.
    bodiless: bool,
    /// Why, where it is a refusal.
    reason: Option<Reason>,
}

impl Response {
    /// A response with a content type.
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.into(), bodiless: false, reason: None }
    }

    /// A sentence.
    pub(super) fn text(status: u16, sentence: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
    }

    /// A refusal, as the API would say it (RFC 9457).
    pub(super) fn refusal(refusal: &Refusal) -> Self {
        let status = codes::http_status(refusal.reason);
        let problem = serde_json::json!({
            "title": reason_phrase(status),
            "status": status,
            "detail": refusal.message,
            "code": codes::error_code(refusal.reason),
        });
        let mut response = Self::new(status, "application/problem+json", problem.to_string());
        response.reason = Some(refusal.reason);
        match refusal.reason {
            // RFC 9110 section 15.5.2 asks for it; Java's HTTP client with an Authenticator fails without.
            Reason::Unauthorized => response.with("WWW-Authenticate", "Bearer"),
            reason if reason.retry() => response.with("Retry-After", "1"),
            _ => response,
        }
    }

    /// With one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Without its body, as HEAD asks.
    pub(super) fn without_body(mut self) -> Self {
        self.bodiless = true;
        self
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.status != 204 {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len()); // RFC 9110 section 8.6
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        if !self.bodiless {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// What a bare door answers instead of opening.
pub(crate) fn refusal_response(refusal: &Refusal) -> Said {
    let close = match refusal.reason {
        Reason::Unauthorized => Close::Unauthorized,
        Reason::Forbidden => Close::Forbidden,
        Reason::Unavailable | Reason::Behind => Close::Overloaded,
        Reason::RateLimited => Close::RateLimited,
        Reason::Internal => Close::Internal,
        _ => Close::BadRequest,
    };
    // An event stream of another origin could not read why otherwise; a refusal is no secret.
    let response = Response::refusal(refusal).with("Access-Control-Allow-Origin", "*");
    Said::Instead(close, response.to_bytes().into())
}

pub(super) fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_204_says_no_length_and_an_answer_to_head_does() {
        let text = |response: Response| String::from_utf8(response.to_bytes()).unwrap();
        let nothing = text(Response::new(204, "text/plain", ""));
        assert!(!nothing.contains("Content-Length") && nothing.ends_with("close\r\n\r\n"), "{nothing}");
        let head = text(Response::text(404, "no").without_body());
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("close\r\n\r\n"), "{head}");
    }
}
