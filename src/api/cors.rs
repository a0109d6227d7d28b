//! Lets browsers call the API from pages of other hosts, as Twilio does.
//!
//! Credentials travel in the `Authorization` header of each call, never in cookies, so any origin may ask. Start with
//! [`allow_browsers`].

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

const HEADERS: [(HeaderName, &str); 6] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Authorization, Content-Type, I-Twilio-Idempotency-Token, Idempotency-Key, If-Match, If-Modified-Since, \
         If-None-Match, If-Unmodified-Since, apiVersion, clientVersion",
    ),
    (ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Idempotent-Replayed"),
    (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    (ACCESS_CONTROL_MAX_AGE, "86400"),
];

/// Answers preflight requests and adds the headers to every answer.
pub(super) async fn allow_browsers(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
