//! API keys of an account: the Key resource of Twilio's 2010 API, in that API's dates and envelope.
//!
//! Only the account's auth token manages keys, so that a leaked key cannot make itself successors. A secret is told once,
//! in the answer to its creation. Start with [`create`].

use axum::extract::{FromRequestParts, OriginalUri, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::State;
use super::auth::Owner;
use super::error::ApiError;
use super::form::{Form, Parameters, Query};
use super::json::{answer, deleted, rfc2822};
use super::page::Paging;
use crate::clock::Entropy;
use crate::notify::revocations::revoked;
use crate::routing::{AccountSid, ApiKeySid, Timestamp};
use crate::store::ApiKey;
use crate::store::views::ApiKeyView;

/// Longest name of a key, in characters (Twilio: Key resource).
pub const API_KEY_NAME_LIMIT: usize = 64;

/// A request to the caller's own account.
pub(super) struct Account {
    state: State,
    sid: AccountSid,
    /// As it was requested, for messages.
    path: String,
    key: Option<String>,
}

impl FromRequestParts<State> for Account {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let owner = Owner::from_request_parts(parts, state).await?;
        let path = requested_path(parts);
        let Ok(raw) = RawPathParams::from_request_parts(parts, state).await else {
            return Err(ApiError::not_found(&path));
        };
        let segment = |name: &str| raw.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
        let sid: Option<AccountSid> = segment("AccountSid").and_then(|text| text.parse().ok());
        let sid = sid.filter(|sid| *sid == owner.account).ok_or_else(|| ApiError::not_found(&path))?;
        Ok(Self { state: state.clone(), sid, key: segment("Sid"), path })
    }
}

impl Account {
    fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.path)
    }

    /// The key in the path, if it is the account's.
    async fn key(&self) -> Result<ApiKey, ApiError> {
        let sid: ApiKeySid = self.key.as_deref().and_then(|text| text.parse().ok()).ok_or_else(|| self.not_found())?;
        let found = self.state.store.api_key(sid).await?.filter(|key| key.account == self.sid);
        found.ok_or_else(|| self.not_found())
    }
}

pub(super) async fn list(account: Account, query: Query) -> Result<Response, ApiError> {
    let paging = Paging::read(&query, 1)?;
    let list = account.state.store.api_keys(Some(account.sid), paging.span()).await?;
    let uri = format!("/2010-04-01/Accounts/{}/Keys.json", account.sid);
    Ok(paging.answer_2010(&uri, "keys", &list, render))
}

pub(super) async fn create(account: Account, form: Form) -> Result<Response, ApiError> {
    let now = account.state.clock.now();
    let secret = SecretString::from(Entropy.letters_and_digits());
    let key = ApiKey {
        sid: ApiKeySid::fresh(&mut Entropy, now),
        account: account.sid,
        friendly_name: friendly_name(&form)?.unwrap_or_default(),
        secret: secret.clone(),
        created_at: now,
        updated_at: now,
    };
    let mut shown = render_key(&key.sid.to_string(), &key.friendly_name, now, now);
    account.state.store.create_api_key(key).await?;
    shown["secret"] = Value::String(secret.expose_secret().to_owned());
    Ok(answer(StatusCode::CREATED, &shown))
}

pub(super) async fn fetch(account: Account) -> Result<Response, ApiError> {
    let key = account.key().await?;
    Ok(answer(StatusCode::OK, &render_key(&key.sid.to_string(), &key.friendly_name, key.created_at, key.updated_at)))
}

pub(super) async fn update(account: Account, form: Form) -> Result<Response, ApiError> {
    let key = account.key().await?;
    if let Some(name) = friendly_name(&form)? {
        account.state.store.rename_api_key(key.sid, name, account.state.clock.now()).await?;
    }
    fetch(account).await
}

pub(super) async fn delete(account: Account) -> Result<Response, ApiError> {
    let key = account.key().await?;
    account.state.store.revoke_api_key(key.sid).await?;
    revoked(&account.state.hub, &account.state.event_streams, key.sid);
    Ok(deleted())
}

/// Answers for paths of the 2010 API that do not exist.
pub(super) async fn unknown_path(OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::not_found(uri.path())
}

fn requested_path(parts: &Parts) -> String {
    let original = parts.extensions.get::<OriginalUri>();
    original.map_or_else(|| parts.uri.path(), |original| original.0.path()).to_owned()
}

fn friendly_name(form: &Parameters) -> Result<Option<String>, ApiError> {
    let Some(name) = form.owned("FriendlyName") else { return Ok(None) };
    if name.chars().count() > API_KEY_NAME_LIMIT {
        return Err(ApiError::invalid(format!("Invalid FriendlyName: longer than {API_KEY_NAME_LIMIT} characters")));
    }
    Ok(Some(name))
}

fn render(row: &ApiKeyView) -> Value {
    render_key(&row.sid, &row.friendly_name, row.created_at, row.updated_at)
}

fn render_key(sid: &str, friendly_name: &str, created_at: Timestamp, updated_at: Timestamp) -> Value {
    json!({
        "sid": sid,
        "friendly_name": friendly_name,
        "date_created": rfc2822(created_at),
        "date_updated": rfc2822(updated_at),
    })
}
