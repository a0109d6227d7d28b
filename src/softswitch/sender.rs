//! Makes the phone system's own requests: voice webhooks, whose answer is a document, and status callbacks.
//!
//! Each is signed as the dialect wants it. A request has 15 s in all, follows at most 10 redirects (signed anew) and
//! is repeated once when no connection came about, unless its URL says otherwise in `overrides`. Must not know calls.
//! Start with [`Sender::fetch`].

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::Semaphore;
use url::Url;

use super::cookies::Cookies;
use super::core::{FetchFailure, Webhook};
use super::dialect::Spoken;
use super::faults::{Fate, Faults, Side};
use super::options::Method;
use super::overrides::{Failed, Overrides};
use super::twiml::{DOCUMENT_BYTES_MAX, Document};

const TOTAL: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Pause before a repetition; a receiver that restarts is back by then.
const RECONNECT: Duration = Duration::from_secs(1);
const REDIRECTS_MAX: usize = 10;
const FORM: &str = "application/x-www-form-urlencoded";
const AT_ONCE_MAX: usize = 256;
const IDEMPOTENCY_HEADER: &str = "I-Twilio-Idempotency-Token";

/// The HTTP client and what signs for it; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: Client,
    spoken: Arc<Spoken>,
    permits: Arc<Semaphore>,
    cookies: Arc<Cookies>,
    faults: Arc<Faults>,
}

/// An answer with the URL it came from in the end.
struct Answer {
    response: Response,
    url: String,
}

impl Sender {
    pub(super) fn new(spoken: Arc<Spoken>, faults: Arc<Faults>) -> Self {
        // Err means that the process has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .user_agent(concat!("switchhook-phone/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("the client is built from constants");
        Self { client, spoken, permits: Arc::new(Semaphore::new(AT_ONCE_MAX)), cookies: Arc::default(), faults }
    }

    /// Asks for a document.
    pub(super) async fn fetch(&self, webhook: &Webhook) -> Result<Document, FetchFailure> {
        self.within_time(&webhook.url, async {
            let answer = self.send(webhook).await?;
            let kind = content_type(answer.response.headers());
            let text = read_body(answer.response).await?;
            if self.faults.next(Side::Documents, "", &text).is_some() {
                return Err(failure(12200, "refused by an ordered fault"));
            }
            let base = Url::parse(&answer.url).map_err(|_| failure(11100, "the URL cannot be read"))?;
            Document::from_answer(&kind, &text, &base)
                .map_err(|error| FetchFailure { code: error.code, message: error.message })
        })
        .await
    }

