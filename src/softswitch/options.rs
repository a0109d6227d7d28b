//! What `switchhook phone` is started with.
//!
//! Plain data that the configuration fills in; nothing here reads files or the environment. Start with [`Options`].

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// HTTP method of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Parameters in the query.
    Get,
    /// Parameters as a form.
    #[default]
    Post,
}

impl Method {
    /// Reads `GET` or `POST` in any letter case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("GET") {
            Some(Self::Get)
        } else if text.eq_ignore_ascii_case("POST") {
            Some(Self::Post)
        } else {
            None
        }
    }
}

/// A number that can be called from outside, and the webhooks that say what happens then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The number in E.164, or a `client:` or `sip:` address.
    pub phone_number: String,
    /// Asked for a TwiML document when a call comes in.
    pub voice_url: String,
    /// Method for `voice_url`.
    #[serde(default)]
    pub voice_method: Method,
    /// Asked when `voice_url` or a document reached from it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<String>,
    /// Method for `fallback_url`.
    #[serde(default)]
    pub fallback_method: Method,
    /// Told about the progress of each inbound call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<String>,
    /// Method for `status_callback`.
    #[serde(default)]
    pub status_callback_method: Method,
    /// Which of `answered` and `completed` to tell; only `completed` when empty, as at Twilio.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status_callback_events: Vec<String>,
}

impl Number {
    /// A number whose calls are answered by the document at `voice_url`.
    #[must_use]
    pub fn new(phone_number: impl Into<String>, voice_url: impl Into<String>) -> Self {
        Self {
            phone_number: phone_number.into(),
            voice_url: voice_url.into(),
            voice_method: Method::Post,
            fallback_url: None,
            fallback_method: Method::Post,
            status_callback: None,
            status_callback_method: Method::Post,
            status_callback_events: Vec::new(),
        }
    }
}

/// Settings of one phone system.
#[derive(Clone)]
pub struct Options {
    /// The account that REST clients name and webhooks carry, `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Password of the REST API and key of the webhook signatures. Empty: every request is refused.
    pub auth_token: SecretString,
    /// Where it is reached, without a slash at the end; the URLs of recordings begin with it.
    pub public_url: String,
    /// Numbers known from the start; the control API adds more.
    pub numbers: Vec<Number>,
    /// How much faster than in life speech, music, pauses, ringing and scripted behaviour go by; 1 is life.
    pub speed: f64,
    /// Calls that may be live at once; further ones are refused with 429.
    pub live_calls_max: usize,
    /// Calls that fit into a queue made by its first `<Enqueue>`; at Twilio 1000, at most 5000.
    pub queue_size: usize,
    /// Finished calls, and finished rooms, that can still be read; older ones are forgotten.
    pub finished_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account_sid: format!("AC{}", "0".repeat(32)),
            auth_token: SecretString::from(String::new()),
            public_url: "http://127.0.0.1:8090".to_owned(),
            numbers: Vec::new(),
            speed: 1.0,
            live_calls_max: 10_000,
            queue_size: 1_000,
            finished_max: 10_000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("account_sid", &self.account_sid)
            .field("numbers", &self.numbers.len())
            .field("speed", &self.speed)
            .finish_non_exhaustive()
    }
}
