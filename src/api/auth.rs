//! Who asks: the login of a request, and where URLs in its answer begin.
//!
//! Start with [`Caller`], the extractor that every handler takes first, so that nothing is told to a stranger.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::Method;
use axum::http::request::Parts;

use super::State;
use super::error::ApiError;
use super::page::is_by_number;
use super::rates::Payer;
use crate::clock::Entropy;
use crate::credentials;
use crate::routing::{AccountSid, AlertSid, ApiKeySid};
use crate::store::Alert;

/// An account whose credentials were right: its auth token, or one of its API keys.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountSid,
    /// The API key; none: the account's auth token, or an agent's token.
    pub(super) api_key: Option<ApiKeySid>,
    /// Where URLs in the answer begin, with `/v1`.
    pub(super) base: String,
}

/// Marks a request that the bridge of agents' browsers hands on to REST, whose token it has verified, with what that
/// token allows; it takes the place of credentials. Nothing that comes in over HTTP can carry it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bridged {
    pub(super) account: AccountSid,
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        // Whoever may repeat the request has been let in before its handler.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let (account, api_key) = if let Some(bridged) = parts.extensions.get::<Bridged>() {
            // The bridge has charged the agent.
            (bridged.account, None)
        } else {
            let login = credentials::check(&state.store, &parts.headers).await?;
            let login = login.ok_or_else(ApiError::unauthorized)?;
            charge(state, Payer::Account(login.account), route_of(parts))?;
            (login.account, login.api_key)
        };
        if parts.method == Method::GET && is_by_number(parts.uri.query().unwrap_or_default()) {
            note_page_number(state, account, parts.uri.path()).await;
        }
        Ok(Self { account, api_key, base: format!("{}/v1", state.public_url.base(&parts.headers)) })
    }
}

/// Refuses a request of somebody who asks too often; `route` is for the figures.
pub(super) fn charge(state: &State, payer: Payer, route: &str) -> Result<(), ApiError> {
    if state.rates.charge(payer, state.clock.now()) {
        return Ok(());
    }
    metrics::counter!("taskrouter_rate_limited_total", "route" => route.to_owned()).increment(1);
    Err(ApiError::too_many("Too Many Requests"))
}

fn route_of(parts: &Parts) -> &str {
    parts.extensions.get::<MatchedPath>().map_or("none", MatchedPath::as_str)
}

/// Adds a line to the alert log: pages by number alone are served, but Twilio gave them up.
async fn note_page_number(state: &State, account: AccountSid, path: &str) {
    let at = state.clock.now();
    let alert = Alert {
        sid: AlertSid::fresh(&mut Entropy, at),
        account,
        workspace: path.split('/').nth(2).and_then(|sid| sid.parse().ok()),
        code: 40153,
        message: format!("{path} was paged by number alone; follow next_page_url instead"),
        task: None,
        reservation: None,
        worker: None,
        at,
    };
    // The client gets its page all the same.
    if let Err(error) = state.store.alert(alert).await {
        tracing::error!(code = 40153, %error, "an alert could not be written");
    }
}

/// By what the caller proved who it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Login {
    /// The API key; none: the account's auth token.
    pub(super) api_key: Option<ApiKeySid>,
}

impl FromRequestParts<State> for Login {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let login = credentials::check(&state.store, &parts.headers).await?.ok_or_else(ApiError::unauthorized)?;
        Ok(Self { api_key: login.api_key })
    }
}

/// An account whose auth token was right; an API key does not do (Twilio: standard keys may not manage keys).
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) account: AccountSid,
}

impl FromRequestParts<State> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let login = credentials::check(&state.store, &parts.headers).await?.ok_or_else(ApiError::unauthorized)?;
        if login.api_key.is_some() {
            return Err(ApiError::needs_auth_token());
        }
        charge(state, Payer::Account(login.account), route_of(parts))?;
        Ok(Self { account: login.account })
    }
}
