//! Requests of the first SDK, TaskRouter.js v1 (agent-sdk.md 8): REST with a capability token, in a JSON envelope.
//!
//! The envelope names an absolute URL of REST. What the token's policies allow is answered by the same handlers as REST's
//! own requests; they are told the token's account in the place of credentials. Nothing may be allowed or changed here in
//! any other way. Start with [`ask`].

use axum::Extension;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use super::envelope::{self, Params};
use super::{Method, read_method, rights, verified};
use crate::api::State;
use crate::api::auth::{Bridged, charge};
use crate::api::error::ApiError;
use crate::api::form::Parameters;
use crate::api::json;
use crate::api::rates::Payer;
use crate::notify::channel::{Channel, Dialect};
use crate::notify::token::Grant;
use crate::routing::{ReservationSid, WorkerSid};

/// Where the SDK looks for TaskRouter when it is not told otherwise.
const TWILIO: &str = "taskrouter.twilio.com";

/// Most bytes of an answer. It is one of our own, of a page of at most 1,000 entries.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The routes of REST, below `/v1`.
#[derive(Debug, Clone)]
pub(in crate::api) struct Rest(pub(in crate::api) Router);

/// `POST /v1/wschannels/{AccountSid}/{Channel}`
pub(in crate::api) async fn ask(
    Extract(state): Extract<State>,
    Extension(Rest(rest)): Extension<Rest>,
    path: FirstPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let envelope = envelope::read(body).await?;
    let grant = verified(&state, &envelope.token).await?;
    charge(&state, Payer::Agent(grant.workspace, grant.worker), "/v1/wschannels/{AccountSid}/{Channel}")?;
    let channel = channel(&grant, path)?;
    if !rights::may_use(&grant, Method::Post, channel) {
        return Err(ApiError::forbidden("The token does not permit requests"));
    }
    let method = read_method(envelope.method.as_deref())?;
    let base = state.public_url.base(&headers);
    let Address { segments, query } = address(&envelope.url, &base)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let shown = format!("/{}", segments.join("/"));
    let ["Workspaces", workspace, below @ ..] = segments.as_slice() else { return Err(ApiError::not_found(&shown)) };
    if *workspace != grant.workspace.to_string() {
        return Err(ApiError::forbidden("The token is for another workspace"));
    }
    let parameters = parameters(method, query, envelope.params.unwrap_or_default());
    rights::check(&grant, method, below, &parameters, state.locked_attributes.of(grant.workspace))?;
    if matches!(below, ["Tokens"] | ["Events", "Stream"]) {
        // The one would give rights that the token does not have, the other never ends.
        return Err(ApiError::forbidden("This is not served to agents' browsers"));
    }
    let request = rest_request(&grant, method, &shown, &parameters, &headers)?;
    let Ok(answer) = rest.oneshot(request).await;
    let answer = wrapped(answer, envelope.event_type.as_deref()).await?;
    if let (Method::Get, ["Workers", worker, "Reservations"], Channel::Worker(own)) = (method, below, channel)
        && worker.parse() == Ok(own)
        && let Some(payload) = &answer.payload
    {
        note_reservations(&state, own, payload);
    }
    Ok(answer.response)
}

/// Account and channel of the path.
pub(super) type FirstPath = Result<Path<(String, String)>, PathRejection>;

/// The channel of the path, which has to be the token's.
pub(super) fn channel(grant: &Grant, path: FirstPath) -> Result<Channel, ApiError> {
    // Bytes that are no text.
    let Path((account, channel)) = path.map_err(|_| ApiError::not_found("/wschannels"))?;
    let own = grant.channel.ok_or_else(|| ApiError::forbidden("Expected a capability token"))?;
    if account.parse() != Ok(grant.account) {
        return Err(ApiError::forbidden("The token is for another account"));
    }
    if channel.parse() != Ok(own) {
        return Err(ApiError::forbidden("The token is for another channel"));
    }
    Ok(own)
}

/// What REST is asked for.
struct Address {
    /// Of the path below `/v1`.
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

/// Reads an address of TaskRouter at Twilio, or of this server's at `base`.
fn address(text: &str, base: &str) -> Result<Address, ApiError> {
    let wrong = || ApiError::invalid(format!("Invalid url: expected one that begins with https://{TWILIO}/v1/"));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let ours = Url::parse(base).ok();
    // A proxy may end TLS, so the scheme says nothing.
    let is_ours = ours.is_some_and(|ours| url.host() == ours.host() && url.port() == ours.port());
    let is_twilio = url.scheme() == "https" && url.host_str() == Some(TWILIO) && url.port().is_none();
    if !(is_ours && matches!(url.scheme(), "http" | "https") || is_twilio) {
        return Err(wrong());
    }
    let mut segments = url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty());
    if segments.next() != Some("v1") {
        return Err(wrong());
    }
    let segments = segments.map(str::to_owned).collect();
    Ok(Address { segments, query: url.query_pairs().into_owned().collect() })
}

/// Those of the URL, such as the ones of a next page, and those of the envelope. A form is all in the envelope.
fn parameters(method: Method, query: Vec<(String, String)>, params: Params) -> Parameters {
    let mut all = if method == Method::Post { Vec::new() } else { query };
    all.extend(params.into_pairs());
    Parameters::of_pairs(all)
}

