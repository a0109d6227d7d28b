//! Repeats of requests: a POST that comes again with its token changes nothing and gets the first answer.
//!
//! The token is a header, and goes with the account, the path and the body of the request. Which change was carried out
//! is written by the workspace in the commit of the change, so a repeat is safe also when the server was killed before
//! it answered; then the answer is made anew from what the workspace replied. Requests without a token pay nothing.
//! Start with [`answer_repeats`].

mod turns;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts as _, Request, State as Extracted};
use axum::http::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::State;
use super::auth::Caller;
use super::error::ApiError;
use super::json::CONTENT_TYPE;
use super::workflows::BODY_LIMIT;
use crate::routing::{AccountSid, Reply, WorkspaceSid};
use crate::signature::sha256_hex;
use crate::store::{IDEMPOTENT_REQUESTS_KEPT, IdempotencyKey, IdempotentRequest, KeptAnswer};

pub(super) use turns::Turns;

/// Where the token is looked for, in this order.
pub(super) const HEADERS: [&str; 2] = ["I-Twilio-Idempotency-Token", "Idempotency-Key"];

/// Longest token, in bytes.
const TOKEN_MAX: usize = 255;

/// Longest answer that is kept where it can be made anew.
const ANSWER_MAX: usize = 16 * 1024;

/// How long a repeat waits for the first request to end.
const WAIT: Duration = Duration::from_secs(10);

/// Marks the answer to a repeat.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Ends of the paths whose POST changes nothing, or whose answer is a secret that is not to be kept.
const NOT_KEPT: &[&str] = &["/Workflows/DryRun", "/Workflows/Lint", "/TaskQueues/RealTimeStatistics", "/Tokens"];

/// One request with a token: what it is known by, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Once(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: IdempotencyKey,
    /// What was carried out before, if its answer is not kept.
    earlier: Option<IdempotentRequest>,
    reply: OnceLock<Reply>,
    /// The workspace that was made.
    made: OnceLock<WorkspaceSid>,
}

impl Once {
    fn new(key: IdempotencyKey, earlier: Option<IdempotentRequest>) -> Self {
        Self(Arc::new(Inner { key, earlier, reply: OnceLock::new(), made: OnceLock::new() }))
    }

    /// For the commit of what it changes.
    pub(super) fn key(&self) -> IdempotencyKey {
        self.0.key.clone()
    }

    /// What was replied when it was carried out before.
    pub(super) fn replied(&self) -> Option<Reply> {
        self.0.earlier.as_ref().map(|earlier| earlier.reply)
    }

    /// The workspace that it made before.
    pub(super) fn made(&self) -> Option<WorkspaceSid> {
        self.0.earlier.as_ref().map(|earlier| earlier.workspace)
    }

    /// It was carried out.
    pub(super) fn note(&self, reply: Reply) {
        // One request asks one change of a workspace; of several the first is the one that makes something.
        let _ = self.0.reply.set(reply);
    }

    /// It made a workspace.
    pub(super) fn note_workspace(&self, workspace: WorkspaceSid) {
        let _ = self.0.made.set(workspace);
        self.note(Reply::Done);
    }

    /// What was replied, now or before.
    fn reply(&self) -> Option<Reply> {
        self.0.reply.get().copied().or_else(|| self.replied())
    }
}

/// Carries out requests with a token once; all others pass.
pub(super) async fn answer_repeats(
    Extracted((state, turns)): Extracted<(State, Turns)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || NOT_KEPT.iter().any(|end| request.uri().path().ends_with(end)) {
        return next.run(request).await;
    }
    let outcome = match token(request.headers()) {
        Ok(None) => return next.run(request).await,
        Ok(Some(token)) => {
            let token = token.to_owned();
            carry_out(state, turns, &token, request, next).await
        }
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(ApiError::into_response)
}

/// The client's token, if there is one.
fn token(headers: &HeaderMap) -> Result<Option<&HeaderValue>, ApiError> {
    let Some((name, token)) = HEADERS.iter().find_map(|name| Some((name, headers.get(*name)?))) else {
        return Ok(None);
    };
    let is_printable = token.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    if (1..=TOKEN_MAX).contains(&token.len()) && is_printable {
        return Ok(Some(token));
    }
    Err(ApiError::invalid(format!("Invalid {name}: expected 1 to {TOKEN_MAX} printable ASCII characters")))
}

async fn carry_out(
    state: State,
    turns: Turns,
    token: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &state).await?;
    let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| ApiError::too_large(BODY_LIMIT))?;
    let key = key_of(caller.account, parts.uri.path(), token, &body);
    let turn = tokio::time::timeout(WAIT, turns.take(&key.request));
    let turn = turn.await.map_err(|_| ApiError::too_many("The first request with this token is still under way"))?;
    let since = state.clock.now().plus_ms(-IDEMPOTENT_REQUESTS_KEPT);
    let earlier = state.store.idempotent_request(&key.request, since).await?;
    if earlier.as_ref().is_some_and(|earlier| earlier.key.body != key.body) {
        return Err(ApiError::invalid("Invalid idempotency token: it came before, with another body"));
    }
    if let Some(answer) = earlier.as_ref().and_then(|earlier| earlier.answer.as_ref()) {
        return Ok(replay(answer));
    }
    let path_workspace = parts.uri.path().split('/').nth(2).and_then(|sid| sid.parse().ok());
    let once = Once::new(key, earlier);
    parts.extensions.insert(caller);
    parts.extensions.insert(once.clone());
    let request = Request::from_parts(parts, Body::from(body));
    // In a task of its own: when the client goes away, its turn must not end before the change has.
    let work = async move {
        let response = next.run(request).await;
        let response = keep(&state, &once, path_workspace, response).await;
        drop(turn);
        response
    };
    let response = tokio::spawn(work.instrument(tracing::Span::current())).await;
    response.unwrap_or_else(|_| Err(ApiError::internal()))
}

