//! Documents of callers whom we redirected: into the room, or back to waiting (`spec/voice.md` 2.8).
//!
//! Nothing is recorded here: the redirect was our own. Start with [`join`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::State;
use super::document::Document;
use super::next::Context;
use super::request::{self, Webhook};
use crate::calls::{NextDocument, QueueResult, Role, VoiceTask};
use crate::routing::{TaskSid, WorkspaceSid};

/// `/voice/tasks/{WT}/join/{role}`: the room, for the caller.
pub(super) async fn join(
    Shared(state): Shared<Arc<State>>,
    Path((task, role)): Path<(String, String)>,
    request: Request,
) -> Response {
    if Role::from_text(&role) != Some(Role::Customer) {
        return redirected(&state, &task, request, Some(NextDocument::Empty)).await;
    }
    let moved = match Redirected::read(&state, &task, request).await {
        Ok(moved) => moved,
        Err(answer) => return answer,
    };
    let verbs_before = match moved.record.whisper() {
        Some(whisper) => state.whispered(&moved.context(), whisper).await,
        None => String::new(),
    };
    state.join_customer(moved.record.task, &moved.record.customer_room(), &verbs_before)
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
        let workspace = state.workspace_of(webhook.sender, task).await?.ok_or_else(unavailable)?;
        let (_, record) = state.voice_task(task).await.ok_or_else(unavailable)?;
        Ok(Self { webhook, workspace, record })
    }

    const fn context(&self) -> Context<'_> {
        Context { webhook: &self.webhook, workspace: self.workspace, record: &self.record }
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
