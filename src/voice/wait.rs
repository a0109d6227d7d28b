//! The wait document: what a parked caller hears (`spec/voice.md` 2.4).
//!
//! Fetching it tells that the call is parked. The application's `waitUrl` is asked where there is one; if that fails
//! the caller hears our own document. Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::response::Response;

use super::alerts::Complaint;
use super::application::{Question, Said};
use super::document::{Document, Wait};
use super::next::Context;
use super::outlook::{self, parameters};
use super::proxy::Served;
use super::request::{self, Unreadable, Webhook};
use super::{State, cookies};
use crate::calls::{Input, VoiceTask};
use crate::engine;
use crate::routing::{Outlook, TaskSid, WorkspaceSid};

/// Longest `QueueSid` that is kept, in bytes.
const QUEUE_SID_LIMIT: usize = 128;

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
        Err(Unreadable) => return state.wait(&webhook, task, None, None),
    };
    let parked = engine::Request::Call { task, input: parked_in(webhook.text("QueueSid")) };
    // The caller hears music all the same; the next round tells again.
    if let Err(error) = state.tell_workspace(workspace, parked).await {
        tracing::warn!(task.sid = %task, %error, "cannot record that a call is parked");
    }
    let known = state.voice_task(task).await.ok().flatten();
    if known.as_ref().is_some_and(|(_, record)| record.lets_caller_leave()) {
        return state.leaves(task);
    }
    let outlook = state.outlook(workspace, task).await;
    let Some((_, record)) = known else {
        return state.wait(&webhook, task, outlook.as_ref(), None);
    };
    if record.callback.is_some() {
        // The call should be over; what was said before it says again.
        return state.answer(&Document::CallbackDone { language: state.language(outlook.as_ref()).as_deref() });
    }
    let own = || state.wait(&webhook, task, outlook.as_ref(), Some((workspace, &record)));
    let url = match record.park.wait_url.as_deref() {
        None => return own(),
        Some("") => return state.loops(task, state.templates.render(&Document::Silence)).unwrap_or_else(own),
        Some(url) => url,
    };
    let mut extra = state.facts(&Context { webhook: &webhook, workspace, record: &record }).await;
    extra.retain(|(name, _)| !["QueueSid", "QueueTime"].contains(&name.as_str()));
    extra.extend(outlook.iter().flat_map(parameters));
    if webhook.text("QueueSid").is_empty() {
        extra.extend(queue_sid(&extra));
    }
    let method = record.park.wait_method.as_deref().unwrap_or("POST");
    let question = Question { url, method, webhook: &webhook, extra, workspace: Some(workspace) };
    match state.ask(&question).await {
        Ok(reply) => {
            let heard = match reply.said {
                Said::Document(document) => {
                    let text = state.adopted(&question, Served::AsItself, document).await;
                    state.loops(task, text).unwrap_or_else(own)
                }
                Said::Audio => state.plays(task, url),
            };
            cookies::set(heard, reply.cookies)
        }
        Err(failure) => {
            let complaint = Complaint::new(failure.code(), format!("waitUrl of Enqueue: {failure}"))
                .in_workspace(workspace)
                .about_task(task);
            state.complain(webhook.sender, complaint).await;
            own()
        }
    }
}

/// The news that a call is parked in a queue with this SID, if it has one.
fn parked_in(queue: &str) -> Input {
    if queue.is_empty() || queue.len() > QUEUE_SID_LIMIT {
        return Input::WaitRequested;
    }
    Input::WaitRequestedIn { queue: queue.to_owned() }
}

/// `QueueSid` for a phone system whose queues have none: the workflow's digits, so that it is the same at every request.
fn queue_sid(facts: &[(String, String)]) -> Option<(String, String)> {
    let (_, workflow) = facts.iter().find(|(name, _)| name == "WorkflowSid")?;
    Some(("QueueSid".to_owned(), format!("QU{}", workflow.strip_prefix("WW")?)))
}

impl State {
    /// Our own wait document; what a caller may choose depends on the record of the call.
    pub(super) fn wait(
        &self,
        webhook: &Webhook,
        task: TaskSid,
        outlook: Option<&Outlook>,
        record: Option<(WorkspaceSid, &VoiceTask)>,
    ) -> Response {
        let offers_callback =
            record.is_some_and(|(workspace, record)| self.offers_callback(webhook, workspace, record));
        let voicemail_key = record.and_then(|(_, record)| self.offers_voicemail(webhook, record));
        let chooses = offers_callback || voicemail_key.is_some();
        let choice_url = self.url(&format!("/voice/tasks/{task}/choice"));
        let language = self.language(outlook);
        let task_sid = task.to_string();
        let document = Document::Wait(Wait {
            task: &task_sid,
            queue_time_secs: webhook.number("QueueTime").unwrap_or_default(),
            outlook,
            language: language.as_deref(),
            rules: &self.wait,
            choice_url: chooses.then_some(choice_url.as_str()),
            callback_key: offers_callback.then_some(self.wait.callback_key.as_str()),
            voicemail_key,
        });
        let text = self.templates.render(&document);
        self.loops(task, text).unwrap_or_else(|| self.answer(&document))
    }

    /// The language that a caller is spoken to in.
    pub(super) fn language(&self, outlook: Option<&Outlook>) -> Option<String> {
        outlook.and_then(outlook::language).or_else(|| self.wait.language.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_without_a_sid_gets_one_from_the_workflow() {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let workflow = fact("WorkflowSid", "WW0123456789abcdef0123456789abcdef");
        assert_eq!(queue_sid(&[workflow]), Some(fact("QueueSid", "QU0123456789abcdef0123456789abcdef")));
        assert_eq!(queue_sid(&[fact("TaskSid", "WT1")]), None);
    }
}
