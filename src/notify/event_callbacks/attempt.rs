//! One request of an event callback: made, signed, sent, and what came of it.
//!
//! Must not know when an event is tried, or again. Start with [`attempt`].

use axum::http::Method;
use secrecy::ExposeSecret as _;

use super::Around;
use super::form::form;
use super::manner::{Manner, Outcome};
use crate::outbound::{self, Request};
use crate::signature;
use crate::store::deliveries::EventTarget;
use crate::store::views::EventView;

/// The same for every attempt of one event, so that a receiver recognises a repetition.
const IDEMPOTENCY_HEADER: &str = "I-Twilio-Idempotency-Token";
/// Longest beginning of an answer that is kept, in bytes.
const EXCERPT_MAX: usize = 1_024;

/// Sends an event once.
pub(super) async fn attempt(around: &Around, target: &EventTarget, manner: &Manner, event: &EventView) -> Outcome {
    let account = match around.store.account(target.account).await {
        Ok(Some(account)) => account,
        Ok(None) => return Outcome::Impossible("there is no account whose token signs the request".to_owned()),
        Err(error) => return Outcome::Impossible(error.to_string()),
    };
    let form = form(target.account, target.workspace, &target.name, event);
    let headers = [
        (signature::HEADER, signature::sign_form(account.auth_token.expose_secret(), &manner.url, &form)),
        (IDEMPOTENCY_HEADER, event.sid.clone()),
    ];
    let request = Request { method: Method::POST, url: &target.url, form: &form, headers: &headers };
    match around.outbound.deliver(&request, manner.patience).await {
        Ok(answer) if (200..300).contains(&answer.status) => Outcome::Taken,
        Ok(answer) => Outcome::Refused {
            status: answer.status,
            answer: String::from_utf8_lossy(&answer.body[..answer.body.len().min(EXCERPT_MAX)]).into_owned(),
            retry_after: answer.retry_after,
        },
        Err(error @ outbound::Error::Unreachable(_)) => Outcome::NotConnected(error.to_string()),
        Err(error @ outbound::Error::Timeout(_)) => Outcome::TooLate(error.to_string()),
        Err(error) => Outcome::Impossible(error.to_string()),
    }
}

/// Status, error and the beginning of the answer, as far as there are any.
pub(super) fn described(outcome: &Outcome) -> (Option<u16>, String, Option<String>) {
    match outcome {
        Outcome::Taken => (None, String::new(), None),
        Outcome::Refused { status, answer, .. } => {
            (Some(*status), format!("expected a status from 200 to 299, found {status}"), Some(answer.clone()))
        }
        Outcome::NotConnected(error) | Outcome::TooLate(error) | Outcome::Impossible(error) => {
            (None, error.clone(), None)
        }
    }
}
