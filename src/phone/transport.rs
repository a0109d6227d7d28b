//! One HTTP request to the phone system, and when it may be made again (`spec/voice.md` 5.5).
//!
//! Must not know what a request means. Start with [`Transport::once`] and [`Failure`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tokio::sync::Notify;

use super::{Credentials, Error, Patience, PhoneSettings, Wording};
use crate::clock::{Clock, Entropy};
use crate::outbound;
use crate::traces;

/// Largest answer that is read, in bytes: a page of 250 participants or 50 calls.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// The code of a call that is not in progress.
const NOT_LIVE: i32 = 21220;
/// The code of what does not exist.
const NOT_FOUND: i32 = 20404;
/// Answers that say nothing are warned of only so often.
const WARNED_EVERY: Duration = Duration::from_mins(1);
/// Longest message of an error that is kept, in characters.
const MESSAGE_LIMIT: usize = 300;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Writes a value as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection: the phone system never saw it.
    NotSent(String),
    /// It was sent and no complete answer came: it may have been carried out.
    Lost(String),
    /// The phone system answered with an error.
    Rejected { status: u16, code: Option<i32>, message: String, retry_after: Option<Duration> },
}

impl Failure {
    /// The call is not live or the resource does not exist, as the phone system itself says.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Rejected { code: Some(NOT_LIVE | NOT_FOUND), .. })
    }

    /// A 404 without the phone system's code for it: a proxy in between has no way to the phone system, so it says nothing
    /// of the call or the room.
    pub(super) fn is_odd(&self) -> bool {
        matches!(self, Self::Rejected { status: 404, .. }) && !self.is_gone()
    }

    /// Another leg of the room has that label.
    pub(super) fn is_label_taken(&self) -> bool {
        matches!(self, Self::Rejected { code: Some(16025), .. })
    }

    /// An answer that a repetition would not change.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Rejected { status, code, .. } => {
                *status < 500 && *status != 429 && *code != Some(20429) && !self.is_odd()
            }
            Self::NotSent(_) | Self::Lost(_) => false,
        }
    }

    /// Whether the phone system may have done what was asked although it did not say so.
    pub(super) fn may_have_been_carried_out(&self) -> bool {
        match self {
            Self::NotSent(_) => false,
            Self::Lost(_) => true,
            // 503 is said before anything is done (voice.md 5.5).
            Self::Rejected { status, .. } => (*status >= 500 && *status != 503) || self.is_odd(),
        }
    }

    /// It may be us who are refused, not what we asked for.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Rejected { status: 401 | 403, .. })
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::NotSent(message) | Self::Lost(message) => message.clone(),
            Self::Rejected { status, code: Some(code), message, .. } => format!("{status}, code {code}: {message}"),
            Self::Rejected { status, code: None, message, .. } => format!("{status}: {message}"),
        }
    }
}

/// What an answer has to be about: a proxy may answer with something else, and with 200.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The call or the room with this SID.
    Sid(&'a str),
    /// A list of this name.
    List(&'a str),
    /// One participant, whoever it is.
    Participant,
}

impl Subject<'_> {
    fn is_of(self, answer: &Value) -> bool {
        match self {
            Self::Sid(sid) => answer.get("sid").and_then(Value::as_str) == Some(sid),
            Self::List(name) => answer.get(name).is_some_and(Value::is_array),
            Self::Participant => answer.get("call_sid").is_some_and(Value::is_string),
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sid(sid) => write!(f, "{sid}"),
            Self::List(name) => write!(f, "a list of {name}"),
            Self::Participant => f.write_str("a participant"),
        }
    }
}

/// The HTTP side of the phone system's REST.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    base: String,
    credentials: Credentials,
    pub(super) patience: Patience,
    error_codes: bool,
    pub(super) wording: Wording,
    clock: Clock,
    entropy: Entropy,
    /// When somebody in between was last warned of.
    warned: Arc<Mutex<Option<Instant>>>,
    /// Told of each request that was refused as one of somebody who may not make it.
    pub(super) doubt: Arc<Notify>,
}

