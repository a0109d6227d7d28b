//! Tokens of agents: access tokens (current SDK) and capability tokens (the first SDK), verified strictly.
//!
//! Only HMAC is accepted, with the key that the issuer names, so nothing in a token chooses how it is checked (RFC 8725).
//! Reading is split in two, because the key must be fetched in between: [`Unverified::read`], then
//! [`Unverified::verify`]. This module must not fetch keys or decide what a role may do (`rights` does). Start with
//! [`Unverified`]; tokens are made in `minting`.

mod minting;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::Hmac;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Sha256, Sha384, Sha512};

use super::channel::Channel;
use crate::routing::{AccountSid, ApiKeySid, Timestamp, WorkerSid, WorkspaceSid};
pub use minting::{NewAccessToken, NewCapabilityToken, mint, mint_capability};

/// Longest token, in bytes: capability tokens carry their policies.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Longest life of a token, in seconds (Twilio: access tokens).
pub const LIFETIME_SECS_MAX: i64 = 86_400;

/// Clocks of the issuer and of this server may differ by this much, in seconds.
const SKEW_SECS: i64 = 60;

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no token of a kind that is accepted, or its signature is wrong.
    #[error("Invalid Access Token")]
    Invalid,
    /// It was one, until its time was over.
    #[error("Access Token expired or expiration date invalid")]
    Expired,
    /// Its time has not come.
    #[error("Access Token not yet valid")]
    Early,
}

/// What the holder may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// An access token's role.
    Role(Role),
    /// A capability token's policies; what none allows is denied.
    Policies(Vec<Policy>),
}

/// The roles of access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Acts for one worker.
    Worker,
    /// Acts for one worker and may change others and listen to their calls.
    Supervisor,
    /// Sees everything of the workspace.
    Admin,
}

impl Role {
    /// Reads the claim; roles that are not known have the rights of a worker.
    fn of_claim(role: Option<&str>) -> Self {
        match role {
            Some("supervisor") => Self::Supervisor,
            Some("admin") => Self::Admin,
            _ => Self::Worker,
        }
    }

    /// The claim.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }
}

/// One line of a capability token (Twilio: Constructing JWTs).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Policy {
    /// Absolute URL; `*` stands for one segment, `**` for the rest.
    pub url: String,
    /// HTTP method.
    pub method: String,
    /// Only `true` allows.
    #[serde(default)]
    pub allow: bool,
    /// Conditions on query parameters.
    #[serde(default)]
    pub query_filter: Value,
    /// Conditions on form parameters.
    #[serde(default)]
    pub post_filter: Value,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose workspace.
    pub account: AccountSid,
    /// Which workspace.
    pub workspace: WorkspaceSid,
    /// For whom; absent in tokens of administrators.
    pub worker: Option<WorkerSid>,
    /// What a capability token lets listen to and ask at; absent in access tokens.
    pub channel: Option<Channel>,
    /// What the holder may do.
    pub authority: Authority,
    /// Signed the token, unless an account did.
    pub key: Option<ApiKeySid>,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// A token whose signature was not checked yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    claims: Claims,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Algorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
}

/// Members that carry or fetch a key are not even looked at: they are refused.
#[derive(Debug, Deserialize)]
struct Header {
    alg: Algorithm,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Value>,
    jku: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
    crit: Option<Value>,
}

impl Header {
    fn is_acceptable(&self) -> bool {
        let is_plain = |kid: &String| kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        self.jwk.is_none()
            && self.jku.is_none()
            && self.x5u.is_none()
            && self.x5c.is_none()
            && self.crit.is_none()
            && self.typ.as_ref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"))
            && self.kid.as_ref().is_none_or(is_plain)
    }
}

/// A derived reader refuses repeated members.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    exp: f64,
    nbf: Option<f64>,
    grants: Option<Grants>,
    account_sid: Option<String>,
    workspace_sid: Option<String>,
    worker_sid: Option<String>,
    channel: Option<String>,
    policies: Option<Vec<Policy>>,
}

#[derive(Debug, Deserialize)]
struct Grants {
    task_router: Option<TaskRouterGrant>,
}

