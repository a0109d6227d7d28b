//! Reading a webhook: raw pairs, signature, parameters (`spec/voice.md` 1.1 and 1.4).
//!
//! The signature is checked over the request target exactly as it came in, before anything is done. Must not have
//! effects. Start with [`read`].

use axum::body::Bytes;
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};

use super::State;
use super::ours::ON_BEHALF;
use super::owner::Owner;
use crate::calls::{CallSid, CallStatus};
use crate::credentials;
use crate::routing::{AccountSid, TaskSid, WorkspaceSid};
use crate::signature::ed25519::PublicKey;
use crate::signature::{self, ed25519};
use crate::store;

/// Largest body of a webhook, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Longest identifier of a call, in bytes.
const CALL_SID_LIMIT: usize = 128;
/// Accounts whose tokens are tried; each costs two hashes.
const ACCOUNT_LIMIT: usize = 100;

/// Header that tells the attempts at one webhook from another webhook.
pub(super) const IDEMPOTENCY_HEADER: &str = "i-twilio-idempotency-token";

/// Parameter of the document of a caller whom we let go.
pub(super) const RELEASED: &str = "released";

/// The store could not be read; the log says why.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Who sent a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sender {
    /// The phone system, which serves all accounts.
    PhoneSystem,
    /// An application with the credentials of one account, or the phone system at a URL that such an application wrote.
    Account(AccountSid),
}

/// A webhook whose sender is known.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    /// What it may touch.
    pub(super) sender: Sender,
    /// Whose application says what is to be done, where one does.
    pub(super) speaker: Option<Owner>,
    /// `GET` or `POST`.
    pub(super) method: Method,
    /// Cookies that applications gave the call, which pass through us.
    pub(super) cookie: Option<String>,
    /// What is the same in all attempts at this webhook, by which an application knows a repetition.
    pub(super) idempotency_token: Option<String>,
    /// Path and query exactly as requested.
    pub(super) target: String,
    /// Decoded pairs of the form.
    pub(super) form: Vec<(String, String)>,
    /// Decoded pairs of the query.
    pub(super) query: Vec<(String, String)>,
    /// A body that is XML.
    pub(super) xml: Option<String>,
}

impl Webhook {
    /// The first value of a parameter; the form comes before the query.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.form.iter().chain(&self.query);
        pairs.find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of our own URL; an empty one counts as absent.
    pub(super) fn of_query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// The same as [`Webhook::get`], with an absent parameter as the empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A whole number; anything else counts as absent.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name).trim().parse().ok()
    }

    /// `CallSid`, opaque, of 1 to 128 bytes.
    pub(super) fn call(&self) -> Option<CallSid> {
        let call = self.get("CallSid").filter(|call| !call.is_empty() && call.len() <= CALL_SID_LIMIT)?;
        Some(CallSid(call.to_owned()))
    }

    /// Whether `CallStatus` says that the call is over.
    pub(super) fn call_ended(&self) -> bool {
        CallStatus::from_text(self.text("CallStatus")).is_some_and(CallStatus::is_final)
    }

    /// The same without some parameters of the query, which are ours.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.query.retain(|(name, _)| !names.contains(&name.as_str()));
        rest
    }

    /// All pairs, the form's first.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.form.iter().chain(&self.query)
    }
}

/// Reads a webhook and makes sure who sent it; the error is the answer.
pub(super) async fn read(state: &State, request: Request) -> Result<Webhook, Response> {
    let unchecked = Unchecked::receive(request).await?;
    let sender = match sender(state, &unchecked).await {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(%error, "cannot tell who sent a voice webhook");
            return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
    };
    let Some(sender) = sender else {
        // Without the query, in which there may be attributes.
        let path = unchecked.target.split('?').next().unwrap_or_default();
        let checked: Vec<String> = state.bases(&unchecked).iter().map(|base| format!("{base}{path}")).collect();
        tracing::warn!(
            checked_urls = checked.join(" "),
            signed = unchecked.signature().is_some() || unchecked.headers.contains_key(ed25519::HEADER),
            "refused a voice webhook without a valid signature; if the phone system was told another URL, set \
             SWITCHHOOK_PUBLIC_URL to its beginning; if it signs with Ed25519, check SWITCHHOOK_PHONE_PUBLIC_KEY and both \
             clocks"
        );
        return Err(StatusCode::FORBIDDEN.into_response());
    };
    let mut webhook = unchecked.sent_by(sender);
    if sender == Sender::PhoneSystem
        && let Some(account) = webhook.of_query(ON_BEHALF)
    {
        webhook.sender = Sender::Account(account.parse().map_err(|_| StatusCode::FORBIDDEN.into_response())?);
    }
    Ok(webhook)
}

/// A webhook whose sender is not known yet.
#[derive(Debug)]
struct Unchecked {
    method: Method,
    target: String,
    headers: HeaderMap,
    /// As sent.
    bytes: Bytes,
    body: Body,
}

/// A body by its content type.
#[derive(Debug)]
enum Body {
    Form(Vec<(String, String)>),
    Other { is_xml: bool },
}

