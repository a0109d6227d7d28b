//! A call comes in at an entry point: it is greeted and enqueued, or told that nobody is there.
//!
//! What the entry point says is made into a document with `<Enqueue workflowSid>` and carried out like an application's.
//! Whatever goes wrong, within a second the caller hears something: the document of a closed business, that of a full
//! queue or of a call that nobody took. Must not decide what becomes of a task. Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::alerts::{Complaint, DIAL_NOT_ALLOWED, DOCUMENT_PARSE_FAILURE, TOO_MANY_LEGS};
use super::application::with_query;
use super::arrivals::Arrival;
use super::document::{Document, Far, Forward, Voicemail};
use super::request::{self, Unreadable, Webhook};
use super::room_left::dial_status;
use super::{State, enqueue};
use crate::calls::{CallStatus, VoiceTask, dialable};
use crate::engine::NewForward;
use crate::entry::{Calendar, CalendarDocument, EntryPoint, Fallback, FallbackAction};
use crate::routing::{EntryPointSid, Refusal, WorkspaceSid};
use crate::store::EntryKind;

/// An entry point and where it is.
pub(super) struct Entry {
    pub(super) sid: EntryPointSid,
    pub(super) workspace: WorkspaceSid,
    pub(super) point: EntryPoint,
}

/// `/voice/entries/{EP}`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Path(entry): Path<String>, request: Request) -> Response {
    let (webhook, entry) = match arrived(&state, &entry, request).await {
        Ok(arrived) => arrived,
        Err(answer) => return answer,
    };
    if !state.is_open(&entry).await {
        return state.fall_back(&webhook, &entry, &entry.point.closed).await;
    }
    let point = &entry.point;
    let document = state.templates.render(&Document::Entry {
        greeting: point.greeting.as_deref(),
        greeting_url: point.greeting_url.as_deref(),
        workflow: &point.workflow,
        attributes: &point.attributes,
        priority: point.priority,
        timeout_secs: point.timeout_secs,
        overflow_url: &state.entry_url(entry.sid, OVERFLOW),
    });
    enqueue::entry(&state, &webhook, &document, &state.entry_url(entry.sid, "")).await
}

/// What follows the SID in the path of [`overflow`].
const OVERFLOW: &str = "/overflow";

/// `/voice/entries/{EP}/overflow`: the call is not in the queue, or not any more.
pub(super) async fn overflow(
    Shared(state): Shared<Arc<State>>,
    Path(entry): Path<String>,
    request: Request,
) -> Response {
    let (webhook, entry) = match arrived(&state, &entry, request).await {
        Ok(arrived) => arrived,
        Err(answer) => return answer,
    };
    if state.was_served(&webhook).await {
        return state.answer(&Document::Empty);
    }
    state.fall_back(&webhook, &entry, &entry.point.overflow).await
}

/// A live call and the entry point that it is at, or the answer where there is nothing more to do.
async fn arrived(state: &State, entry: &str, request: Request) -> Result<(Webhook, Entry), Response> {
    let webhook = request::read(state, request).await?;
    if webhook.call_ended() {
        return Err(state.answer(&Document::Empty));
    }
    let found = state.entry(&webhook, entry).await;
    let found = found.map_err(|Unreadable| state.come_again_for_a_while(&webhook))?;
    let entry = found.ok_or_else(|| state.answer(&Document::Unavailable))?;
    Ok((webhook, entry))
}

/// `/voice/entries/{EP}/recorded`: the caller has left a message.
pub(super) async fn recorded(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    match request::read(&state, request).await {
        Ok(_) => state.answer(&Document::VoicemailDone { language: state.wait.language.as_deref() }),
        Err(refused) => refused,
    }
}

/// What follows the SID in the path of [`dialled`].
const DIALLED: &str = "/dialled";

/// `/voice/entries/{EP}/dialled`: the leg that a caller dialled is over; a caller whom nobody answered is told so.
pub(super) async fn dialled(
    Shared(state): Shared<Arc<State>>,
    Path(entry): Path<String>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    // Where it cannot be read the leg counts for as long as it might have lasted.
    if let (Some(call), Ok(Some(entry))) = (webhook.call(), state.entry(&webhook, &entry).await) {
        state.engine.forward_over(entry.workspace, &call);
        state.arrivals.end(&call);
    }
    let answered = dial_status(&webhook) == Some(CallStatus::Completed);
    state.answer(&if answered || webhook.call_ended() { Document::Empty } else { Document::Apology { text: None } })
}

impl State {
    fn entry_url(&self, entry: EntryPointSid, path: &str) -> String {
        self.url(&format!("/voice/entries/{entry}{path}"))
    }