/// The request that REST would get from an application.
fn rest_request(
    grant: &Grant,
    method: Method,
    path: &str,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Request<Body>, ApiError> {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters.iter()).finish();
    let (uri, body) = match method {
        Method::Post => (path.to_owned(), Body::from(encoded)),
        Method::Get | Method::Delete if encoded.is_empty() => (path.to_owned(), Body::empty()),
        Method::Get | Method::Delete => (format!("{path}?{encoded}"), Body::empty()),
    };
    let mut request = Request::builder().method(method.as_str()).uri(uri);
    if method == Method::Post {
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    // URLs in the answer begin where this request was sent to.
    for name in [HOST.as_str(), "x-forwarded-host", "x-forwarded-proto"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let request = request.extension(Bridged { account: grant.account });
    request.body(body).map_err(|_| ApiError::invalid("Invalid url: expected one of REST"))
}

/// An answer in the envelope.
struct Wrapped {
    response: Response,
    /// What REST answered, if it is a success.
    payload: Option<String>,
}

/// The SDK takes nothing but 200 for a success; errors stay as they are.
async fn wrapped(answer: Response, event_type: Option<&str>) -> Result<Wrapped, ApiError> {
    if !answer.status().is_success() {
        return Ok(Wrapped { response: answer, payload: None });
    }
    let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.map_err(|_| ApiError::internal())?;
    // Deletions have no body.
    let payload = if bytes.is_empty() { "null".into() } else { String::from_utf8_lossy(&bytes).into_owned() };
    // The answer is JSON already: taking it apart would be for nothing.
    let body = match event_type {
        Some(event_type) => format!(r#"{{"event_type":{},"payload":{payload}}}"#, Value::from(event_type)),
        None => format!(r#"{{"payload":{payload}}}"#),
    };
    let response = (StatusCode::OK, [(CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response();
    Ok(Wrapped { response, payload: Some(payload) })
}

/// The browser announces the pending ones of this list by itself.
fn note_reservations(state: &State, worker: WorkerSid, payload: &str) {
    let Ok(page) = serde_json::from_str::<Value>(payload) else { return };
    let listed = page["reservations"].as_array().into_iter().flatten();
    let pending = listed.filter(|row| row["reservation_status"] == "pending");
    let pending: Vec<ReservationSid> = pending.filter_map(|row| row["sid"].as_str()?.parse().ok()).collect();
    state.hub.reservations_were_read(worker, Dialect::First, &pending);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_twilios_or_ours() {
        let check = |text: &str, base: &str, expected: Option<&str>| {
            let found = address(text, base).ok().map(|address| address.segments.join("/"));
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        let (base, local) = ("https://calls.example", "http://127.0.0.1:8080");
        for (text, base, expected) in [
            ("https://taskrouter.twilio.com/v1/Workspaces/WS1/", base, Some("Workspaces/WS1")),
            ("https://taskrouter.twilio.com/v1//Workspaces?Page=1#x", base, Some("Workspaces")),
            ("https://taskrouter.twilio.com/v1/Workspaces/WS1/../WS2", base, Some("Workspaces/WS2")),
            ("https://taskrouter.twilio.com/v1/Workspaces/%2e%2e/WS2", base, Some("WS2")),
            ("https://taskrouter.twilio.com/v1/a%2Fb", base, Some("a%2Fb")),
            ("https://calls.example/v1/Workspaces", base, Some("Workspaces")),
            ("http://calls.example/v1/Workspaces", base, Some("Workspaces")),
            ("ftp://calls.example/v1/Workspaces", base, None),
            ("http://127.0.0.1:8080/v1/Workspaces", local, Some("Workspaces")),
            ("http://127.0.0.1:8081/v1/Workspaces", local, None),
            ("http://taskrouter.twilio.com/v1/Workspaces", base, None),
            ("https://taskrouter.twilio.com.example/v1/Workspaces", base, None),
            ("https://calls.example@evil.example/v1/Workspaces", base, None),
            ("https://taskrouter.twilio.com/2010-04-01/Accounts", base, None),
            ("https://taskrouter.twilio.com/v1/../2010-04-01/Accounts", base, None),
            ("Workspaces/WS1", base, None),
            ("", base, None),
        ] {
            check(text, base, expected);
        }
    }

    #[test]
    fn parameters_of_a_form_are_all_in_the_envelope() {
        let query = || vec![("PageSize".to_owned(), "2".to_owned())];
        let params = r#"{"Available":true,"Priority":3,"Attributes":{"z":1,"a":2},"None":null}"#;
        let read = |method| parameters(method, query(), serde_json::from_str(params).unwrap());
        assert_eq!(read(Method::Get).text("PageSize"), Some("2"));
        let form = read(Method::Post);
        assert_eq!(form.text("PageSize"), None);
        assert_eq!(form.text("Available"), Some("true"));
        assert_eq!(form.text("Priority"), Some("3"));
        assert_eq!(form.text("Attributes"), Some(r#"{"z":1,"a":2}"#));
        assert_eq!(form.text("None"), None);
    }
}
