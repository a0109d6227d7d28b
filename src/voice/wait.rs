//! The wait document: what a parked caller hears (`spec/voice.md` 2.4).
//!
//! Fetching it tells that the call is parked. The application's `waitUrl` is asked where there is one; if that fails
//! the caller hears our own document. Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::alerts::{Complaint, RETRIEVAL_FAILURE};
use super::application::{Question, Reply};
use super::document::Document;
use super::next::Context;
use super::request;
use super::{State, twiml};
use crate::calls::Input;
use crate::engine;
use crate::routing::TaskSid;

/// `/voice/tasks/{WT}/wait`
pub(super) async fn answer(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let Ok(task) = task.parse::<TaskSid>() else { return state.answer(&Document::Unavailable) };
    let workspace = match state.workspace_of(webhook.sender, task).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return state.answer(&Document::Unavailable),
        Err(failed) => return failed,
    };
    let parked = engine::Request::Call { task, input: Input::WaitRequested };
    if let Err(error) = state.engine.send(workspace, parked).await {
        // The caller hears music all the same; the next round tells again.
        tracing::warn!(task.sid = %task, %error, "cannot record that a call is parked");
    }
    let queue_time_secs = webhook.number("QueueTime").unwrap_or_default();
    let task_text = task.to_string();
    let own = Document::Wait { task: &task_text, queue_time_secs };
    let Some((_, record)) = state.voice_task(task).await else { return state.answer(&own) };
    let url = match record.park.wait_url.as_deref() {
        None => return state.answer(&own),
        Some("") => return state.answer(&Document::Silence),
        Some(url) => url,
    };
    let mut extra = state.facts(&Context { webhook: &webhook, workspace, record: &record }).await;
    // The phone system knows how long the call has been waiting in this round.
    extra.retain(|(name, _)| name != "QueueTime");
    let method = record.park.wait_method.as_deref().unwrap_or("POST");
    let question = Question { url, method, webhook: &webhook, extra, workspace: Some(workspace) };
    match state.ask(&question).await {
        Ok(Reply::Document(document)) => twiml(state.adopted(&question, document).await.text),
        Ok(Reply::Audio) => state.answer(&Document::Play { url }),
        Err(failure) => {
            let complaint = Complaint::new(RETRIEVAL_FAILURE, format!("waitUrl of Enqueue: {failure}"))
                .in_workspace(workspace)
                .about_task(task);
            state.complain(webhook.sender, complaint).await;
            state.answer(&own)
        }
    }
}
