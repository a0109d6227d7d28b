//! What our requests to the phone system show to prove who we are.
//!
//! Start with [`Credentials`].

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};

/// Credentials of the phone system's REST.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// HTTP Basic: the account and its auth token, or an API key and its secret.
    Basic {
        /// SID of the account, or of the key.
        user: String,
        /// Auth token, or secret of the key.
        password: SecretString,
    },
    /// HTTP Bearer.
    Bearer(SecretString),
}

impl Credentials {
    /// Adds them to a request.
    pub fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            Self::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }
}
