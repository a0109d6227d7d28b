//! Callbacks of the verbs in an application's document: `statusCallback`, `recordingStatusCallback` and their like pass
//! through us, signed by the account as all the application's other requests are (`spec/voice.md` 4.5).
//!
//! `/voice/proxy/callback?target=<URL>` has the parameters of `/voice/proxy`. The callback is passed on while the phone system
//! waits, and the application's status is our answer: in which order, how long and how often it is tried stays the phone
//! system's business, as it was without us. Nothing of it is ours to act on. Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::alerts::{Complaint, INVALID_URL};
use super::application::{Failure, Question};
use super::proxy::{OWN, Trouble};
use super::request::{self, Sender, Webhook};
use super::{State, cookies, no_content};

/// `/voice/proxy/callback`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    state.pass_on(&webhook).await
}

impl State {
    /// Passes a callback on to the application in its URL; the answer is the application's.
    pub(super) async fn pass_on(&self, webhook: &Webhook) -> Response {
        let (owner, target) = match self.target_of(webhook).await {
            Ok(found) => found,
            Err(Trouble::Wrong(message)) => {
                self.complain(webhook.sender, Complaint::new(INVALID_URL, message)).await;
                return StatusCode::BAD_REQUEST.into_response();
            }
            Err(Trouble::Unknown) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Err(Trouble::Forbidden | Trouble::NoDocument(_)) => return StatusCode::FORBIDDEN.into_response(),
        };
        let passed_on = webhook.without(&OWN);
        let method = webhook.method.as_str();
        let question = Question { url: target, method, webhook: &passed_on, extra: Vec::new(), workspace: None };
        let failure = match self.fetch(&question, owner.account, owner.token()).await {
            Ok(answer) if (200..300).contains(&answer.status) => return cookies::set(no_content(), answer.set_cookie),
            Ok(answer) => Failure::Refused(answer.status),
            Err(failure) => failure,
        };
        let complaint = Complaint::new(failure.code(), format!("callback of the application: {failure}"));
        self.complain(Sender::Account(owner.account), complaint).await;
        failure.status().into_response()
    }
}
