//! Proxy mode: an application's number points at us, and the application answers as it always did (`spec/voice.md` 0.1 A
//! and 2.8).
//!
//! `/voice/proxy?target=<URL>` asks the application with the parameters of the phone system and a signature of the
//! account's, and answers with its document, rewritten. Parameters of this URL: `target`; `account`, whose application it
//! is (the first account unless told otherwise); `fallback`, asked when `target` gives no document; `mac`, which we add
//! to the URLs that lead through us. With `rest` instead of `target` it answers with what is left of a long document. Must
//! not carry out `<Enqueue>` itself (that is `enqueue`). Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use url::Url;

use super::alerts::{Complaint, INVALID_URL, RETRIEVAL_FAILURE, TOO_LARGE, TOO_MANY_DOCUMENTS};
use super::application::{Failure, Kind, Question, Reply, Said, with_query};
use super::document::Document;
use super::owner::{Owner, Unheard, place_of_reservation};
use super::request::{self, Sender, Webhook};
use super::rests::Rest;
use super::rewrite::{DIAL_TO_ROOM, Links, Rewritten, Taking, Urls, rewrite};
use super::walk::{SIZE_LIMIT, trimmed};
use super::{State, cookies, enqueue, twiml, xml};
use crate::outbound;
use crate::routing::{AccountSid, WorkspaceSid};

/// Documents that follow one another within one answer, each the `action` of the one before.
const DOCUMENTS_MAX: u32 = 10;
/// Longest text of verbs that is carried in a URL, in bytes.
pub(super) const REST_MAX: usize = 4 * 1024;

/// Path of [`answer`].
const PATH: &str = "/voice/proxy";
/// Parameter that stands instead of `target`: what is left of which document.
const REST: &str = "rest";

/// Stands for the URL of a document that has none.
const NO_URL: &str = "about:blank";

/// Parameters of our own URL; the application gets the others.
pub(super) const OWN: [&str; 4] = ["target", "account", "fallback", "mac"];

/// Parameters of the URL that takes a reservation for a document of the application's.
pub(super) const OF_DIAL: [&str; 11] = [
    "account",
    "mac",
    "Dial",
    DIAL_ATTRIBUTES,
    "App",
    "AppMethod",
    "Rest",
    "PostWorkActivitySid",
    "Whisper",
    "WhisperMethod",
    "Reservation",
];
/// Of these, the attributes of `<Dial>`, encoded like a query.
pub(super) const DIAL_ATTRIBUTES: &str = "DialAttributes";

/// `/voice/proxy`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    match state.proxy(&webhook).await {
        Ok(answer) => answer,
        Err(Trouble::Forbidden) => StatusCode::FORBIDDEN.into_response(),
        Err(Trouble::Wrong(message)) => {
            state.complain(webhook.sender, Complaint::new(INVALID_URL, message)).await;
            state.answer(&Document::Error)
        }
        Err(Trouble::Unknown) => state.come_again_for_a_while(&webhook),
        // The phone system asks again, or has a fallback of its own, for a document that it cannot get.
        Err(Trouble::NoDocument(status)) => status.into_response(),
    }
}

/// Why there is no document.
pub(super) enum Trouble {
    /// The URL was not made by us, nor signed by the phone system.
    Forbidden,
    /// The URL says something that cannot be done.
    Wrong(String),
    /// The store does not say whose application it is.
    Unknown,
    /// The application has none, and this is the answer.
    NoDocument(StatusCode),
}

/// From which URL the phone system gets a document of the application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// From one of ours that asks for the same document again.
    AsItself,
    /// From one of ours that does something else.
    Elsewhere,
}

