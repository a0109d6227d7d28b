//! Asking a customer's application for a document: `action` and `waitUrl` of `<Enqueue>` (`spec/voice.md` 2.1, 2.4).
//!
//! The request carries what the phone system sent, our account instead of the phone system's, what we know of the task,
//! and a signature with the account's token. The answer is taken only if a phone system could run it. Must not change a
//! document (that is `rewrite`). Start with [`State::ask`].

use axum::http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::alerts::{
    CONNECTION_FAILURE, DOCUMENT_PARSE_FAILURE, INVALID_CONTENT_TYPE, INVALID_URL, RETRIEVAL_FAILURE, TOO_LARGE,
};
use super::enqueue::{AFTER, DOCUMENTS};
use super::ours::ON_BEHALF;
use super::request::{IDEMPOTENCY_HEADER, RELEASED, Sender, Webhook};
use super::rounds::ROUND;
use super::{State, cookies, xml};
use crate::outbound;
use crate::routing::{AccountSid, WorkspaceSid};
use crate::signature;

/// Parameters of our own URLs, which are nothing to the application.
const OWN_PARAMETERS: [&str; 13] = [
    RELEASED,
    ROUND,
    DOCUMENTS,
    AFTER,
    ON_BEHALF,
    "Task",
    "Priority",
    "Timeout",
    "Twiml",
    "Action",
    "ActionMethod",
    "WaitUrl",
    "WaitMethod",
];

/// Longest text that is read aloud, in characters; what is more is not said.
const SPOKEN_MAX: usize = 4_096;

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
pub(super) struct Reply {
    pub(super) said: Said,
    /// Cookies for the phone system, in our names.
    pub(super) cookies: Vec<String>,
}

/// What is in an application's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A TwiML document.
    Document(String),
    /// The URL is a sound.
    Audio,
}

/// What an answer is by its content type (`spec/voice.md` 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A document.
    Document,
    /// A document, or text that is read aloud.
    Text,
    /// A sound.
    Sound,
}

impl Kind {
    /// An answer that does not say what it is counts as a document; one that a phone system cannot run has no kind.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "" | "text/xml" | "application/xml" | "text/html" => Some(Self::Document),
            "text/plain" => Some(Self::Text),
            _ if content_type.starts_with("audio/") => Some(Self::Sound),
            _ => None,
        }
    }

    /// A document that reads `text` aloud, if that is what is to be done with it.
    pub(super) fn read_aloud(self, text: &str) -> Option<String> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if self != Self::Text || text.is_empty() || twiml(text).is_ok() {
            return None;
        }
        let spoken: String = text.chars().take(SPOKEN_MAX).collect();
        Some(format!("<Response><Say>{}</Say></Response>", xml::escape(&spoken).0))
    }
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

    /// The status that the phone system gets: the application's own, because what is done then may depend on it (`#rp=`).
    pub(super) fn status(&self) -> StatusCode {
        let own = match self {
            Self::Status(status @ 400..600) | Self::Refused(status @ 400..600) => StatusCode::from_u16(*status).ok(),
            _ => None,
        };
        own.unwrap_or(StatusCode::BAD_GATEWAY)
    }
}