impl Unchecked {
    async fn receive(request: Request) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, BODY_LIMIT).await else {
            return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response());
        };
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let body = match content_type.to_ascii_lowercase().as_str() {
            _ if parts.method == Method::GET || bytes.is_empty() => Body::Form(Vec::new()),
            "application/xml" | "text/xml" => Body::Other { is_xml: true },
            "application/json" => Body::Other { is_xml: false },
            _ => Body::Form(pairs_of(&bytes)),
        };
        Ok(Self { method: parts.method, target, headers: parts.headers, bytes, body })
    }

    /// What stands in the first header for a signature that there is.
    fn signature(&self) -> Option<&str> {
        let mut given = signature::HEADERS.iter().filter_map(|name| self.headers.get(*name));
        given.next().and_then(|value| value.to_str().ok())
    }

    /// Whether the signature was made with `token` for this request at `public_url`.
    fn is_signed_with(&self, token: &SecretString, public_url: &str) -> bool {
        let Some(given) = self.signature() else { return false };
        let url = format!("{}{}", public_url.trim_end_matches('/'), self.target);
        match &self.body {
            Body::Form(pairs) => signature::verify_form(token.expose_secret(), &url, pairs, given),
            // A body that is not a form is covered only by its hash in the URL.
            Body::Other { .. } => signature::verify_body(token.expose_secret(), &url, &self.bytes, given),
        }
    }

    /// Whether the body was signed with the other half of `key` a short time ago. That says nothing of the query, so a `GET`
    /// is never signed.
    fn is_signed_by(&self, key: &PublicKey, now_secs: i64) -> bool {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(time), Some(signature)) = (header(ed25519::TIME_HEADER), header(ed25519::HEADER)) else {
            return false;
        };
        self.method == Method::POST && key.verify(time, &self.bytes, signature, now_secs)
    }

    fn sent_by(self, sender: Sender) -> Webhook {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let query = pairs_of(query.as_bytes());
        let (form, xml) = match self.body {
            Body::Form(form) => (form, None),
            Body::Other { is_xml } => (Vec::new(), is_xml.then(|| String::from_utf8_lossy(&self.bytes).into_owned())),
        };
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (cookie, idempotency_token) = (header(header::COOKIE.as_str()), header(IDEMPOTENCY_HEADER));
        Webhook {
            sender,
            speaker: None,
            method: self.method,
            cookie,
            idempotency_token,
            target: self.target,
            form,
            query,
            xml,
        }
    }
}

