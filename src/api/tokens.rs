//! Tokens for agents' browsers, for development and for applications without an official library.
//!
//! Nothing of it is Twilio's. A token is shown once and kept nowhere. Start with [`create`].

use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::auth::Login;
use super::error::ApiError;
use super::form::{Form, Parameters};
use super::json::{answer, date};
use super::scope::Scope;
use crate::notify::token::{LIFETIME_SECS_MAX, NewAccessToken, NewCapabilityToken, Role, mint, mint_capability};
use crate::routing::{ApiKeySid, Timestamp, WorkerSid};
use crate::store::ApiKey;
use crate::store::pages::{Seek, Span};
use crate::store::views::WorkerView;

/// Kinds of tokens: of the present SDK and of the first one.
pub(super) const KINDS: [&str; 2] = ["access", "capability"];
/// Roles of access tokens.
pub(super) const ROLES: [&str; 3] = ["worker", "supervisor", "admin"];
/// Life of a token that is not told otherwise, in seconds.
const LIFETIME_SECS: i64 = 3_600;

pub(super) async fn create(login: Login, scope: Scope, form: Form) -> Result<Response, ApiError> {
    let lifetime_secs = form.integer("Lifetime", 1..=LIFETIME_SECS_MAX)?.unwrap_or(LIFETIME_SECS);
    let is_capability = form.word("Kind", &KINDS)? == Some(KINDS[1]);
    let role = match form.word("Role", &ROLES)? {
        Some("supervisor") => Role::Supervisor,
        Some("admin") => Role::Admin,
        _ => Role::Worker,
    };
    let worker = worker(&scope, &form).await?;
    let now = scope.state.clock.now();
    let (token, shown_role) = if is_capability {
        (capability(&scope, login, &worker, lifetime_secs, now).await?, None)
    } else {
        let key = key(&scope, login, &form).await?;
        let new = NewAccessToken {
            key_sid: key.sid.to_string(),
            account: scope.place.account,
            workspace: scope.sid(),
            worker: worker.sid.parse().ok(),
            role,
            identity: worker.friendly_name.clone(),
            lifetime_secs,
        };
        (mint(&new, key.secret.expose_secret().as_bytes(), now), Some(role.as_str()))
    };
    let body = json!({
        "account_sid": scope.place.account,
        "workspace_sid": scope.place.workspace,
        "worker_sid": worker.sid,
        "kind": if is_capability { KINDS[1] } else { KINDS[0] },
        "role": shown_role,
        "token": token,
        "date_expires": date(now.plus_ms(lifetime_secs * 1_000)),
    });
    Ok(answer(StatusCode::CREATED, &body))
}

/// The worker that the token is for; a foreign one does not exist.
async fn worker(scope: &Scope, form: &Parameters) -> Result<WorkerView, ApiError> {
    form.required("WorkerSid")?;
    let sid = form.sid::<WorkerSid>("WorkerSid")?.ok_or_else(|| ApiError::missing("WorkerSid"))?;
    let row = scope.state.store.worker(scope.sid(), sid).await?;
    row.ok_or_else(|| ApiError::invalid(format!("WorkerSid {sid} does not exist in this workspace")))
}

/// The key that signs: the one that is named, else the one that asks, else the account's first.
async fn key(scope: &Scope, login: Login, form: &Parameters) -> Result<ApiKey, ApiError> {
    let sid = match form.sid::<ApiKeySid>("KeySid")?.or(login.api_key) {
        Some(sid) => sid,
        None => first_key(scope).await?.ok_or_else(|| ApiError::invalid("The account has no API key to sign with"))?,
    };
    let key = scope.state.store.api_key(sid).await?.filter(|key| key.account == scope.place.account);
    key.ok_or_else(|| ApiError::invalid(format!("KeySid {sid} does not exist in this account")))
}

async fn first_key(scope: &Scope) -> Result<Option<ApiKeySid>, ApiError> {
    let span = Span { seek: Seek::First, limit: 1 };
    let list = scope.state.store.api_keys(Some(scope.place.account), span).await?;
    Ok(list.entries.first().and_then(|entry| entry.row.sid.parse().ok()))
}

async fn capability(
    scope: &Scope,
    login: Login,
    worker: &WorkerView,
    lifetime_secs: i64,
    now: Timestamp,
) -> Result<String, ApiError> {
    // Such a token outlives a key that is revoked, so a key cannot have it made.
    if login.api_key.is_some() {
        return Err(ApiError::needs_auth_token());
    }
    let account = scope.state.store.account(scope.place.account).await?.ok_or_else(ApiError::unauthorized)?;
    let new = NewCapabilityToken {
        account: account.sid,
        workspace: scope.sid(),
        worker: worker.sid.parse().map_err(|_| ApiError::internal())?,
        lifetime_secs,
    };
    Ok(mint_capability(&new, account.auth_token.expose_secret().as_bytes(), now))
}