impl Transport {
    pub(super) fn new(
        settings: PhoneSettings,
        patience: Patience,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, Error> {
        let url = url::Url::parse(&settings.url).map_err(|_| Error::InvalidUrl(settings.url.clone()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::InvalidUrl(settings.url));
        }
        let client = outbound::client_builder().connect_timeout(patience.connect).timeout(patience.request).build()?;
        let base = settings.wording.account(&settings.url, &settings.account_sid);
        Ok(Self {
            client,
            base,
            credentials: settings.credentials,
            patience,
            error_codes: settings.abilities.error_codes,
            wording: settings.wording,
            clock,
            entropy,
            warned: Arc::default(),
            doubt: Arc::default(),
        })
    }

    /// Sends one request of a command.
    pub(super) async fn once(&self, method: Method, path: &str, pairs: &[(String, String)]) -> Result<Value, Failure> {
        let answered = self.send(method, path, pairs).await;
        if answered.as_ref().is_err_and(Failure::is_about_credentials) {
            self.doubt.notify_one();
        }
        answered
    }

    /// Sends one request; pairs are the form of a POST, else the query. The path is one below the account, without what all
    /// paths end with.
    pub(super) async fn send(&self, method: Method, path: &str, pairs: &[(String, String)]) -> Result<Value, Failure> {
        let request = self.client.request(method.clone(), format!("{}/{path}{}", self.base, self.wording.suffix));
        let request = self.credentials.show(request).headers(traces::headers());
        let request = request.header(header::ACCEPT, "application/json");
        let request = if method == Method::POST { request.form(pairs) } else { request.query(pairs) };
        let mut response = request.send().await.map_err(|error| failure_of(&error))?;
        let status = response.status();
        let retry_after = outbound::retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure_of(&error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(Failure::Lost(format!("the answer is larger than {ANSWER_LIMIT} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        // Proxies answer with HTML and a deletion with nothing: what is not JSON is read as nothing.
        let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let mut failure = self.rejection(status, &answer, retry_after);
        if failure.is_odd() {
            if self.error_codes {
                self.warn(&format!("404 without the code {NOT_FOUND}"));
            } else if let Failure::Rejected { code, .. } = &mut failure {
                *code = Some(NOT_FOUND);
            }
        }
        Err(failure)
    }

    fn rejection(&self, status: StatusCode, answer: &Value, retry_after: Option<Duration>) -> Failure {
        let (code, message) = self.wording.refusal(answer);
        let reason = || status.canonical_reason().unwrap_or("no reason").to_owned();
        let message = message.unwrap_or_else(reason).chars().take(MESSAGE_LIMIT).collect();
        Failure::Rejected { status: status.as_u16(), code, message, retry_after }
    }

    /// Says that somebody else than the phone system answers for it.
    fn warn(&self, what: &str) {
        let now = self.clock.instant();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| now.duration_since(at) >= WARNED_EVERY) {
            *warned = Some(now);
            tracing::warn!(what, "an answer that is not the phone system's: is there a proxy in between?");
        }
    }

    /// Asks for something until an answer is about it, or says that it is not there.
    pub(super) async fn look(
        &self,
        path: &str,
        pairs: &[(String, String)],
        subject: Subject<'_>,
        last_error: &mut String,
    ) -> Result<Value, Failure> {
        let mut attempt = 0;
        loop {
            let answer = self.repeat(Method::GET, path, pairs, last_error).await?;
            if subject.is_of(&answer) {
                return Ok(answer);
            }
            let failure = Failure::Lost(format!("expected {subject} in the answer"));
            self.warn(&failure.text());
            self.pause(attempt, &failure, last_error).await;
            attempt += 1;
        }
    }

    /// Sends a request that is harmless to repeat, until there is an answer that a repetition would not change.
    pub(super) async fn repeat(
        &self,
        method: Method,
        path: &str,
        pairs: &[(String, String)],
        last_error: &mut String,
    ) -> Result<Value, Failure> {
        let mut attempt = 0;
        loop {
            match self.once(method.clone(), path, pairs).await {
                Err(failure) if !failure.is_refusal() => self.pause(attempt, &failure, last_error).await,
                answered => return answered,
            }
            attempt += 1;
        }
    }

    /// Waits before a repetition: doubling, with jitter, or as long as the phone system asked for.
    pub(super) async fn pause(&self, attempt: u32, failure: &Failure, last_error: &mut String) {
        *last_error = failure.text();
        let asked = match failure {
            Failure::Rejected { retry_after, .. } => *retry_after,
            Failure::NotSent(_) | Failure::Lost(_) => None,
        };
        let doubled = self.patience.first_pause.saturating_mul(1 << attempt.min(10)).min(self.patience.longest_pause);
        let mut random = [0];
        self.entropy.fill(&mut random);
        let jittered = doubled.mul_f64(0.5 + f64::from(random[0]) / 510.0);
        // Even without a pause the other tasks and the time limit get their turn.
        tokio::task::yield_now().await;
        tokio::time::sleep(asked.unwrap_or(jittered)).await;
    }
}

fn failure_of(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::NotSent(format!("cannot connect: {}", outbound::innermost(error)));
    }
    if error.is_timeout() {
        return Failure::Lost("no complete answer in time".to_owned());
    }
    Failure::Lost(outbound::innermost(error))
}
