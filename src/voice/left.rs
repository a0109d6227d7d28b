//! The call left the queue: `action` of our `<Enqueue>`, and the document of a caller who was let go.
//!
//! A phone system that is told to release a caller asks twice: the action tells of the redirect, then the redirect's
//! document is fetched. Only the latter, which has `released` in its query, asks the application.
//!
//! Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::State;
use super::alerts::{CANNOT_CLEAN_UP, Complaint};
use super::document::Document;
use super::next::Context;
use super::request::{self, RELEASED, Unreadable, Webhook};
use crate::calls::{Input, QueueResult};
use crate::engine;
use crate::routing::{TaskSid, WorkspaceSid};

/// `/voice/tasks/{WT}/left`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    // A caller whom we sent here hears something even if the task is long gone.
    let unknown = if webhook.get(RELEASED).is_some() { Document::Unavailable } else { Document::Empty };
    let Ok(task) = task.parse::<TaskSid>() else { return state.answer(&Document::Empty) };
    let workspace = match state.workspace_of(webhook.sender, task).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return state.answer(&unknown),
        Err(Unreadable) => return state.come_again(&webhook),
    };
    let result = result_of(&webhook);
    let input = Input::Left { result, call_ended: webhook.call_ended(), queue_time_secs: webhook.number("QueueTime") };
    match state.tell_workspace(workspace, engine::Request::Call { task, input }).await {
        Ok(_) => {}
        Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
            return state.come_back(&webhook, workspace, task).await;
        }
        Err(error) => tracing::info!(task.sid = %task, %error, "a call left the queue of a task that takes no news"),
    }
    let record = match state.voice_task(task).await {
        Ok(Some((_, record))) => record,
        Ok(None) => return state.answer(&unknown),
        Err(Unreadable) => return state.come_again(&webhook),
    };
    let next = record.document_after_left(result);
    state.go_on(next, &Context { webhook: &webhook, workspace, record: &record }).await
}

/// `QueueResult`; a document that is fetched without one was reached by a redirect, or by nobody any more.
fn result_of(webhook: &Webhook) -> QueueResult {
    let absent = match (webhook.call_ended(), webhook.get(RELEASED)) {
        (true, _) => QueueResult::Hangup,
        (false, Some(_)) => return QueueResult::Leave,
        (false, None) => QueueResult::Redirected,
    };
    QueueResult::from_text(webhook.text("QueueResult")).unwrap_or(absent)
}

impl State {
    /// The news could not be recorded: a live call comes back in a moment, for an ended one the phone system is told.
    async fn come_back(&self, webhook: &Webhook, workspace: WorkspaceSid, task: TaskSid) -> Response {
        if webhook.call_ended() {
            let message = "the end of the call could not be recorded now; it will be found by looking at the call";
            let complaint = Complaint::new(CANNOT_CLEAN_UP, message).in_workspace(workspace).about_task(task);
            self.complain(webhook.sender, complaint).await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        self.come_again(webhook)
    }
}