fn key_of(account: AccountSid, path: &str, token: &HeaderValue, body: &Bytes) -> IdempotencyKey {
    let account = account.to_string();
    // No path and no token has a zero in it.
    let request = [account.as_bytes(), b"POST", path.as_bytes(), token.as_bytes()].join(&0);
    IdempotencyKey { request: sha256_hex(&request), body: sha256_hex(body) }
}

/// Keeps a success before the client has it. What was refused may be tried again with the same token.
async fn keep(
    state: &State,
    once: &Once,
    path_workspace: Option<WorkspaceSid>,
    response: Response,
) -> Result<Response, ApiError> {
    if !response.status().is_success() {
        // What it was about has changed since, or is gone.
        let is_late = once.replied().is_some() && response.status().is_client_error();
        let gone = || ApiError::invalid("This request was carried out before; its answer cannot be given any more");
        return if is_late { Err(gone()) } else { Ok(response) };
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| ApiError::internal())?;
    let workspace = once.0.made.get().copied().or_else(|| once.made()).or(path_workspace);
    let text = std::str::from_utf8(&body).ok();
    if let (Some(workspace), Some(text)) = (workspace, text) {
        let answer = KeptAnswer {
            status: parts.status.as_u16(),
            etag: parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned),
            body: text.to_owned(),
        };
        let can_be_made_anew = once.reply().is_some();
        let request = IdempotentRequest {
            key: once.key(),
            workspace,
            reply: once.reply().unwrap_or(Reply::Done),
            answer: Some(answer).filter(|answer| !can_be_made_anew || answer.body.len() <= ANSWER_MAX),
            at: once.0.earlier.as_ref().map_or_else(|| state.clock.now(), |earlier| earlier.at),
        };
        if let Err(error) = state.store.keep_idempotent_request(request).await {
            // The change is on disk, so the client gets its answer all the same.
            tracing::error!(%error, "the answer to a request with an idempotency token could not be kept");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(answer: &KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body.clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
    if let Some(tag) = answer.etag.as_ref().and_then(|tag| HeaderValue::try_from(tag).ok()) {
        headers.insert(ETAG, tag);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&'static str, &str)]) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let found = token(&headers).map_err(|error| error.status.as_u16())?;
        Ok(found.map(|token| token.to_str().unwrap().to_owned()))
    }

    #[test]
    fn tokens_are_found_in_either_header_and_are_bounded() {
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[(HEADERS[1], "b")]), Ok(Some("b".to_owned())));
        assert_eq!(found(&[(HEADERS[1], "b"), (HEADERS[0], "a")]), Ok(Some("a".to_owned())));
        let longest = "x".repeat(TOKEN_MAX);
        assert_eq!(found(&[(HEADERS[0], &longest)]), Ok(Some(longest.clone())));
        for wrong in ["", &format!("{longest}x"), "ü"] {
            assert_eq!(found(&[(HEADERS[0], wrong)]), Err(400), "{wrong}");
        }
    }

    #[test]
    fn requests_are_the_same_only_with_the_same_account_path_and_token() {
        let accounts = ["AC00000000000000000000000000000001", "AC00000000000000000000000000000002"];
        let of = |account: usize, path: &str, token: &'static str| {
            key_of(accounts[account].parse().unwrap(), path, &HeaderValue::from_static(token), &Bytes::new()).request
        };
        assert_eq!(of(0, "/Workspaces", "a"), of(0, "/Workspaces", "a"));
        let others = [of(1, "/Workspaces", "a"), of(0, "/Workspaces/WS1/Tasks", "a"), of(0, "/Workspaces", "b")];
        assert!(!others.contains(&of(0, "/Workspaces", "a")));
    }
}
