//! Pieces of JSON that all resources share: moments, versions, answers.
//!
//! Moments have whole seconds: a fraction makes some official libraries hand out the raw text. Start with [`date`].

use axum::http::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::routing::Timestamp;

/// Media type of every answer with a body.
pub(super) const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// `2026-02-03T04:05:06Z`
pub(super) fn date(at: Timestamp) -> Value {
    match jiff::Timestamp::from_second(at.unix_secs()) {
        Ok(moment) => Value::String(moment.to_string()),
        // Beyond the year 9999: no client can read it.
        Err(_) => Value::Null,
    }
}

/// The same, or `null`.
pub(super) fn optional_date(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, date)
}

/// `Tue, 03 Feb 2026 04:05:06 +0000`, the form of Twilio's 2010 API.
pub(super) fn rfc2822(at: Timestamp) -> Value {
    match jiff::Timestamp::from_second(at.unix_secs()) {
        Ok(moment) => Value::String(moment.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        Err(_) => Value::Null,
    }
}

/// A body with its status.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE_HEADER, CONTENT_TYPE)], body.to_string()).into_response()
}

/// A body of a resource that has versions.
pub(super) fn versioned(status: StatusCode, body: &Value, version: i64) -> Response {
    let mut response = answer(status, body);
    let tag = HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are allowed in a header");
    response.headers_mut().insert(ETAG, tag);
    response
}

/// The answer to a deletion.
pub(super) fn deleted() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
