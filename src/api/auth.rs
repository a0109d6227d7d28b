//! Who asks: HTTP Basic with an account SID and its auth token.
//!
//! Start with [`Caller`], the extractor that every handler takes first, so that nothing is told to a stranger.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::State;
use super::error::ApiError;
use crate::routing::AccountSid;

/// An account whose credentials were right.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountSid,
    /// Where URLs in the answer begin, with `/v1`.
    pub(super) base: String,
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let (user, password) = credentials(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let sid: AccountSid = user.parse().map_err(|_| ApiError::unauthorized())?;
        let account = state.store.account(sid).await?.ok_or_else(ApiError::unauthorized)?;
        let token = account.auth_token.expose_secret();
        if !bool::from(token.as_bytes().ct_eq(password.as_bytes())) {
            return Err(ApiError::unauthorized());
        }
        Ok(Self { account: sid, base: format!("{}/v1", state.public_url.base(&parts.headers)) })
    }
}

/// User and password of `Authorization: Basic …`.
fn credentials(headers: &HeaderMap<HeaderValue>) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<(&str, &str)>) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(header).unwrap())]);
        let found = credentials(&headers);
        assert_eq!(found.as_ref().map(|(user, password)| (user.as_str(), password.as_str())), expected, "{header}");
    }

    #[test]
    fn basic_credentials_are_read() {
        check("Basic QUMxOnNlY3JldA==", Some(("AC1", "secret")));
        check("basic QUMxOmE6Yg==", Some(("AC1", "a:b")));
        check("Basic QUMx", None);
        check("Basic !!", None);
        check("Bearer QUMxOnNlY3JldA==", None);
        check("Basic", None);
    }
}
