//! The phone system's HTTP side: authentication, reading requests, and wording replies and refusals.
//!
//! Holds no state of calls; every request is one question to the core. Start with [`router`].

mod control;
mod form;
mod json;
mod leg;
mod media;
mod page;
mod read;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request as HttpRequest, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use self::form::Form;
use self::json::Shape;
use self::media::Format;
use super::core::{RecordingsOf, Refusal, Reply, Request};
use super::dialect::{Dialect, Spoken};
use super::driver::Message;
use super::faults::{Faults, Side};

const BODY_BYTES_MAX: usize = 256 * 1024;

/// What the handlers need.
pub(super) struct Api {
    pub(super) account_sid: String,
    pub(super) public_url: String,
    pub(super) auth_token: Arc<SecretString>,
    pub(super) mailbox: mpsc::Sender<Message>,
    pub(super) faults: Arc<Faults>,
    pub(super) spoken: Arc<Spoken>,
}

/// Twilio's REST below `/2010-04-01`, or Telnyx's below `/v2` where that is ordered, the control API below `/control`.
pub(super) fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let rest = || any(serve_rest).layer(middleware::from_fn_with_state(Arc::clone(&api), be_faulty));
    Router::new()
        .route("/2010-04-01/{*path}", rest())
        .route("/v2/texml/{*path}", rest())
        .route("/control/{*path}", any(serve_control))
        .merge(page::routes())
        .fallback(async || refuse(&Refusal::not_found("path")))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), authenticate))
        .with_state(api)
}

/// HTTP Basic with account SID and auth token (Twilio: requests to the REST API); the token alone below `/v2`.
async fn authenticate(State(api): State<Arc<Api>>, request: HttpRequest, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && is_from_elsewhere(request.headers()) {
        return refuse(&Refusal::new(403, 20403, "A page of another site must not change anything here"));
    }
    let is_telnyxs = request.uri().path().starts_with("/v2/");
    let is_known = if is_telnyxs { is_bearer(&api, request.headers()) } else { is_authentic(&api, request.headers()) };
    if !is_known {
        let dialect = if is_telnyxs { Dialect::Telnyx } else { Dialect::Twilio };
        let mut response = refuse_in(dialect, &Refusal::new(401, 20003, "Authenticate"));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Twilio API\""));
        return response;
    }
    next.run(request).await
}

/// Whether a browser sends this for a page of another site: it would add the credentials that it knows by itself.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.as_bytes();
        let named = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        named.is_none_or(|named| named != host)
    });
    site || origin
}

fn is_authentic(api: &Api, headers: &HeaderMap) -> bool {
    let token = api.auth_token.expose_secret();
    let given = credentials(headers, "Basic").and_then(|credentials| STANDARD.decode(credentials).ok());
    let expected = format!("{}:{token}", api.account_sid);
    !token.is_empty()
        && given.is_some_and(|given| subtle::ConstantTimeEq::ct_eq(given.as_slice(), expected.as_bytes()).into())
}

fn is_bearer(api: &Api, headers: &HeaderMap) -> bool {
    let token = api.auth_token.expose_secret();
    let given = credentials(headers, "Bearer");
    !token.is_empty()
        && given.is_some_and(|given| subtle::ConstantTimeEq::ct_eq(given.as_bytes(), token.as_bytes()).into())
}

fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let (given, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

/// Carries an ordered fault out.
async fn be_faulty(State(api): State<Arc<Api>>, request: HttpRequest, next: Next) -> Response {
    let Some(fault) = api.faults.next(Side::Api, request.method().as_str(), request.uri().path()) else {
        return next.run(request).await;
    };
    let Some(status) = fault.status else {
        // Carried out even when whoever asked has lost patience.
        let late = tokio::spawn(async move {
            tokio::time::sleep(fault.delay()).await;
            next.run(request).await
        });
        return late.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    tokio::time::sleep(fault.delay()).await;
    if fault.carried_out {
        next.run(request).await;
    }
    let code = fault.code.unwrap_or(match status {
        429 => 20429,
        500 => 20500,
        503 => 20503,
        _ => 20001,
    });
    let mut response = refuse_in(api.spoken.now(), &Refusal::new(status, code, "This fault was ordered"));
    if let Some(secs) = fault.retry_after {
        response.headers_mut().insert(RETRY_AFTER, secs.into());
    }
    response
}

async fn serve_rest(
    State(api): State<Arc<Api>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> Response {
    let segments = segments(uri.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let form =
        if method == Method::POST { Form::read(&body) } else { Form::read(uri.query().unwrap_or_default().as_bytes()) };
    let dialect = api.spoken.now();
    let result = async {
        let path = dialect.below(&segments, uri.path(), &api.account_sid);
        let path = path.ok_or_else(|| Refusal::not_found(uri.path()))?;
        let form = if method == Method::POST { form?.reworded(|pairs| dialect.read(path, pairs))? } else { form? };
        if method == Method::GET
            && let Some((sid, format)) = media::wanted(uri.path())
        {
            return api.media(sid, format).await;
        }
        if let Some(document) = form.text("Twiml")
            && api.faults.next(Side::Documents, "", document).is_some()
        {
            return Err(Refusal::bad(12200, "The document was refused by an ordered fault"));
        }
        let request = read::request(method.as_str(), path, &form)?;
        let (status, is_new_call) = (success(&request), matches!(request, Request::CreateCall(_)));
        let reply = api.ask(request).await?;
        let shape = Shape { account_sid: &api.account_sid, public_url: &api.public_url, form: &form, path: uri.path() };
        Ok(respond(status, shape.reply(&reply).map(|answer| dialect.answer(is_new_call, answer))))
    };
    result.await.unwrap_or_else(|refusal| refuse_in(dialect, &refusal))
}

async fn serve_control(
    State(api): State<Arc<Api>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    body: Bytes,
) -> Response {
    let segments = segments(uri.path());
    let segments: Vec<&str> = segments.iter().map(String::as_str).skip(1).collect();
    let result = async {
        if let ["faults"] = segments.as_slice() {
            return control::faults(&api.faults, method.as_str(), &body);
        }
        if let ["dialect"] = segments.as_slice() {
            return control::dialect(&api.spoken, method.as_str(), &body);
        }
        let form = Form::read(uri.query().unwrap_or_default().as_bytes())?;
        let request = control::request(method.as_str(), &segments, &form, &body)?;
        let status = success(&request);
        let reply = api.ask(request).await?;
        let shape = Shape { account_sid: &api.account_sid, public_url: &api.public_url, form: &form, path: uri.path() };
        Ok(respond(status, control::reply(&reply).or_else(|| shape.reply(&reply))))
    };
    result.await.unwrap_or_else(|refusal| refuse(&refusal))
}

impl Api {
    /// The media of a recording; one that still runs has none yet.
    async fn media(&self, sid: &str, format: Format) -> Result<Response, Refusal> {
        let of = RecordingsOf::Anything { call: None, room: None };
        match self.ask(Request::GetRecording { of, sid: sid.to_owned() }).await? {
            Reply::Recording(recording) => {
                let secs = recording.secs.ok_or_else(|| Refusal::not_found(sid))?;
                Ok(media::media(format, recording.channels, u32::try_from(secs).unwrap_or(0)))
            }
            _ => Err(Refusal::not_found(sid)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, Refusal> {
        let gone = || Refusal::new(503, 20503, "The phone system is shutting down");
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Message::Ask { request: Box::new(request), reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Decoded segments, the last one without `.json`.
fn segments(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

const fn success(request: &Request) -> StatusCode {
    match request {
        Request::CreateCall(_)
        | Request::AddParticipant { .. }
        | Request::CreateQueue { .. }
        | Request::StartRecording { .. }
        | Request::PlaceInbound(_) => StatusCode::CREATED,
        Request::DeleteCall { .. }
        | Request::RemoveParticipant { .. }
        | Request::DeleteQueue { .. }
        | Request::DeleteRecording { .. }
        | Request::PutBehaviour { .. } => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    }
}

fn respond(status: StatusCode, body: Option<Value>) -> Response {
    match body {
        Some(body) => (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response(),
        None => status.into_response(),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    refuse_in(Dialect::Twilio, refusal)
}

fn refuse_in(dialect: Dialect, refusal: &Refusal) -> Response {
    let (status, body) = dialect.refusal(refusal);
    respond(status, Some(body))
}
