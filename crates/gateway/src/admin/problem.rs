//! Errors of the API: problem details (RFC 9457) with `code`.

use axum::response::{IntoResponse, Response};
use tidegate_core::Refusal;
use tidegate_protocol::codes;

/// Characters of a `detail`.
const MAX_DETAIL: usize = 500;

/// One problem.
#[derive(Debug)]
pub(super) struct Problem {
    status: u16,
    code: &'static str,
    detail: String,
    retry: bool,
}

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: cut(detail.into()), retry: false }
    }
}

/// A parser's words may repeat a value of any length.
fn cut(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
        detail.truncate(end);
    }
    detail
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: codes::http_status(refusal.reason),
            code: codes::error_code(refusal.reason),
            detail: cut(refusal.message),
            retry: refusal.reason.retry(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.status).unwrap_or_default();
        let body = serde_json::json!({
            "title": status.canonical_reason().unwrap_or_default(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        });
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert("content-type", axum::http::HeaderValue::from_static("application/problem+json"));
        if self.status == 401 {
            headers.insert("www-authenticate", axum::http::HeaderValue::from_static("Bearer"));
        }
        if self.retry {
            headers.insert("retry-after", axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
