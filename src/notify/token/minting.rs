//! Makes tokens as the official libraries do, for development and for applications without such a library.
//!
//! Must not fetch keys. Start with [`mint`].

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Role;
use crate::routing::{AccountSid, Timestamp, WorkerSid, WorkspaceSid};

/// What an access token is made of.
#[derive(Debug, Clone)]
pub struct NewAccessToken {
    /// The API key that signs it.
    pub key_sid: String,
    /// Whose.
    pub account: AccountSid,
    /// Which workspace.
    pub workspace: WorkspaceSid,
    /// For whom.
    pub worker: Option<WorkerSid>,
    /// What the holder may do.
    pub role: Role,
    /// A name for people.
    pub identity: String,
    /// 1 to [`LIFETIME_SECS_MAX`](super::LIFETIME_SECS_MAX) seconds.
    pub lifetime_secs: i64,
}

/// What a worker's capability token is made of (Twilio: Constructing JWTs).
#[derive(Debug, Clone)]
pub struct NewCapabilityToken {
    /// Whose; its auth token signs.
    pub account: AccountSid,
    /// Which workspace.
    pub workspace: WorkspaceSid,
    /// For whom.
    pub worker: WorkerSid,
    /// 1 to [`LIFETIME_SECS_MAX`](super::LIFETIME_SECS_MAX) seconds.
    pub lifetime_secs: i64,
}

/// Makes an access token (HS256) with the secret of its key.
#[must_use]
pub fn mint(new: &NewAccessToken, secret: &[u8], now: Timestamp) -> String {
    let now = now.unix_secs();
    let mut grant = json!({ "workspace_sid": new.workspace, "role": new.role.as_str() });
    if let Some(worker) = new.worker {
        grant["worker_sid"] = json!(worker);
    }
    let claims = json!({
        "jti": format!("{}-{now}", new.key_sid),
        "iss": new.key_sid,
        "sub": new.account,
        "iat": now,
        "exp": now + new.lifetime_secs,
        "grants": { "identity": new.identity, "task_router": grant },
    });
    signed(&json!({ "alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1" }), &claims, secret)
}

/// Makes a worker's capability token with the account's auth token: the worker may connect, read, change activities and
/// answer reservations.
#[must_use]
pub fn mint_capability(new: &NewCapabilityToken, auth_token: &[u8], now: Timestamp) -> String {
    let now = now.unix_secs();
    let NewCapabilityToken { account, workspace, worker, lifetime_secs } = new;
    let bridge = format!("https://event-bridge.twilio.com/v1/wschannels/{account}/{worker}");
    let base = format!("https://taskrouter.twilio.com/v1/Workspaces/{workspace}");
    let own = format!("{base}/Workers/{worker}");
    let policy = |url: String, method: &str, post_filter: Value| json!({ "url": url, "method": method, "allow": true, "query_filter": {}, "post_filter": post_filter });
    let policies = [
        policy(bridge.clone(), "GET", json!({})),
        policy(bridge, "POST", json!({})),
        policy(own.clone(), "GET", json!({})),
        policy(format!("{base}/Activities"), "GET", json!({})),
        policy(format!("{base}/Tasks/**"), "GET", json!({})),
        policy(format!("{own}/Reservations/**"), "GET", json!({})),
        policy(own.clone(), "POST", json!({ "ActivitySid": { "required": true } })),
        policy(format!("{base}/Tasks/**"), "POST", json!({})),
        policy(format!("{own}/Reservations/**"), "POST", json!({})),
    ];
    let claims = json!({
        "iss": account,
        "account_sid": account,
        "workspace_sid": workspace,
        "channel": worker,
        "worker_sid": worker,
        "friendly_name": worker,
        "version": "v1",
        "iat": now,
        "exp": now + lifetime_secs,
        "policies": policies,
    });
    signed(&json!({ "alg": "HS256", "typ": "JWT" }), &claims, auth_token)
}

fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    let signature = mac.chain_update(text.as_bytes()).finalize().into_bytes();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
