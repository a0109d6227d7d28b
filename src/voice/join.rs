//! Documents of callers whom we redirected: into the room, or back to waiting (`spec/voice.md` 2.8).
//!
//! Nothing is recorded here: the redirect was our own. Start with [`join`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::State;
use super::document::Document;
use super::next::Context;
use super::request;
use crate::calls::{NextDocument, QueueResult, Role};
use crate::routing::TaskSid;

/// `/voice/tasks/{WT}/join/{role}`: the room, for the caller.
pub(super) async fn join(
    Shared(state): Shared<Arc<State>>,
    Path((task, role)): Path<(String, String)>,
    request: Request,
) -> Response {
    let is_customer = Role::from_text(&role) == Some(Role::Customer);
    let next = if is_customer { NextDocument::JoinRoom } else { NextDocument::Empty };
    redirected(&state, &task, request, Some(next)).await
}

/// `/voice/tasks/{WT}/park`: waiting again, or what has become of it in the meantime.
pub(super) async fn park(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    redirected(&state, &task, request, None).await
}

/// `/voice/hold/{WT}`: what a leg on hold hears.
pub(super) async fn hold(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    match request::read(&state, request).await {
        Ok(_) => state.answer(&Document::Hold),
        Err(refused) => refused,
    }
}

async fn redirected(state: &State, task: &str, request: Request, next: Option<NextDocument>) -> Response {
    let webhook = match request::read(state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let Ok(task) = task.parse::<TaskSid>() else { return state.answer(&Document::Unavailable) };
    let workspace = match state.workspace_of(webhook.sender, task).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return state.answer(&Document::Unavailable),
        Err(failed) => return failed,
    };
    let Some((_, record)) = state.voice_task(task).await else { return state.answer(&Document::Unavailable) };
    let next = next.unwrap_or_else(|| record.document_after_left(QueueResult::Redirected));
    state.go_on(next, &Context { webhook: &webhook, workspace, record: &record }).await
}