    /// The entry point in a path, if the sender may touch it; what is wrong with it is logged.
    pub(super) async fn entry(&self, webhook: &Webhook, text: &str) -> Result<Option<Entry>, Unreadable> {
        let Ok(sid) = text.parse::<EntryPointSid>() else { return Ok(None) };
        let row = match self.read(self.store.entry_anywhere(EntryKind::EntryPoint, &sid.to_string())).await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(entry_point.sid = %sid, %error, "cannot read an entry point");
                return Err(Unreadable);
            }
        };
        let Some(row) = row else { return Ok(None) };
        let Ok(workspace) = row.workspace_sid.parse::<WorkspaceSid>() else { return Ok(None) };
        if !self.may_touch(webhook.sender, workspace).await {
            return Ok(None);
        }
        match serde_json::from_str(&row.document) {
            Ok(point) => Ok(Some(Entry { sid, workspace, point })),
            Err(error) => {
                tracing::error!(entry_point.sid = %sid, %error, "cannot understand a stored entry point");
                Ok(None)
            }
        }
    }

    /// The entry point that a caller came in at, by what follows the queue.
    pub(super) async fn entry_of(&self, webhook: &Webhook, record: &VoiceTask) -> Option<Entry> {
        let verbs = record.park.after_enqueue.as_deref()?;
        let (_, sid) = verbs.split_once(&self.url("/voice/entries/"))?;
        let (sid, _) = sid.split_once(OVERFLOW)?;
        self.entry(webhook, sid).await.ok()?
    }

    /// Whether its calendar is open; one that cannot be read keeps nobody out.
    async fn is_open(&self, entry: &Entry) -> bool {
        let Some(sid) = &entry.point.calendar else { return true };
        let row = match self.read(self.store.entry(entry.workspace, EntryKind::Calendar, sid)).await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(calendar.sid = sid, %error, "cannot read a calendar");
                return true;
            }
        };
        let document = row.and_then(|row| serde_json::from_str::<CalendarDocument>(&row.document).ok());
        let calendar = document.and_then(|document| Calendar::read(&document).ok());
        calendar.is_none_or(|calendar| calendar.is_open(self.clock.now()))
    }

    /// Whether the caller has talked to somebody, so that nothing more is to be said.
    async fn was_served(&self, webhook: &Webhook) -> bool {
        let Some(call) = webhook.call() else { return false };
        let row = match self.read(self.store.voice_task_by_call(&call.0)).await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(%error, "cannot look up the task of a call");
                return false;
            }
        };
        let record = row.and_then(|row| serde_json::from_str::<VoiceTask>(&row.state.json()).ok());
        record.is_some_and(|record| record.legs.iter().any(|leg| leg.accepted))
    }

    async fn fall_back(&self, webhook: &Webhook, entry: &Entry, fallback: &Fallback) -> Response {
        let text = fallback.text.as_deref();
        match (fallback.action, fallback.number.as_deref()) {
            (FallbackAction::Voicemail, _) => {
                let caller = |name: &str, from: &str| (name.to_owned(), webhook.text(from).to_owned());
                let pairs = [caller("CallerFrom", "From"), caller("CallerTo", "To")];
                let callback_url = with_query(&self.entry_url(entry.sid, "/voicemail"), &pairs);
                let recorded_url = self.entry_url(entry.sid, "/recorded");
                self.answer(&Document::Voicemail(Voicemail {
                    language: self.wait.language.as_deref(),
                    text,
                    max_secs: self.wait.voicemail_secs,
                    done_url: &recorded_url,
                    callback_url: &callback_url,
                }))
            }
            (FallbackAction::Dial, Some(number)) => self.put_through(webhook, entry, text, &dialable(number)).await,
            (FallbackAction::Apology | FallbackAction::Dial, _) => self.answer(&Document::Apology { text }),
        }
    }
    /// The caller dials somebody else, if that is allowed and within the caps.
    async fn put_through(&self, webhook: &Webhook, entry: &Entry, text: Option<&str>, to: &str) -> Response {
        if let Err(complaint) = self.count_forward(webhook, entry, to) {
            self.complain(webhook.sender, complaint.in_workspace(entry.workspace)).await;
            return self.answer(&Document::Apology { text: None });
        }
        self.answer(&Document::Forward(Forward {
            text,
            to: Far::of(to),
            max_secs: self.means.leg_secs_max,
            action: &self.entry_url(entry.sid, DIALLED),
        }))
    }

    fn count_forward(&self, webhook: &Webhook, entry: &Entry, to: &str) -> Result<(), Complaint> {
        // They may have changed since it was written.
        let rules = &self.dialling.of(entry.workspace).rules;
        rules.check(to).map_err(|denied| Complaint::new(DIAL_NOT_ALLOWED, denied.to_string()))?;
        let no_call = || Complaint::new(DOCUMENT_PARSE_FAILURE, "expected a CallSid of 1 to 128 bytes");
        let call = webhook.call().ok_or_else(no_call)?;
        let new = NewForward { call: &call, to, attempt: webhook.idempotency_token.as_deref() };
        let counted = self.engine.forward(entry.workspace, new);
        counted.map_err(|reason| Complaint::new(TOO_MANY_LEGS, Refusal::TooManyLegs { reason }.to_string()))?;
        // A caller who hangs up before the document is run has no task that could be told.
        if self.arrivals.begin(&call, webhook.sender, entry.workspace, self.clock.now()) == Arrival::Over {
            self.engine.forward_over(entry.workspace, &call);
        }
        Ok(())
    }
}
