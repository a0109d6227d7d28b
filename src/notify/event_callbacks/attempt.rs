//! One request of an event callback: made, signed, sent, and what came of it.
//!
//! Must not know when an event is tried, or again. Start with [`attempt`].

use axum::http::Method;
use secrecy::ExposeSecret as _;

use super::Around;
use super::form::form;
use super::manner::{Manner, Outcome};
use crate::outbound::Request;
use crate::signature;
use crate::store::deliveries::EventTarget;
use crate::store::views::EventView;

/// The same for every attempt of one event, so that a receiver recognises a repetition.
const IDEMPOTENCY_HEADER: &str = "I-Twilio-Idempotency-Token";

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
    Outcome::of(around.outbound.deliver(&request, manner.patience).await)
}

/// Status, error and the beginning of the answer, as far as there are any.
pub(super) fn described(outcome: &Outcome) -> (Option<u16>, String, Option<String>) {
    match outcome {
        Outcome::Refused { status, answer, .. } => (Some(*status), outcome.reason(), Some(answer.clone())),
        _ => (None, outcome.reason(), None),
    }
}
