//! One request of an assignment callback: the form, signed with the account's token, to a user's URL.
//!
//! It must not know what the answer means. Start with [`Ask`].

use std::future::Future;

use axum::http::Method;
use metrics::counter;
use secrecy::ExposeSecret as _;

use crate::engine::Assignment;
use crate::outbound::{self, Answer, Outbound};
use crate::signature;
use crate::store::Store;

/// The same for every attempt of one callback, so that an application recognises a repetition.
const IDEMPOTENCY_HEADER: &str = "I-Twilio-Idempotency-Token";

/// Sends one request and reads the answer.
pub trait Ask: Send + Sync + 'static {
    /// Asks `url` about `assignment`; an error is a text for the alert log.
    fn ask(&self, assignment: &Assignment, url: &str) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// Applications at users' URLs.
#[derive(Debug)]
pub struct Applications {
    /// Knows the accounts' tokens.
    pub store: Store,
    /// Reaches only what may be reached.
    pub outbound: Outbound,
}

impl Ask for Applications {
    async fn ask(&self, assignment: &Assignment, url: &str) -> Result<Answer, String> {
        let account = self.store.account(assignment.account).await.map_err(|error| error.to_string())?;
        let account = account.ok_or_else(|| "there is no account whose token signs the request".to_owned())?;
        let requested = outbound::as_requested(url);
        let form: Vec<(String, String)> =
            assignment.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let headers = [
            (signature::HEADER, signature::sign_form(account.auth_token.expose_secret(), &requested, &form)),
            (IDEMPOTENCY_HEADER, assignment.reservation.to_string()),
        ];
        let request = outbound::Request { method: Method::POST, url, form: &form, headers: &headers };
        let sent = self.outbound.send(&request).await;
        let code = outbound::outcome_code(&sent);
        counter!("taskrouter_callback_attempts_total", "class" => "assignment", "code" => code).increment(1);
        sent.map_err(|error| error.to_string())
    }
}
