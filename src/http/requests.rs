//! What is done for every request whatever its route: identifier, span, time for the body, figures.
//!
//! It must not know routes; it names them by their pattern. Start with [`observe`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::{Instrument as _, debug, error, warn};

use super::Limits;
use super::stream::{Expired, TimedBody};
use crate::clock::{Clock, Entropy};
use crate::traces;

/// Header that carries the identifier of a request (Twilio: API responses).
const REQUEST_ID: HeaderName = HeaderName::from_static("twilio-request-id");

/// Identifier of one request: `RQ` and 32 hexadecimal digits; in the answer's header and in every log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Layer for a router that is nested as a service: tells the listener which of its routes answered.
pub async fn name_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// Runs the rest of the stack within a span, and counts what came of it.
pub(super) async fn observe(State(limits): State<Limits>, mut request: Request, next: Next) -> Response {
    let began = Clock::system().instant();
    let id = RequestId(format!("RQ{}", Entropy.hex_128()));
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let span = traces::request_span(&id.0, &method, request.headers());
    request.extensions_mut().insert(id.clone());

    let mut response = if target_len(&request) > limits.target_bytes {
        StatusCode::URI_TOO_LONG.into_response()
    } else {
        // In a task of its own: a client that goes away does not leave its request half done, and a handler that fails
        // costs an answer, not the connection.
        let answered = tokio::spawn(answer(request, next, limits.body_time).instrument(span.clone())).await;
        answered.unwrap_or_else(|failure| {
            span.in_scope(|| error!(%failure, "the handler of a request failed"));
            metrics::counter!("taskrouter_invariant_violations_total").increment(1);
            internal_error()
        })
    };
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let path = response.extensions_mut().remove::<MatchedPath>().or(path);
    let route = path.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let seconds = began.elapsed().as_secs_f64();
    let code = response.status().as_u16();
    traces::answered(&span, &route, code);
    span.in_scope(|| {
        let duration_ms = began.elapsed().as_millis();
        if code >= 500 {
            warn!(route, code, duration_ms, "answered");
        } else {
            debug!(route, code, duration_ms, "answered");
        }
    });
    metrics::counter!("taskrouter_http_requests_total", "route" => route.clone(), "code" => code.to_string())
        .increment(1);
    metrics::histogram!("http_server_request_duration_seconds", "route" => route).record(seconds);
    response
}

/// Twilio's error JSON for a failure of ours, without a word about its cause.
fn internal_error() -> Response {
    let body = r#"{"code":20500,"message":"Internal server error","more_info":"https://www.twilio.com/docs/errors/20500","status":500}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
        .into_response()
}

async fn answer(request: Request, next: Next, body_time: Duration) -> Response {
    let expired = Expired::default();
    let request = request.map(|body| Body::new(TimedBody::new(body, body_time, expired.clone())));
    let response = next.run(request).await;
    if expired.is_set() {
        return (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")]).into_response();
    }
    response
}

fn target_len(request: &Request) -> usize {
    request.uri().path_and_query().map_or(0, |target| target.as_str().len())
}
