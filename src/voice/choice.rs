//! A waiting caller chooses by key to be called back, or to leave a message (`spec/voice.md` 8.10 and 8.11).
//!
//! Our own wait document offers it; a callback only to callers whose numbers may be dialled, and they are asked once more,
//! with the number, before it is promised. What a caller is told is on disk. Must not decide what becomes of the task:
//! that is the calls core's business. Start with [`choice`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::State;
use super::document::{CallbackOffer, Document};
use super::request::{self, Unreadable, Webhook};
use crate::calls::{CallbackTerms, Input, Recallable, VoiceTask};
use crate::engine;
use crate::routing::{Outlook, TaskSid, WorkspaceSid};

/// `/voice/tasks/{WT}/choice`: a key was pressed while the wait document ran. Any key without a meaning goes on waiting.
pub(super) async fn choice(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let waiting = match state.waiting(&task, request).await {
        Ok(waiting) => waiting,
        Err(answer) => return answer,
    };
    if state.wait.voicemail_key.as_ref().is_some_and(|key| waiting.pressed(key)) {
        return state.leave_message(&waiting).await;
    }
    if !waiting.pressed(&state.wait.callback_key)
        || !state.offers_callback(&waiting.webhook, waiting.workspace, &waiting.record)
    {
        return state.go_on_waiting(&waiting);
    }
    state.answer(&Document::CallbackOffer(CallbackOffer {
        language: state.language(waiting.outlook.as_ref()).as_deref(),
        number: &waiting.record.from,
        key: &state.wait.callback_key,
        confirm_url: &state.url(&format!("/voice/tasks/{}/callback", waiting.record.task)),
        wait_url: &state.wait_url(waiting.record.task),
    }))
}

/// `/voice/tasks/{WT}/callback`: the caller was asked for consent.
pub(super) async fn confirmed(
    Shared(state): Shared<Arc<State>>,
    Path(task): Path<String>,
    request: Request,
) -> Response {
    let waiting = match state.waiting(&task, request).await {
        Ok(waiting) => waiting,
        Err(answer) => return answer,
    };
    if !waiting.pressed(&state.wait.callback_key) {
        return state.go_on_waiting(&waiting);
    }
    let language = state.language(waiting.outlook.as_ref());
    let language = language.as_deref();
    let wait_url = state.wait_url(waiting.record.task);
    match state.promise(&waiting).await {
        Promise::Made => state.answer(&Document::CallbackDone { language }),
        Promise::Refused => state.answer(&Document::CallbackRefused { language, wait_url: &wait_url }),
        Promise::Busy => state.come_again(&waiting.webhook),
    }
}

/// `/voice/tasks/{WT}/recorded`: a message was recorded.
pub(super) async fn recorded(
    Shared(state): Shared<Arc<State>>,
    Path(task): Path<String>,
    request: Request,
) -> Response {
    match state.waiting(&task, request).await {
        Ok(gone) => {
            let language = state.language(gone.outlook.as_ref());
            state.answer(&Document::VoicemailDone { language: language.as_deref() })
        }
        Err(answer) => answer,
    }
}

/// A caller who waits, as far as can be seen.
struct Waiting {
    webhook: Webhook,
    workspace: WorkspaceSid,
    record: VoiceTask,
    outlook: Option<Outlook>,
}

impl Waiting {
    fn pressed(&self, key: &str) -> bool {
        self.webhook.text("Digits") == key
    }
}

/// What came of asking for a callback.
enum Promise {
    /// It is on disk.
    Made,
    /// It cannot be had now.
    Refused,
    /// Nobody could say.
    Busy,
}

impl State {
    /// Reads the webhook of a caller who waits; the error is the answer.
    async fn waiting(&self, task: &str, request: Request) -> Result<Waiting, Response> {
        let webhook = request::read(self, request).await?;
        let unavailable = || self.answer(&Document::Unavailable);
        let task: TaskSid = task.parse().map_err(|_| unavailable())?;
        let found = self.workspace_of(webhook.sender, task).await;
        let workspace = found.map_err(|Unreadable| self.come_again(&webhook))?.ok_or_else(unavailable)?;
        let found = self.voice_task(task).await;
        let (_, record) = found.map_err(|Unreadable| self.come_again(&webhook))?.ok_or_else(unavailable)?;
        let outlook = self.outlook(workspace, task).await;
        Ok(Waiting { webhook, workspace, record, outlook })
    }