    /// Delivers a callback; its answer matters only as success or not.
    pub(super) async fn notify(&self, webhook: &Webhook) -> Result<(), FetchFailure> {
        let fault = self.faults.next(Side::Callbacks, "", &webhook.url);
        let (delay, fate) = fault.map_or((Duration::ZERO, None), |fault| (fault.delay(), fault.fate));
        if fate == Some(Fate::OutOfOrder) {
            let (sender, webhook) = (self.clone(), webhook.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if sender.deliver(&webhook).await.is_err() {
                    tracing::warn!("a status callback that was sent out of order was not delivered");
                }
            });
            return Ok(());
        }
        tokio::time::sleep(delay).await;
        match fate {
            Some(Fate::Lost) => return Err(failure(11205, "lost by an ordered fault")),
            Some(Fate::Twice) => self.deliver(webhook).await?,
            Some(Fate::OutOfOrder) | None => {}
        }
        self.deliver(webhook).await
    }

    async fn deliver(&self, webhook: &Webhook) -> Result<(), FetchFailure> {
        self.within_time(&webhook.url, async { self.send(webhook).await.map(drop) }).await
    }

    async fn within_time<T>(
        &self,
        url: &str,
        work: impl Future<Output = Result<T, FetchFailure>>,
    ) -> Result<T, FetchFailure> {
        let _permit = self.permits.acquire().await.map_err(|_| failure(11205, "shutting down"))?;
        let total = Overrides::of(url).total;
        tokio::time::timeout(total, work).await.map_err(|_| failure(11205, "no answer in time"))?
    }

    async fn send(&self, webhook: &Webhook) -> Result<Answer, FetchFailure> {
        let overrides = Overrides::of(&webhook.url);
        let mut retries = overrides.retries;
        let mut url = as_requested(&webhook.url)?;
        let mut method = webhook.method;
        let mut params = webhook.params.as_slice();
        for _ in 0..=REDIRECTS_MAX {
            let response = loop {
                let result = self.attempt(&url, method, params, webhook, overrides.attempt).await;
                let failed = match &result {
                    Err(error) if error.is_connect() => Some(Failed::Connecting),
                    Err(_) => Some(Failed::Reading),
                    Ok(response) if response.status().as_u16() >= 400 => {
                        Some(Failed::Status(response.status().as_u16()))
                    }
                    Ok(_) => None,
                };
                if retries == 0 || !failed.is_some_and(|failed| overrides.repeats(failed)) {
                    break result;
                }
                retries -= 1;
                tokio::time::sleep(RECONNECT).await;
            }
            .map_err(|error| transport_failure(&error))?;
            self.cookies.keep(call_of(webhook), &url, response.headers());
            let status = response.status();
            if status.is_success() {
                return Ok(Answer { response, url });
            }
            let Some(next) = redirect_target(&url, &response) else {
                return Err(FetchFailure { code: 11200, message: format!("answered {}", status.as_u16()) });
            };
            if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                method = Method::Get;
                params = &[];
            }
            url = next;
        }
        Err(failure(11215, "more than 10 redirects"))
    }

    async fn attempt(
        &self,
        url: &str,
        method: Method,
        params: &[(String, String)],
        webhook: &Webhook,
        time: Duration,
    ) -> Result<Response, reqwest::Error> {
        let (request, signatures) = match method {
            Method::Post => {
                let body = encoded(params);
                let signatures = self.spoken.signatures(url, params, &body);
                (self.client.post(url).header(CONTENT_TYPE, FORM).body(body), signatures)
            }
            Method::Get => {
                let url = with_query(url, params);
                let signatures = self.spoken.signatures(&url, &[], "");
                (self.client.get(url), signatures)
            }
        };
        let request = signatures.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = match self.cookies.of(call_of(webhook), url) {
            Some(cookies) => request.header(COOKIE, cookies),
            None => request,
        };
        request.header(IDEMPOTENCY_HEADER, &webhook.idempotency_token).timeout(time).send().await
    }
}

/// The call that a webhook is about; empty for one of a room.
fn call_of(webhook: &Webhook) -> &str {
    webhook.params.iter().find(|(name, _)| name == "CallSid").map_or("", |(_, call)| call.as_str())
}

/// The URL in the form that goes over the wire, which is the one to sign: characters that need it are encoded, and a
/// fragment is not part of it.
fn as_requested(url: &str) -> Result<String, FetchFailure> {
    let mut url = Url::parse(url).map_err(|_| failure(11100, "the URL cannot be read"))?;
    url.set_fragment(None);
    Ok(url.into())
}

fn failure(code: u32, message: &str) -> FetchFailure {
    FetchFailure { code, message: message.to_owned() }
}

fn transport_failure(error: &reqwest::Error) -> FetchFailure {
    if error.is_builder() {
        failure(11100, "the URL cannot be requested")
    } else if error.is_timeout() {
        failure(11205, "no answer in time")
    } else {
        failure(11205, "the connection failed")
    }
}

fn with_query(url: &str, params: &[(String, String)]) -> String {
    if params.is_empty() {
        return url.to_owned();
    }
    let query = encoded(params);
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

fn encoded(params: &[(String, String)]) -> String {
    serde_urlencoded::to_string(params).unwrap_or_default()
}

fn redirect_target(url: &str, response: &Response) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut next = Url::parse(url).ok()?.join(location).ok()?;
    next.set_fragment(None);
    matches!(next.scheme(), "http" | "https").then(|| next.into())
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/xml").to_owned()
}

/// Reads at most one byte more than a document may have, so that a huge answer is refused and not held.
async fn read_body(mut response: Response) -> Result<String, FetchFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport_failure(&error))? {
        let room = (DOCUMENT_BYTES_MAX + 1).saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() > DOCUMENT_BYTES_MAX {
            return Err(failure(11750, "the document has more than 64 kB"));
        }
    }
    String::from_utf8(body).map_err(|_| failure(12100, "the document is not UTF-8"))
}