fn pairs_of(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

async fn sender(state: &State, request: &Unchecked) -> Result<Option<Sender>, store::Error> {
    let bases = state.bases(request);
    let is_signed_with = |token: &SecretString| bases.iter().any(|base| request.is_signed_with(token, base));
    // Credentials may also belong to a proxy in between, so wrong ones do not count against a good signature.
    let login = state.read(credentials::check(&state.store, &request.headers)).await;
    if let Ok(Some(login)) = login {
        return Ok(Some(Sender::Account(login.account)));
    }
    let is_signed_by = |key: &PublicKey| request.is_signed_by(key, state.clock.now().0.div_euclid(1_000));
    if state.phone_tokens.iter().any(is_signed_with) || state.phone_key.as_ref().is_some_and(is_signed_by) {
        return Ok(Some(Sender::PhoneSystem));
    }
    if request.signature().is_some() {
        let accounts = state.read(state.store.accounts()).await?;
        let mut signers = accounts.iter().take(ACCOUNT_LIMIT);
        if let Some(account) = signers.find(|account| is_signed_with(&account.auth_token)) {
            return Ok(Some(Sender::Account(account.sid)));
        }
    }
    if state.insecure_skip_signature {
        return Ok(Some(Sender::PhoneSystem));
    }
    login.map(|_| None)
}

impl State {
    /// The base URLs of which the sender may have signed one: the public one alone where it is set, else the listener's
    /// and the one the request was addressed to (`spec/voice.md` 1.4, rule 2).
    fn bases(&self, request: &Unchecked) -> Vec<String> {
        let mut bases = vec![self.public_url.trim_end_matches('/').to_owned()];
        let requested = self.requested_url.base(&request.headers);
        if !bases.contains(&requested) {
            bases.push(requested);
        }
        bases
    }

    /// Whether the sender may touch this workspace.
    pub(super) async fn may_touch(&self, sender: Sender, workspace: WorkspaceSid) -> bool {
        match sender {
            Sender::PhoneSystem => true,
            Sender::Account(account) => {
                let owner = self.read(self.store.account_of_workspace(workspace)).await;
                matches!(owner, Ok(Some(owner)) if owner == account)
            }
        }
    }

    /// The workspace of the task in a path, if the sender may touch it. The record of the calls core tells it, because it
    /// outlives a task that was deleted until its caller has been let go.
    pub(super) async fn workspace_of(&self, sender: Sender, task: TaskSid) -> Result<Option<WorkspaceSid>, Unreadable> {
        match self.read(self.store.voice_task(task)).await {
            Ok(Some(row)) if self.may_touch(sender, row.workspace).await => Ok(Some(row.workspace)),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::error!(task.sid = %task, %error, "cannot look up the workspace of a task");
                Err(Unreadable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://mycompany.com";
    const TARGET: &str = "/myapp.php?foo=1&bar=2";
    const FORM: &str =
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";

    async fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Unchecked {
        let mut builder = axum::http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(axum::body::Body::from(body.to_owned())).unwrap();
        Unchecked::receive(request).await.unwrap()
    }

    async fn is_signed(base: &str, target: &str, content_type: &str, body: &str, signature: &str) -> bool {
        let headers = [("content-type", content_type), (signature::HEADER, signature)];
        request("POST", target, &headers, body).await.is_signed_with(&SecretString::from("12345"), base)
    }

    #[tokio::test]
    async fn form_vectors_hold_for_whole_requests() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let duplicates = "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234";
        for (base, body, signature, expected) in [
            (BASE, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true),
            ("https://mycompany.com/", FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true),
            (BASE, FORM, "kvajT1Ptam85bY51eRf/AJRuM3w=", true),
            ("https://mycompany.com:443", FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true),
            ("http://mycompany.com", FORM, "0ZXoZLH/DfblKGATFgpif+LLRf4=", true),
            (BASE, duplicates, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", true),
            ("https://other.com", FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false),
            (BASE, "CallSid=CA1", "RSOYDt4T1cUTdK1PDd93/VVr8B8=", false),
            (BASE, FORM, "", false),
            (BASE, FORM, "RSOYDt4T1cUTdK1PDd93", false),
        ] {
            assert_eq!(is_signed(base, TARGET, form, body, signature).await, expected, "{base} {signature}");
        }
        assert!(!is_signed(BASE, "/myapp.php?bar=2&foo=1", form, FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8=").await);
    }

    #[tokio::test]
    async fn a_body_that_is_no_form_must_be_hashed_in_the_url() {
        let body = "{\"property\": \"value\", \"boolean\": true}";
        let hashed = format!("{TARGET}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620");
        let signature = "a9nBmqA0ju/hNViExpshrM61xv4=";
        assert!(is_signed(BASE, &hashed, "application/json", body, signature).await);
        assert!(!is_signed(BASE, &hashed, "application/json", "{}", signature).await);
        let url_only = signature::sign_form::<&str, &str>("12345", &format!("{BASE}{TARGET}"), &[]);
        assert!(!is_signed(BASE, TARGET, "text/xml", "<Response/>", &url_only).await, "the body is not covered");
    }

    #[tokio::test]
    async fn the_target_counts_as_it_came_in() {
        for target in ["/a%20b/?x=%7e&&y", "/voice/enqueue?Task=%7B%22a%22%3A1%7D", "/voice//enqueue/", "/x?"] {
            let signature = signature::sign_form::<&str, &str>("12345", &format!("{BASE}{target}"), &[]);
            let request = request("GET", target, &[(signature::HEADER, &signature)], "").await;
            assert!(request.is_signed_with(&SecretString::from("12345"), BASE), "{target}");
        }
    }

    #[tokio::test]
    async fn parameters_are_read_like_the_phone_system_wrote_them() {
        let body = "From=%2B1555&To=a+b&Empty=&From=second&CallStatus=completed&SequenceNumber=+3+&%C3%BC=%F0%9F%98%80";
        let webhook = request("POST", "/x?From=query&Task=%7B%7D", &[], body).await.sent_by(Sender::PhoneSystem);
        for (name, value) in [
            ("From", Some("+1555")),
            ("To", Some("a b")),
            ("Empty", Some("")),
            ("Task", Some("{}")),
            ("ü", Some("😀")),
            ("from", None),
        ] {
            assert_eq!(webhook.get(name), value, "{name}");
        }
        assert!(webhook.call_ended());
        assert_eq!(webhook.number("SequenceNumber"), Some(3_u32));
        assert_eq!(webhook.number::<u32>("Empty"), None);
        assert_eq!(webhook.call(), None);
        let xml = request("POST", "/x", &[("content-type", "Application/XML")], "<Response/>").await;
        assert_eq!(xml.sent_by(Sender::PhoneSystem).xml.as_deref(), Some("<Response/>"));
    }

    #[tokio::test]
    async fn a_call_sid_is_opaque_and_bounded() {
        for (given, taken) in [
            ("CA1".to_owned(), true),
            ("a1b2-uuid/like:thing".to_owned(), true),
            ("x".repeat(128), true),
            ("x".repeat(129), false),
            (String::new(), false),
        ] {
            let webhook = request("POST", "/x", &[], &format!("CallSid={given}")).await.sent_by(Sender::PhoneSystem);
            assert_eq!(webhook.call(), taken.then_some(CallSid(given)));
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused() {
        let body = axum::body::Body::from("x".repeat(BODY_LIMIT + 1));
        let refused = Unchecked::receive(Request::new(body)).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
