//! Asking a customer's application for a document: `action` and `waitUrl` of `<Enqueue>` (`spec/voice.md` 2.1, 2.4).
//!
//! The request carries what the phone system sent, our account instead of the phone system's, what we know of the task,
//! and a signature with the account's token. The answer is taken only if a phone system could run it. Must not change a
//! document (that is `rewrite`). Start with [`State::ask`].

use axum::http::Method;
use secrecy::{ExposeSecret as _, SecretString};

use super::alerts::{
    CONNECTION_FAILURE, DOCUMENT_PARSE_FAILURE, INVALID_CONTENT_TYPE, INVALID_URL, RETRIEVAL_FAILURE, TOO_LARGE,
};
use super::enqueue::AFTER;
use super::request::{IDEMPOTENCY_HEADER, RELEASED, Sender, Webhook};
use super::rounds::ROUND;
use super::{State, xml};
use crate::outbound;
use crate::routing::{AccountSid, WorkspaceSid};
use crate::signature;

/// Parameters of our own URLs, which are nothing to the application.
const OWN_PARAMETERS: [&str; 9] =
    [RELEASED, ROUND, AFTER, "Task", "Twiml", "Action", "ActionMethod", "WaitUrl", "WaitMethod"];

/// Content types of what may be a document (`spec/voice.md` 1.2).
pub(super) const DOCUMENT_TYPES: [&str; 4] = ["text/xml", "application/xml", "text/html", "text/plain"];

/// What to ask.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) url: &'a str,
    /// `GET`; anything else is POST.
    pub(super) method: &'a str,
    /// What the phone system sent.
    pub(super) webhook: &'a Webhook,
    /// Parameters that are added, or that replace those of the same name.
    pub(super) extra: Vec<(String, String)>,
    /// Whose application it is.
    pub(super) workspace: Option<WorkspaceSid>,
}

/// What an application answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A TwiML document.
    Document(String),
    /// The URL is a sound.
    Audio,
}

/// Why an application's answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    NoAnswer(#[from] outbound::Error),
    #[error("expected status 200, found {0}")]
    Status(u16),
    #[error("expected status 2xx, found {0}")]
    Refused(u16),
    #[error("expected TwiML or sound, found content type {0:?}")]
    ContentType(String),
    #[error("expected a TwiML document: {0}")]
    NotTwiml(String),
    #[error("there is no account whose token signs the request")]
    NoAccount,
}

impl Failure {
    /// Twilio's code.
    pub(super) const fn code(&self) -> u32 {
        match self {
            Self::NoAnswer(outbound::Error::Unreachable(_) | outbound::Error::Timeout(_)) => CONNECTION_FAILURE,
            Self::NoAnswer(outbound::Error::TooLarge) => TOO_LARGE,
            Self::NoAnswer(_) => INVALID_URL,
            Self::Status(_) | Self::Refused(_) | Self::NoAccount => RETRIEVAL_FAILURE,
            Self::ContentType(_) => INVALID_CONTENT_TYPE,
            Self::NotTwiml(_) => DOCUMENT_PARSE_FAILURE,
        }
    }
}

impl State {
    /// Asks an application for a document.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Reply, Failure> {
        let (account, token) = self.signer(question).await.ok_or(Failure::NoAccount)?;
        reply_of(self.fetch(question, account, &token).await?)
    }

    /// Asks an application of `account`; whatever it answers.
    pub(super) async fn fetch(
        &self,
        question: &Question<'_>,
        account: AccountSid,
        token: &SecretString,
    ) -> Result<outbound::Answer, Failure> {
        let pairs = pairs_of(question, account);
        let is_get = question.method.eq_ignore_ascii_case("GET");
        let (url, form) =
            if is_get { (with_query(question.url, &pairs), Vec::new()) } else { (question.url.to_owned(), pairs) };
        let mut url = outbound::as_requested(&url);
        let mut headers = vec![(signature::HEADER, signature::sign_form(token.expose_secret(), &url, &form))];
        // How to ask, which is neither sent nor signed.
        if let Some((_, overrides)) = question.url.split_once('#') {
            url = format!("{url}#{overrides}");
        }
        headers.extend(question.webhook.cookie.clone().map(|cookie| ("cookie", cookie)));
        headers.extend(question.webhook.idempotency_token.clone().map(|token| (IDEMPOTENCY_HEADER, token)));
        let method = if is_get { Method::GET } else { Method::POST };
        let request = outbound::Request { method, url: &url, form: &form, headers: &headers };
        let sent = self.outbound.send(&request).await;
        let code = outbound::outcome_code(&sent);
        metrics::counter!("taskrouter_callback_attempts_total", "class" => "document", "code" => code).increment(1);
        Ok(sent?)
    }

    async fn signer(&self, question: &Question<'_>) -> Option<(AccountSid, SecretString)> {
        let owner = match (question.workspace, question.webhook.sender) {
            (Some(workspace), _) => self.read(self.store.account_of_workspace(workspace)).await.ok()?,
            (None, Sender::Account(account)) => Some(account),
            (None, Sender::PhoneSystem) => {
                self.read(self.store.accounts()).await.ok()?.first().map(|account| account.sid)
            }
        };
        let account = self.read(self.store.account(owner?)).await.ok()??;
        Some((account.sid, account.auth_token))
    }
}