#[derive(Debug, Deserialize)]
struct TaskRouterGrant {
    workspace_sid: Option<String>,
    worker_sid: Option<String>,
    role: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart; nothing in it is to be believed yet but the name of its issuer.
    pub fn read(token: &'a str) -> Result<Self, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::Invalid)?;
        let (header, claims) = signed.split_once('.').ok_or(Error::Invalid)?;
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Invalid);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Error::Invalid)?;
        if !header.is_acceptable() {
            return Err(Error::Invalid);
        }
        let claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Error::Invalid)?;
        Ok(Self { signed, signature: decode(signature)?, algorithm: header.alg, claims })
    }

    /// SID of the API key, or of the account, whose secret is to check the signature.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Checks signature and times with the secret of the issuer, which belongs to `account`.
    pub fn verify(self, secret: &[u8], account: AccountSid, now: Timestamp) -> Result<Grant, Error> {
        let signed = self.signed.as_bytes();
        let verified = match self.algorithm {
            Algorithm::Hs256 => verifies::<Hmac<Sha256>>(secret, signed, &self.signature),
            Algorithm::Hs384 => verifies::<Hmac<Sha384>>(secret, signed, &self.signature),
            Algorithm::Hs512 => verifies::<Hmac<Sha512>>(secret, signed, &self.signature),
        };
        if !verified || secret.is_empty() {
            return Err(Error::Invalid);
        }
        let (now_secs, exp) = (now.unix_secs(), whole_secs(self.claims.exp)?);
        if exp.saturating_add(SKEW_SECS) < now_secs {
            return Err(Error::Expired);
        }
        if exp > now_secs.saturating_add(LIFETIME_SECS_MAX + SKEW_SECS) {
            return Err(Error::Expired);
        }
        if let Some(nbf) = self.claims.nbf
            && whole_secs(nbf)? > now_secs + SKEW_SECS
        {
            return Err(Error::Early);
        }
        self.claims.grant(account, Timestamp(exp.saturating_mul(1000)))
    }
}

impl Claims {
    fn grant(self, account: AccountSid, expires_at: Timestamp) -> Result<Grant, Error> {
        if self.iss.starts_with("SK") {
            let subject: AccountSid = parsed(self.sub.as_deref())?;
            let grant = self.grants.and_then(|grants| grants.task_router).ok_or(Error::Invalid)?;
            if subject != account {
                return Err(Error::Invalid);
            }
            return Ok(Grant {
                account,
                workspace: parsed(grant.workspace_sid.as_deref())?,
                worker: grant.worker_sid.as_deref().map(|sid| parsed(Some(sid))).transpose()?,
                channel: None,
                authority: Authority::Role(Role::of_claim(grant.role.as_deref())),
                key: Some(parsed(Some(&self.iss))?),
                expires_at,
            });
        }
        let named: AccountSid = parsed(self.account_sid.as_deref().or(Some(&self.iss)))?;
        if named != account {
            return Err(Error::Invalid);
        }
        let workspace: WorkspaceSid = parsed(self.workspace_sid.as_deref())?;
        let own: Option<WorkerSid> = self.worker_sid.as_deref().map(|sid| parsed(Some(sid))).transpose()?;
        let channel = match self.channel.as_deref() {
            Some(sid) => Some(parsed(Some(sid))?),
            None => own.map(Channel::Worker),
        };
        let of_channel = channel.and_then(Channel::worker);
        // A token does not say two things.
        if matches!(channel, Some(Channel::Workspace(other)) if other != workspace)
            || of_channel.is_some_and(|worker| own.is_some_and(|own| own != worker))
        {
            return Err(Error::Invalid);
        }
        Ok(Grant {
            account,
            workspace,
            worker: own.or(of_channel),
            channel,
            authority: Authority::Policies(self.policies.ok_or(Error::Invalid)?),
            key: None,
            expires_at,
        })
    }
}

fn parsed<S: std::str::FromStr>(text: Option<&str>) -> Result<S, Error> {
    text.and_then(|text| text.parse().ok()).ok_or(Error::Invalid)
}

/// A moment in Unix seconds as JSON numbers have it.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole_secs(number: f64) -> Result<i64, Error> {
    // Until the year 9999.
    if (0.0..=253_402_300_799.0).contains(&number) { Ok(number as i64) } else { Err(Error::Expired) }
}

fn verifies<M: hmac::Mac + hmac::KeyInit>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    <M as hmac::KeyInit>::new_from_slice(secret)
        .is_ok_and(|mac| mac.chain_update(signed).verify_slice(signature).is_ok())
}

#[cfg(test)]
mod tests;
