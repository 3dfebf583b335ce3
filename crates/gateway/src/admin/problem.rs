//! Errors of the API: problem details (RFC 9457) with `code`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeStruct, Serializer};
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

/// As a body, or as a result among others.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut members = serializer.serialize_struct("Problem", 4)?;
        members.serialize_field("code", self.code)?;
        members.serialize_field("detail", &self.detail)?;
        members.serialize_field("status", &self.status)?;
        members.serialize_field("title", status.canonical_reason().unwrap_or_default())?;
        members.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut response = (status, serde_json::to_string(&self).unwrap_or_default()).into_response();
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
