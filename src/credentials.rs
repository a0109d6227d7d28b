//! Who asks: HTTP Basic with an account SID and its auth token, or with an API key and its secret.
//!
//! The REST API and the voice webhooks ask here, so that a key is accepted and refused in both at once. Every check reads
//! the row, so what was revoked is refused from the next request on. It must not tell why credentials were refused.
//! Start with [`check`].

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::routing::{AccountSid, ApiKeySid};
use crate::store::{self, Store};

/// Somebody whose credentials were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// For which account.
    pub account: AccountSid,
    /// By which API key; none: by the account's auth token.
    pub api_key: Option<ApiKeySid>,
}

/// The login behind the credentials of a request; none when they are missing or wrong.
pub async fn check(store: &Store, headers: &HeaderMap) -> Result<Option<Login>, store::Error> {
    let Some((user, password)) = basic(headers) else { return Ok(None) };
    let found = if let Ok(sid) = user.parse::<AccountSid>() {
        let account = store.account(sid).await?;
        account.map(|account| (account.auth_token, Login { account: sid, api_key: None }))
    } else if let Ok(sid) = user.parse::<ApiKeySid>() {
        let key = store.api_key(sid).await?;
        key.map(|key| (key.secret, Login { account: key.account, api_key: Some(sid) }))
    } else {
        None
    };
    Ok(found.filter(|(expected, _)| is_same(expected, &password)).map(|(_, login)| login))
}

/// Compares digests in constant time, so that neither the length nor the beginning of a secret can be measured.
fn is_same(expected: &SecretString, given: &SecretString) -> bool {
    let [expected, given] = [expected, given].map(|text| Sha256::digest(text.expose_secret().as_bytes()));
    expected.as_slice().ct_eq(given.as_slice()).into()
}

/// User and password of `Authorization: Basic …`.
fn basic(headers: &HeaderMap) -> Option<(String, SecretString)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), SecretString::from(password)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(header: &str, expected: Option<(&str, &str)>) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(header).unwrap())]);
        let found = basic(&headers);
        let found = found.as_ref().map(|(user, password)| (user.as_str(), password.expose_secret()));
        assert_eq!(found, expected, "{header}");
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

    #[test]
    fn passwords_are_the_same_or_not_whatever_their_length() {
        let same = |expected: &str, given: &str| is_same(&expected.into(), &given.into());
        assert!(same("secret", "secret"));
        for given in ["", "s", "secre", "secrets", "Secret"] {
            assert!(!same("secret", given), "{given}");
        }
    }
}
