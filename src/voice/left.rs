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

use super::alerts::{CANNOT_CLEAN_UP, Complaint};
use super::application::with_query;
use super::document::Document;
use super::next::Context;
use super::request::{self, RELEASED, Webhook};
use super::{PATIENCE, State};
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
        Err(failed) => return failed,
    };
    let result = result_of(&webhook);
    let input = Input::Left { result, call_ended: webhook.call_ended(), queue_time_secs: webhook.number("QueueTime") };
    let told =
        tokio::time::timeout(PATIENCE, state.engine.send(workspace, engine::Request::Call { task, input })).await;
    match told.unwrap_or(Err(engine::Error::Overloaded)) {
        Ok(_) => {}
        Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
            return state.come_back(&webhook, workspace, task, result).await;
        }
        Err(error) => tracing::info!(task.sid = %task, %error, "a call left the queue of a task that takes no news"),
    }
    let Some((_, record)) = state.voice_task(task).await else { return state.answer(&unknown) };
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
    async fn come_back(
        &self,
        webhook: &Webhook,
        workspace: WorkspaceSid,
        task: TaskSid,
        result: QueueResult,
    ) -> Response {
        if webhook.call_ended() {
            let message = "the end of the call could not be recorded now; it will be found by looking at the call";
            let complaint = Complaint::new(CANNOT_CLEAN_UP, message).in_workspace(workspace).about_task(task);
            self.complain(webhook.sender, complaint).await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut pairs = vec![pair("QueueResult", result.as_str())];
        pairs.extend(webhook.get(RELEASED).map(|released| pair(RELEASED, released)));
        pairs.extend(webhook.get("QueueTime").map(|secs| pair("QueueTime", secs)));
        let url = with_query(&self.url(&format!("/voice/tasks/{task}/left")), &pairs);
        self.answer(&Document::Busy { url: &url })
    }
}
