//! Who asks: the login of a request, and where URLs in its answer begin.
//!
//! Start with [`Caller`], the extractor that every handler takes first, so that nothing is told to a stranger.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::State;
use super::error::ApiError;
use crate::credentials;
use crate::routing::AccountSid;

/// An account whose credentials were right: its auth token, or one of its API keys.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountSid,
    /// Where URLs in the answer begin, with `/v1`.
    pub(super) base: String,
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let login = credentials::check(&state.store, &parts.headers).await?.ok_or_else(ApiError::unauthorized)?;
        Ok(Self { account: login.account, base: format!("{}/v1", state.public_url.base(&parts.headers)) })
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
        Ok(Self { account: login.account })
    }
}