    fn go_on_waiting(&self, waiting: &Waiting) -> Response {
        self.wait(
            &waiting.webhook,
            waiting.record.task,
            waiting.outlook.as_ref(),
            Some((waiting.workspace, &waiting.record)),
        )
    }

    fn wait_url(&self, task: TaskSid) -> String {
        self.url(&format!("/voice/tasks/{task}/wait"))
    }

    /// Whether the caller of a webhook can be called back. One whom a worker is about to answer is told so when asking.
    pub(super) fn offers_callback(&self, webhook: &Webhook, workspace: WorkspaceSid, record: &VoiceTask) -> bool {
        self.means.rooms && may_choose(webhook, record) && self.may_call_back(workspace, &record.from)
    }

    /// Whether a number is one that is called back, and that the workspace may dial: nothing is promised that cannot be kept.
    fn may_call_back(&self, workspace: WorkspaceSid, number: &str) -> bool {
        self.wait.may_call_back(number) && self.dialling.of(workspace).ever_dials(number)
    }

    /// The key that leads to a recording, where the caller of a webhook has it.
    pub(super) fn offers_voicemail(&self, webhook: &Webhook, record: &VoiceTask) -> Option<&str> {
        self.wait.voicemail_key.as_deref().filter(|_| may_choose(webhook, record))
    }

    /// The caller is sent out of the queue, where the recording comes next, unless a worker is about to answer.
    async fn leave_message(&self, waiting: &Waiting) -> Response {
        let Some(call) = waiting.webhook.call() else { return self.go_on_waiting(waiting) };
        let task = waiting.record.task;
        let request = engine::Request::Call { task, input: Input::LeaveMessage { call } };
        if let Err(error) = self.tell_workspace(waiting.workspace, request).await {
            tracing::warn!(task.sid = %task, %error, "cannot record that a caller leaves a message");
            return self.come_again(&waiting.webhook);
        }
        match self.voice_task(task).await {
            Ok(Some((_, record))) if record.leaves_message => self.leaves(task),
            Err(Unreadable) => self.come_again(&waiting.webhook),
            Ok(_) => self.go_on_waiting(waiting),
        }
    }

    async fn promise(&self, waiting: &Waiting) -> Promise {
        let Some(call) = waiting.webhook.call().filter(|_| self.means.rooms) else { return Promise::Refused };
        let record = &waiting.record;
        // A webhook that comes again finds the promise, and the numbers exchanged.
        let promised = record.recallable(&call) == Recallable::Promised;
        let to = if promised { &record.to } else { &record.from };
        if !self.may_call_back(waiting.workspace, to) {
            return Promise::Refused;
        }
        let terms = CallbackTerms {
            attempts: self.wait.callback_attempts,
            pause_secs: self.wait.callback_pause_secs,
            expires_secs: self.wait.callback_expires_secs,
        };
        let request = engine::Request::CallBack { task: record.task, call, to: to.clone(), terms };
        match self.tell_workspace(waiting.workspace, request).await {
            Ok(_) => Promise::Made,
            Err(engine::Error::Overloaded | engine::Error::Unavailable) => Promise::Busy,
            Err(error @ (engine::Error::Refused(_) | engine::Error::NoSuchWorkspace)) => {
                tracing::info!(task.sid = %record.task, %error, "a caller cannot be called back now");
                Promise::Refused
            }
        }
    }
}

fn may_choose(webhook: &Webhook, record: &VoiceTask) -> bool {
    let waits = |call| matches!(record.recallable(&call), Recallable::Yes | Recallable::WorkerComing);
    webhook.call().is_some_and(waits)
}
