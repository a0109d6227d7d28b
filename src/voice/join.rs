//! Documents of callers whom we redirected: into the room, or back to waiting (`spec/voice.md` 2.8).
//!
//! Nothing is recorded here: the redirect was our own. Start with [`join`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::document::Document;
use super::next::Context;
use super::request::{self, Unreadable, Webhook};
use super::{State, cookies};
use crate::calls::{NextDocument, Part, QueueResult, Role, VoiceTask};
use crate::routing::{TaskSid, WorkspaceSid};

/// `/voice/tasks/{WT}/join/{role}`: the room, for the caller, and for legs that we have called because the phone system does
/// not make participants.
pub(super) async fn join(
    Shared(state): Shared<Arc<State>>,
    Path((task, role)): Path<(String, String)>,
    request: Request,
) -> Response {
    let moved = match Redirected::read(&state, &task, request).await {
        Ok(moved) => moved,
        Err(answer) => return answer,
    };
    let role = Role::from_text(&role);
    if let (Some(role), Some(part)) = (role, part_of(&moved.webhook)) {
        return match moved.record.called_room(&part) {
            Some(room) => state.join_called(moved.record.task, role, &room),
            None => state.answer(&Document::Empty),
        };
    }
    if role != Some(Role::Customer) {
        return state.go_on(NextDocument::Empty, &moved.context()).await;
    }
    if !state.means.rooms {
        return state.redirected_on(&moved).await;
    }
    let (verbs_before, set) = match moved.record.whisper() {
        Some(whisper) => state.whispered(&moved.context(), whisper).await,
        None => (String::new(), Vec::new()),
    };
    cookies::set(state.join_customer(moved.record.task, &moved.record.customer_room(), &verbs_before), set)
}

/// How a leg takes part, as the URL says that we called it with.
fn part_of(webhook: &Webhook) -> Option<Part> {
    let flag = |name: &str| webhook.of_query(name) == Some("true");
    Some(Part {
        label: webhook.of_query("Label")?.to_owned(),
        start_on_enter: flag("StartConferenceOnEnter"),
        end_on_exit: flag("EndConferenceOnExit"),
        beep: webhook.of_query("Beep").unwrap_or("true").to_owned(),
        muted: flag("Muted"),
        coach: webhook.of_query("CallSidToCoach").map(str::to_owned),
    })
}

/// `/voice/tasks/{WT}/park`: waiting again, or what has become of it in the meantime.
pub(super) async fn park(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    redirected(&state, &task, request, None).await
}

/// A webhook of a call that we redirected, and what is known of its task.
struct Redirected {
    webhook: Webhook,
    workspace: WorkspaceSid,
    record: VoiceTask,
}

impl Redirected {
    /// The error is the answer.
    async fn read(state: &State, task: &str, request: Request) -> Result<Self, Response> {
        let webhook = request::read(state, request).await?;
        let unavailable = || state.answer(&Document::Unavailable);
        let task = task.parse::<TaskSid>().map_err(|_| unavailable())?;
        let found = state.workspace_of(webhook.sender, task).await;
        let workspace = found.map_err(|Unreadable| state.come_again(&webhook))?.ok_or_else(unavailable)?;
        let found = state.voice_task(task).await;
        let (_, record) = found.map_err(|Unreadable| state.come_again(&webhook))?.ok_or_else(unavailable)?;
        Ok(Self { webhook, workspace, record })
    }

    const fn context(&self) -> Context<'_> {
        Context { webhook: &self.webhook, workspace: self.workspace, record: &self.record }
    }
}

impl State {
    /// The caller dials the worker, or whatever it is to do meanwhile.
    async fn redirected_on(&self, moved: &Redirected) -> Response {
        let next = moved.record.document_after_left(QueueResult::Redirected);
        self.go_on(next, &moved.context()).await
    }
}

async fn redirected(state: &State, task: &str, request: Request, next: Option<NextDocument>) -> Response {
    match Redirected::read(state, task, request).await {
        Ok(call) => {
            let next = next.unwrap_or_else(|| call.record.document_after_left(QueueResult::Redirected));
            state.go_on(next, &call.context()).await
        }
        Err(answer) => answer,
    }
}