impl State {
    /// Asks an application for a document.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Reply, Failure> {
        let (account, token) = self.signer(question).await.ok_or(Failure::NoAccount)?;
        reply_of(self.fetch(question, account, &token).await?)
    }

    /// Asks an application of `account`; whatever it answers. Cookies have their own names there and ours here.
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
        let sent = question.webhook.cookie.as_deref();
        let cookie = sent.and_then(|sent| cookies::for_application(question.url, sent));
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        headers.extend(question.webhook.idempotency_token.clone().map(|token| (IDEMPOTENCY_HEADER, token)));
        let method = if is_get { Method::GET } else { Method::POST };
        let request = outbound::Request { method, url: &url, form: &form, headers: &headers };
        let sent = self.outbound.send(&request).await;
        let code = outbound::outcome_code(&sent);
        metrics::counter!("taskrouter_callback_attempts_total", "class" => "document", "code" => code).increment(1);
        let mut answer = sent?;
        let is_encrypted = self.public_url.starts_with("https:");
        answer.set_cookie = cookies::for_phone(question.url, &answer.set_cookie, is_encrypted);
        Ok(answer)
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
    let said = match Kind::of(&answer.content_type) {
        None => return Err(Failure::ContentType(answer.content_type)),
        Some(Kind::Sound) => Said::Audio,
        Some(kind) => {
            let body = String::from_utf8(answer.body).map_err(|_| Failure::NotTwiml("it is not UTF-8".to_owned()))?;
            if let Some(spoken) = kind.read_aloud(&body) {
                Said::Document(spoken)
            } else {
                let body = body.trim_start_matches('\u{feff}').trim().to_owned();
                twiml(&body)?;
                Said::Document(body)
            }
        }
    };
    Ok(Reply { said, cookies: answer.set_cookie })
}

/// Whether a text is a document that a phone system can run.
fn twiml(text: &str) -> Result<(), Failure> {
    let outline = xml::outline(text).map_err(Failure::NotTwiml)?;
    if outline.iter().find(|line| *line != "comment").map(String::as_str) != Some("1 Response") {
        return Err(Failure::NotTwiml("its root element is not Response".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, content_type: &str, body: &str) -> Result<Reply, Failure> {
        let body = body.as_bytes().to_vec();
        let content_type = content_type.to_owned();
        reply_of(outbound::Answer { status, content_type, set_cookie: vec!["a=1".to_owned()], retry_after: None, body })
    }

    /// An answer to `action` or `waitUrl` is taken for what a voice document is taken for.
    #[test]
    fn an_answer_without_content_type_is_a_document_and_text_is_read_aloud() {
        let reply_with = |text: String| Ok(Reply { said: Said::Document(text), cookies: vec!["a=1".to_owned()] });
        let read = |text: &str| reply_with(format!("<Response><Say>{text}</Say></Response>"));
        assert_eq!(reply(200, "", "<Response/>"), reply_with("<Response/>".to_owned()));
        assert_eq!(reply(200, "text/plain", " <Response/>\n"), reply_with("<Response/>".to_owned()));
        assert_eq!(reply(200, "text/plain", "\u{feff} Grüße & <b>\n"), read("Grüße &amp; &lt;b&gt;"));
        assert_eq!(reply(200, "text/plain", "<Say>x</Say>"), read("&lt;Say&gt;x&lt;/Say&gt;"));
        assert_eq!(reply(200, "text/plain", &"ü".repeat(5_000)), read(&"ü".repeat(4_096)));
        for (content_type, body) in [("", "hello"), ("", ""), ("text/plain", " \n"), ("text/html", "hello")] {
            assert!(reply(200, content_type, body).is_err(), "{content_type} {body}");
        }
    }

    #[test]
    fn what_an_application_refuses_with_is_what_the_phone_system_gets() {
        for (failure, expected) in [
            (Failure::Status(404), 404),
            (Failure::Status(503), 503),
            (Failure::Refused(429), 429),
            (Failure::Status(302), 502),
            (Failure::Status(100), 502),
            (Failure::NoAccount, 502),
        ] {
            assert_eq!(failure.status().as_u16(), expected, "{failure}");
        }
    }

    #[test]
    fn only_what_a_phone_system_can_run_is_taken() {
        let reply_with = |said: Said| Ok(Reply { said, cookies: vec!["a=1".to_owned()] });
        let document = |text: &str| reply_with(Said::Document(text.to_owned()));
        assert_eq!(reply(200, "text/xml", "\u{feff}\n<Response/>\n"), document("<Response/>"));
        assert_eq!(
            reply(201, "text/html", "<Response><Say>x</Say></Response>"),
            document("<Response><Say>x</Say></Response>")
        );
        assert_eq!(reply(200, "audio/mpeg", ""), reply_with(Said::Audio));
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
