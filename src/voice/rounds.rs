//! Callers whom nobody can serve at this moment come again in a moment: the workspace or the store does not answer.
//!
//! Whoever is in the midst of a call comes again until there is an answer. A call that is to be taken in goes round for half a
//! minute, in which a store that was locked takes writes again; then what its URL has for such a case follows. Start with
//! [`State::come_again`].

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::State;
use super::application::with_query;
use super::document::Document;
use super::request::Webhook;

/// How often a call that is to be taken in goes round, each time 2 to 3 seconds.
const ROUNDS_MAX: u32 = 12;

/// Parameter of our URLs that counts the rounds.
pub(super) const ROUND: &str = "Attempt";

/// Parameters that tell of one moment of the call: a redirect would lose them.
const OF_THE_MOMENT: [&str; 18] = [
    "Digits",
    "FinishedOnKey",
    "SpeechResult",
    "Confidence",
    "RecordingUrl",
    "RecordingSid",
    "RecordingDuration",
    "DialCallStatus",
    "DialCallSid",
    "DialCallDuration",
    "DialBridged",
    "QueueSid",
    "QueueTime",
    "QueueResult",
    "AnsweredBy",
    "MachineDetectionDuration",
    "ErrorCode",
    "ErrorUrl",
];

/// The number of the next round of a call that is to be taken in; none when it has gone round long enough.
pub(super) fn next_round(webhook: &Webhook) -> Option<u32> {
    let next = webhook.number(ROUND).unwrap_or(0_u32).saturating_add(1);
    (next <= ROUNDS_MAX).then_some(next)
}

impl State {
    /// The call comes again with what it came with; of one that is over the phone system may tell again.
    pub(super) fn come_again(&self, webhook: &Webhook) -> Response {
        if webhook.call_ended() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        self.answer(&Document::Busy { verbs_before: "", url: &self.again_url(webhook, None) })
    }

    /// The same for a call that is to be taken in; in the end its phone system turns to the fallback of its number.
    pub(super) fn come_again_for_a_while(&self, webhook: &Webhook) -> Response {
        match next_round(webhook) {
            // By GET the query holds everything the phone system sends, and would hold it twice.
            Some(round) if webhook.method != Method::GET => {
                self.answer(&Document::Busy { verbs_before: "", url: &self.again_url(webhook, Some(round)) })
            }
            _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    fn again_url(&self, webhook: &Webhook, round: Option<u32>) -> String {
        let path = webhook.target.split('?').next().unwrap_or_default();
        let kept = webhook.query.iter().filter(|(name, _)| round.is_none() || name != ROUND);
        let mut pairs: Vec<(String, String)> = kept.cloned().collect();
        let of_the_moment = webhook.form.iter().filter(|(name, _)| OF_THE_MOMENT.contains(&name.as_str()));
        let new = of_the_moment.filter(|(name, _)| !webhook.query.iter().any(|(known, _)| known == name));
        pairs.extend(new.cloned());
        pairs.extend(round.map(|round| (ROUND.to_owned(), round.to_string())));
        with_query(&self.url(path), &pairs)
    }
}
