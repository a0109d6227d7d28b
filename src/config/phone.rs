//! The phone system that carries the calls, and who we are there.
//!
//! Start with [`Phone`].

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

/// New calls a second that can be set.
const MAX_CPS: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;

/// Length of an Ed25519 key.
const PUBLIC_KEY_BYTES: usize = 32;

/// The phone system and who we are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// Base of its REST.
    pub url: Option<String>,
    /// Account.
    pub account_sid: Option<String>,
    /// Auth token.
    pub auth_token: Option<SecretString>,
    pub(super) auth_token_file: Option<PathBuf>,
    /// API key instead of the auth token, for requests to its REST.
    pub api_key_sid: Option<String>,
    /// Its secret.
    pub api_key_secret: Option<SecretString>,
    pub(super) api_key_secret_file: Option<PathBuf>,
    auth_scheme: Option<AuthScheme>,
    /// Former auth token, for checking webhooks only.
    pub previous_auth_token: Option<SecretString>,
    pub(super) previous_auth_token_file: Option<PathBuf>,
    /// The key that its webhooks are signed with, where that is not the auth token.
    pub public_key: Option<String>,
    /// The application there that calls are made for.
    pub application_sid: Option<String>,
    /// New calls a second.
    pub max_cps: Option<f64>,
    /// Whose dialect it speaks.
    pub dialect: Dialect,
    participants_create: Option<bool>,
    room_callbacks: Option<bool>,
    error_codes: Option<bool>,
    inline_documents: Option<bool>,
    rooms: Option<bool>,
    queues: Option<bool>,
}

/// Whose dialect the phone system speaks; the settings below it say what single flags of it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Twilio's own, and that of `switchhook phone`.
    Twilio,
    /// `SignalWire` (cXML).
    Signalwire,
    /// Restcomm (RCML).
    Restcomm,
    /// Telnyx (`TeXML`).
    Telnyx,
    /// Somleng.
    Somleng,
}

/// How credentials are shown to the phone system's REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthScheme {
    /// HTTP Basic: user and password.
    Basic,
    /// HTTP Bearer: a token alone.
    Bearer,
}

impl Phone {
    /// Whether participants can be made.
    #[must_use]
    pub fn participants_create(&self) -> bool {
        self.participants_create.unwrap_or(self.dialect == Dialect::Twilio)
    }

    /// Whether it takes documents in requests.
    #[must_use]
    pub fn inline_documents(&self) -> bool {
        self.inline_documents.unwrap_or(matches!(self.dialect, Dialect::Twilio | Dialect::Telnyx | Dialect::Somleng))
    }

    /// How credentials are shown.
    #[must_use]
    pub fn auth_scheme(&self) -> AuthScheme {
        let usual = if self.dialect == Dialect::Telnyx { AuthScheme::Bearer } else { AuthScheme::Basic };
        self.auth_scheme.unwrap_or(usual)
    }

    /// Whether its refusals have codes.
    #[must_use]
    pub fn error_codes(&self) -> bool {
        self.error_codes.unwrap_or(self.dialect == Dialect::Twilio)
    }

    /// Whether it tells who comes into a conference.
    #[must_use]
    pub fn room_callbacks(&self) -> bool {
        self.room_callbacks.unwrap_or(self.dialect != Dialect::Restcomm)
    }

    /// Whether it has conferences.
    #[must_use]
    pub fn rooms(&self) -> bool {
        self.rooms.unwrap_or(self.dialect != Dialect::Somleng)
    }

    /// Whether calls can wait in its queues.
    #[must_use]
    pub fn queues(&self) -> bool {
        self.queues.unwrap_or(self.dialect != Dialect::Somleng)
    }

    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let given = [self.url.is_some(), self.account_sid.is_some(), self.auth_token.is_some()];
        if given.contains(&true) && given.contains(&false) {
            return Some("phone.url, phone.account_sid and phone.auth_token go together".to_owned());
        }
        let is_key = |text: &String| STANDARD.decode(text.trim()).is_ok_and(|key| key.len() == PUBLIC_KEY_BYTES);
        if !self.public_key.as_ref().is_none_or(is_key) {
            return Some("phone.public_key: expected 32 bytes in base64".to_owned());
        }
        if self.dialect == Dialect::Telnyx
            && self.url.is_some()
            && (self.public_key.is_none() || self.application_sid.is_none())
        {
            return Some("phone.dialect telnyx needs phone.public_key and phone.application_sid".to_owned());
        }
        match (self.auth_scheme(), self.api_key_sid.is_some(), self.api_key_secret.is_some()) {
            (AuthScheme::Basic, sid, secret) if sid != secret => {
                return Some("phone.api_key_sid and phone.api_key_secret go together".to_owned());
            }
            (AuthScheme::Bearer, true, _) => {
                return Some("phone.api_key_sid: expected none with phone.auth_scheme bearer".to_owned());
            }
            _ => {}
        }
        let max_cps = self.max_cps.filter(|max_cps| !MAX_CPS.contains(max_cps))?;
        Some(format!("phone.max_cps: expected {} to {}, found {max_cps}", MAX_CPS.start(), MAX_CPS.end()))
    }
}