fn pairs_of(question: &Question<'_>, account: AccountSid) -> Vec<(String, String)> {
    let is_replaced = |name: &str| {
        name == "AccountSid" || OWN_PARAMETERS.contains(&name) || question.extra.iter().any(|(extra, _)| extra == name)
    };
    let mut pairs: Vec<(String, String)> =
        question.webhook.pairs().filter(|(name, _)| !is_replaced(name)).cloned().collect();
    pairs.push(("AccountSid".to_owned(), account.to_string()));
    pairs.extend(question.extra.iter().cloned());
    pairs
}

/// Adds pairs to the query of a URL; its fragment, which is never sent, is dropped.
pub(super) fn with_query(url: &str, pairs: &[(String, String)]) -> String {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = match (url.contains('?'), query.is_empty()) {
        (_, true) => "",
        (true, false) => "&",
        (false, false) => "?",
    };
    format!("{url}{separator}{query}")
}

fn reply_of(answer: outbound::Answer) -> Result<Reply, Failure> {
    if !(200..300).contains(&answer.status) {
        return Err(Failure::Status(answer.status));
    }
    if answer.content_type.starts_with("audio/") {
        return Ok(Reply::Audio);
    }
    if !DOCUMENT_TYPES.contains(&answer.content_type.as_str()) {
        return Err(Failure::ContentType(answer.content_type));
    }
    let body = String::from_utf8(answer.body).map_err(|_| Failure::NotTwiml("it is not UTF-8".to_owned()))?;
    let body = body.trim_start_matches('\u{feff}').trim().to_owned();
    let outline = xml::outline(&body).map_err(Failure::NotTwiml)?;
    if outline.iter().find(|line| *line != "comment").map(String::as_str) != Some("1 Response") {
        return Err(Failure::NotTwiml("its root element is not Response".to_owned()));
    }
    Ok(Reply::Document(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, content_type: &str, body: &str) -> Result<Reply, Failure> {
        let body = body.as_bytes().to_vec();
        let content_type = content_type.to_owned();
        reply_of(outbound::Answer { status, content_type, set_cookie: Vec::new(), retry_after: None, body })
    }

    #[test]
    fn only_what_a_phone_system_can_run_is_taken() {
        let document = |text: &str| Ok(Reply::Document(text.to_owned()));
        assert_eq!(reply(200, "text/xml", "\u{feff}\n<Response/>\n"), document("<Response/>"));
        assert_eq!(
            reply(201, "text/html", "<Response><Say>x</Say></Response>"),
            document("<Response><Say>x</Say></Response>")
        );
        assert_eq!(reply(200, "audio/mpeg", ""), Ok(Reply::Audio));
        for (status, content_type, body) in [
            (204, "", ""),
            (200, "text/xml", ""),
            (302, "text/xml", "<Response/>"),
            (404, "text/xml", "<Response/>"),
            (500, "text/html", "<html/>"),
            (200, "text/html", "<html/>"),
            (200, "application/json", "<Response/>"),
            (200, "text/xml", "<Response>"),
            (200, "text/xml", "<!DOCTYPE x><Response/>"),
            (200, "text/plain", "hello"),
        ] {
            assert!(reply(status, content_type, body).is_err(), "{status} {content_type} {body}");
        }
    }

    #[test]
    fn parameters_are_passed_on_with_our_account_and_our_news() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let webhook = Webhook {
            sender: Sender::PhoneSystem,
            speaker: None,
            method: Method::POST,
            cookie: None,
            idempotency_token: None,
            target: "/voice/tasks/WT/left?released=1".to_owned(),
            form: vec![pair("CallSid", "CA1"), pair("AccountSid", "ACphone"), pair("QueueResult", "redirected")],
            query: vec![pair("released", "1")],
            xml: None,
        };
        let extra = vec![pair("QueueResult", "bridged"), pair("TaskSid", "WT1")];
        let question = Question { url: "", method: "POST", webhook: &webhook, extra, workspace: None };
        let account = AccountSid::from_bits(7);
        let expected = [
            pair("CallSid", "CA1"),
            pair("AccountSid", "AC00000000000000000000000000000007"),
            pair("QueueResult", "bridged"),
            pair("TaskSid", "WT1"),
        ];
        assert_eq!(pairs_of(&question, account), expected);
    }

    #[test]
    fn a_query_is_added_to_what_is_there() {
        let pairs = [("a b".to_owned(), "ü&".to_owned())];
        for (url, expected) in [
            ("https://app/x", "https://app/x?a+b=%C3%BC%26"),
            ("https://app/x?y=1", "https://app/x?y=1&a+b=%C3%BC%26"),
            ("https://app/x#rc=2", "https://app/x?a+b=%C3%BC%26"),
        ] {
            assert_eq!(with_query(url, &pairs), expected);
        }
        assert_eq!(with_query("https://app/x", &[]), "https://app/x");
    }
}