impl State {
    /// The application's URL in our own, and whose application it is.
    pub(super) async fn target_of<'w>(&self, webhook: &'w Webhook) -> Result<(Owner, &'w str), Trouble> {
        let of_query = |name: &str| webhook.of_query(name);
        let target = of_query("target")
            .ok_or_else(|| Trouble::Wrong("expected target=<URL of the application> in the proxy's URL".to_owned()))?;
        let account = match of_query("account").map(str::parse::<AccountSid>) {
            Some(Ok(account)) => Some(account),
            Some(Err(_)) => return Err(Trouble::Wrong("account does not name an account".to_owned())),
            None => None,
        };
        let owner = match self.owner(webhook.sender, account).await {
            Ok(owner) => owner.ok_or(Trouble::Forbidden)?,
            Err(error) => {
                tracing::error!(%error, "cannot tell whose application is asked");
                return Err(Trouble::Unknown);
            }
        };
        let is_ours = of_query("mac").map(|given| owner.mac_is(target, given));
        // Others' credentials make no proxy of us; a URL that the phone system was given is its administrator's word.
        let may_ask = is_ours.unwrap_or(webhook.sender == Sender::PhoneSystem);
        if may_ask { Ok((owner, target)) } else { Err(Trouble::Forbidden) }
    }

    async fn proxy(&self, webhook: &Webhook) -> Result<Response, Trouble> {
        if let (None, Some(key)) = (webhook.of_query("target"), webhook.of_query(REST)) {
            return self.rest(webhook, key).await;
        }
        let (owner, target) = self.target_of(webhook).await?;
        let failure = match self.document_at(webhook, &owner, target, Served::AsItself, &[]).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let code = failure.code().to_string();
        let complaint = Complaint::new(failure.code(), format!("document of the application: {failure}"));
        self.complain(Sender::Account(owner.account), complaint).await;
        let status = failure.status();
        let fallback = webhook.of_query("fallback").ok_or(Trouble::NoDocument(status))?;
        let news = [("ErrorCode".to_owned(), code), ("ErrorUrl".to_owned(), target.to_owned())];
        match self.document_at(webhook, &owner, fallback, Served::Elsewhere, &news).await {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                let complaint = Complaint::new(failure.code(), format!("fallback of the application: {failure}"));
                self.complain(Sender::Account(owner.account), complaint).await;
                Err(Trouble::NoDocument(status))
            }
        }
    }

    /// The URL at which verbs of a document follow that had no place in the answer.
    fn rest_url(&self, owner: &Owner, url: &str, verbs: &str) -> String {
        let key = owner.mac(&format!("{url}\n{verbs}"));
        let rest = Rest { account: owner.account, url: url.to_owned(), verbs: verbs.to_owned() };
        self.rests.keep(&key, rest);
        self.vouched(owner, PATH, vec![(REST.to_owned(), key)])
    }

    /// What is left of a document whose beginning the call has run.
    async fn rest(&self, webhook: &Webhook, key: &str) -> Result<Response, Trouble> {
        let spoken = self.vouched_for(webhook, PATH).await.map_err(|unheard| match unheard {
            Unheard::Forged => Trouble::Forbidden,
            Unheard::Unreadable => Trouble::Unknown,
        })?;
        let owner = spoken.speaker.clone().ok_or(Trouble::Forbidden)?;
        let Some(rest) = self.rests.of(key).filter(|rest| rest.account == owner.account) else {
            let message = "the rest of a long document is not there any more";
            self.complain(spoken.sender, Complaint::new(RETRIEVAL_FAILURE, message)).await;
            return Err(Trouble::NoDocument(StatusCode::BAD_GATEWAY));
        };
        let text = format!("<Response>{}</Response>", rest.verbs);
        let document = match self.rewritten(&owner, &rest.url, Served::Elsewhere, &text) {
            Ok(document) => document,
            Err(complaint) => {
                self.complain(spoken.sender, complaint).await;
                return Err(Trouble::NoDocument(StatusCode::BAD_GATEWAY));
            }
        };
        Ok(self.serve(&spoken.without(&OWN).without(&[REST]), document, 0).await)
    }

    /// Asks the application and makes an answer to the phone system of what it says.
    async fn document_at(
        &self,
        webhook: &Webhook,
        owner: &Owner,
        target: &str,
        served: Served,
        news: &[(String, String)],
    ) -> Result<Response, Failure> {
        let asked = webhook.without(&OWN);
        let method = webhook.method.as_str();
        let mut extra = news.to_vec();
        if news.is_empty() {
            extra.extend(self.error_url(&asked));
        }
        let question = Question { url: target, method, webhook: &asked, extra, workspace: None };
        let mut answer = self.fetch(&question, owner.account, owner.token()).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Failure::Status(answer.status));
        }
        let Some(kind) = Kind::of(&answer.content_type) else {
            let failure = Failure::ContentType(answer.content_type.clone());
            if served == Served::AsItself && webhook.of_query("fallback").is_some() {
                return Err(failure);
            }
            let complaint = Complaint::new(failure.code(), format!("document of the application: {failure}"));
            self.complain(Sender::Account(owner.account), complaint).await;
            // The phone system has a fallback of its own for what it cannot run.
            return Ok(as_it_came(answer.body, answer.content_type));
        };
        let set = std::mem::take(&mut answer.set_cookie);
        let response = if kind == Kind::Sound {
            self.answer(&Document::PlayOnce { url: target })
        } else {
            self.served(webhook, owner, target, served, answer, kind).await
        };
        Ok(cookies::set(response, set))
    }

    async fn served(
        &self,
        webhook: &Webhook,
        owner: &Owner,
        target: &str,
        served: Served,
        answer: outbound::Answer,
        kind: Kind,
    ) -> Response {
        let Ok(text) = std::str::from_utf8(&answer.body) else {
            return as_it_came(answer.body, answer.content_type);
        };
        if let Some(spoken) = kind.read_aloud(text) {
            return twiml(spoken);
        }
        match self.rewritten(owner, target, served, text) {
            // What the call goes on with has URLs of its own, and may touch what is the application's.
            Ok(document) => self.serve(&webhook.without(&OWN).spoken_by(owner.clone()), document, 0).await,
            Err(complaint) => {
                // A document that cannot be read is the phone system's to judge.
                if !text.trim().is_empty() {
                    self.complain(Sender::Account(owner.account), complaint).await;
                }
                as_it_came(answer.body, answer.content_type)
            }
        }
    }

    /// A document of the application's that came from `url`, as a phone system can run it.
    fn rewritten(&self, owner: &Owner, url: &str, served: Served, text: &str) -> Result<Rewritten, Complaint> {
        let base = Url::parse(url).map_err(|error| Complaint::new(INVALID_URL, error.to_string()))?;
        let urls = Urls {
            base: &base,
            is_elsewhere: served == Served::Elsewhere,
            through_us: &|url| self.through_us(owner, PATH, url),
            told: &|url| self.through_us(owner, "/voice/proxy/callback", url),
            rest: &|verbs| self.rest_url(owner, url, verbs),
        };
        let links = Links { urls: Some(urls), taking: &|taking| self.taking(owner, taking) };
        rewrite(text, &links).map_err(|problem| Complaint::new(problem.code(), problem.to_string()))
    }

    /// A document of verbs whose URLs have been rewritten already.
    fn rewritten_verbs(&self, owner: &Owner, text: &str) -> Option<Rewritten> {
        rewrite(text, &Links { urls: None, taking: &|taking| self.taking(owner, taking) }).ok()
    }

    /// What an application said to one of our own questions (`action`, `waitUrl`), rewritten.
    pub(super) async fn adopted(&self, question: &Question<'_>, served: Served, text: String) -> String {
        match self.owner_of(question.webhook, question.workspace).await {
            Some(owner) => self.adopted_by(&owner, question.url, served, text).await.text,
            None => text,
        }
    }

    async fn adopted_by(&self, owner: &Owner, url: &str, served: Served, text: String) -> Rewritten {
        match self.rewritten(owner, url, served, &text) {
            Ok(document) => document,
            Err(complaint) => {
                self.complain(Sender::Account(owner.account), complaint).await;
                Rewritten { text, enqueues: false }
            }
        }
    }

    /// Answers with a document that came in a request, not from a URL.
    pub(super) async fn serve_posted(&self, webhook: &Webhook, text: &str) -> Response {
        let text = trimmed(text);
        let Ok(Some(owner)) = self.owner(webhook.sender, None).await else { return twiml(text.to_owned()) };
        match self.rewritten(&owner, NO_URL, Served::AsItself, text) {
            Ok(document) => self.serve(&webhook.clone().spoken_by(owner), document, 0).await,
            Err(complaint) => {
                self.complain(Sender::Account(owner.account), complaint).await;
                twiml(text.to_owned())
            }
        }
    }

    /// Answers with verbs as a document of their own: those after a verb that we have carried out, whose URLs are what
    /// they are to be by now. They speak for the workspace's owner, else for whoever spoke before.
    pub(super) async fn serve_verbs(
        &self,
        webhook: &Webhook,
        workspace: Option<WorkspaceSid>,
        verbs: &str,
        documents: u32,
    ) -> Response {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{verbs}</Response>");
        let Some(owner) = self.owner_of(webhook, workspace).await else {
            // Who says them is not known at this moment, and the phone system cannot carry out ours by itself.
            let is_ours = ["workflowSid", "reservationSid"].iter().any(|name| text.contains(name));
            return if is_ours { self.come_again_for_a_while(webhook) } else { twiml(text) };
        };
        let document = self.rewritten_verbs(&owner, &text).unwrap_or(Rewritten { text, enqueues: false });
        self.serve(&webhook.clone().spoken_by(owner), document, documents).await
    }

    /// Answers with a rewritten document, and carries out its `<Enqueue workflowSid>`.
    pub(super) async fn serve(&self, webhook: &Webhook, document: Rewritten, documents: u32) -> Response {
        if document.text.len() > SIZE_LIMIT {
            let message = format!("rewritten, a verb of the document is longer than {SIZE_LIMIT} bytes");
            self.complain(webhook.sender, Complaint::new(TOO_LARGE, message)).await;
        }
        if !document.enqueues {
            return twiml(document.text);
        }
        if documents >= DOCUMENTS_MAX {
            let message =
                format!("more than {DOCUMENTS_MAX} documents followed one another without the caller waiting");
            self.complain(webhook.sender, Complaint::new(TOO_MANY_DOCUMENTS, message)).await;
            return self.answer(&Document::Unavailable);
        }
        Box::pin(enqueue::document(self, webhook, &document.text, documents + 1)).await
    }

    /// The URL of ours that asks `url`. Its fragment, settings of the connection, is for whoever asks us.
    fn through_us(&self, owner: &Owner, path: &str, url: &str) -> String {
        if let Some(ours) = self.own_url(owner.account, url) {
            return ours;
        }
        let (target, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let pairs = [
            pair("target", target.to_owned()),
            pair("account", owner.account.to_string()),
            pair("mac", owner.mac(target)),
        ];
        let ours = with_query(&self.url(path), &pairs);
        fragment.map_or(ours.clone(), |fragment| format!("{ours}#{fragment}"))
    }

    /// What a call goes on with after `<Dial><Queue reservationSid>`, by the parameters that [`State::taking`] gave: the
    /// application's `action`, else the verbs after `<Dial>`; `None` for a URL that an application wrote itself.
    pub(super) async fn after_dial(
        &self,
        webhook: &Webhook,
        workspace: Option<WorkspaceSid>,
        news: &[(&str, &str)],
    ) -> Option<Response> {
        let of_query =
            |name: &str| webhook.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        if let Some(url) = of_query("App") {
            let asked = webhook.without(&OF_DIAL);
            let extra = news.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let method = of_query("AppMethod").unwrap_or("POST");
            let question = Question { url, method, webhook: &asked, extra, workspace };
            return Some(match self.ask(&question).await {
                Ok(reply) => self.relay(&question, reply, 0).await,
                Err(failure) => {
                    let mut complaint = Complaint::new(failure.code(), format!("action of Dial: {failure}"));
                    complaint.workspace = workspace;
                    self.complain(webhook.sender, complaint).await;
                    // The phone system has a fallback of its own.
                    StatusCode::BAD_GATEWAY.into_response()
                }
            });
        }
        of_query("Dial")?;
        let rest = of_query("Rest").unwrap_or_default();
        Some(self.serve_verbs(&webhook.without(&OF_DIAL), None, rest, 0).await)
    }

    /// The URL of ours that takes a reservation when the call comes to `<Dial><Queue reservationSid>`.
    fn taking(&self, owner: &Owner, taking: &Taking) -> String {
        let mut pairs = vec![("Dial".to_owned(), "1".to_owned())];
        let mut add = |name: &str, value: Option<&String>| {
            pairs.extend(value.map(|value| (name.to_owned(), value.clone())));
        };
        let attributes = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&taking.dial).finish();
        add(DIAL_ATTRIBUTES, Some(&attributes).filter(|attributes| !attributes.is_empty()));
        add("App", taking.action.as_ref());
        add("AppMethod", taking.method.as_ref());
        add("PostWorkActivitySid", taking.post_work_activity.as_ref());
        add("Whisper", taking.whisper_url.as_ref());
        add("WhisperMethod", taking.whisper_method.as_ref());
        add("Rest", Some(&taking.rest).filter(|rest| !rest.is_empty() && rest.len() <= REST_MAX));
        self.vouched(owner, &place_of_reservation(&taking.reservation), pairs)
    }

    /// The attributes of `<Dial>` in a URL that [`State::taking`] gave, as they are written in a document.
    pub(super) fn dial_attributes(webhook: &Webhook) -> String {
        let encoded = webhook.of_query(DIAL_ATTRIBUTES).unwrap_or_default();
        let given = url::form_urlencoded::parse(encoded.as_bytes());
        let mut written = String::new();
        for (name, value) in given.filter(|(name, _)| DIAL_TO_ROOM.contains(&name.as_ref())) {
            written.extend([" ", &name, "=\"", &xml::escape(&value).0, "\""]);
        }
        written
    }

    /// Answers with what an application said; `documents` came before it in this answer. A sound is played once.
    pub(super) async fn relay(&self, question: &Question<'_>, reply: Reply, documents: u32) -> Response {
        let response = match reply.said {
            Said::Document(text) => match self.owner_of(question.webhook, question.workspace).await {
                Some(owner) => {
                    let document = self.adopted_by(&owner, question.url, Served::Elsewhere, text).await;
                    self.serve(&question.webhook.clone().spoken_by(owner), document, documents).await
                }
                None => twiml(text),
            },
            Said::Audio => self.answer(&Document::PlayOnce { url: question.url }),
        };
        cookies::set(response, reply.cookies)
    }
}

fn as_it_came(body: Vec<u8>, content_type: String) -> Response {
    let content_type = if content_type.is_empty() { "text/xml".to_owned() } else { content_type };
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
