//! A message that a caller has left becomes a task, on disk before the answer (`spec/voice.md` 8.10).
//!
//! Each recording becomes one task, which the engine sees to. Start with [`of_entry`] and [`of_task`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::alerts::{CANNOT_CREATE_TASK, Complaint, INVALID_ATTRIBUTES, INVALID_WORKFLOW};
use super::request::{self, Sender, Unreadable, Webhook};
use super::{State, no_content};
use crate::engine;
use crate::routing::command::NewTask;
use crate::routing::{Command, Reply, TaskSid, WorkspaceSid};

/// Longest SID or URL of a recording that is taken, in bytes.
const RECORDING_TEXT_MAX: usize = 2_048;

/// Attributes of a waiting caller that say what has become of the call, which is over for the task of the message.
const OF_THE_CALL: [&str; 7] =
    ["call_sid", "conference", "worker_call_sid", "voicemail", "callback", "callback_attempts", "outbound_to"];

/// A recording that is there to be heard.
struct Message<'a> {
    recording: &'a str,
    url: &'a str,
    duration: Option<u32>,
    call: &'a str,
}

impl<'a> Message<'a> {
    /// What a recording callback tells; `None` when there is nothing to be heard.
    fn of(webhook: &'a Webhook) -> Option<Self> {
        let text =
            |name: &str| Some(webhook.text(name)).filter(|text| !text.is_empty() && text.len() <= RECORDING_TEXT_MAX);
        if !matches!(webhook.text("RecordingStatus"), "" | "completed") {
            return None;
        }
        let url = text("RecordingUrl")?;
        // A phone system that numbers no recordings keeps each in a place of its own.
        let recording = text("RecordingSid").unwrap_or(url);
        Some(Self { recording, url, duration: webhook.number("RecordingDuration"), call: webhook.text("CallSid") })
    }

    /// The attributes of its task: those of the callers, and where the message is.
    fn attributes(&self, mut of_callers: Map<String, Value>, from: &str, to: &str) -> String {
        for (key, value) in [
            ("type", json!("voicemail")),
            ("recording_url", json!(self.url)),
            ("recording_sid", json!(self.recording)),
            ("recording_duration", json!(self.duration)),
            ("recorded_call_sid", json!(self.call)),
            ("from", json!(from)),
            ("to", json!(to)),
        ] {
            of_callers.insert(key.to_owned(), value);
        }
        Value::Object(of_callers).to_string()
    }
}

/// Why a message has not become a task.
enum Obstacle {
    /// It cannot now; the phone system may tell again.
    Busy,
    /// It cannot; an alert says why.
    Wrong,
}

/// `/voice/entries/{EP}/voicemail`: a message of somebody who was not enqueued, or whom nobody answered.
pub(super) async fn of_entry(
    Shared(state): Shared<Arc<State>>,
    Path(entry): Path<String>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let Some(message) = Message::of(&webhook) else { return no_content() };
    let entry = match state.entry(&webhook, &entry).await {
        Ok(Some(entry)) => entry,
        Ok(None) => return no_content(),
        Err(Unreadable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let Ok(of_callers) = serde_json::from_str(&entry.point.attributes) else {
        let complaint = Complaint::new(INVALID_ATTRIBUTES, "the attributes are no object");
        state.complain(webhook.sender, complaint.in_workspace(entry.workspace)).await;
        return no_content();
    };
    let attributes = message.attributes(of_callers, webhook.text("CallerFrom"), webhook.text("CallerTo"));
    let workflow = entry.point.voicemail_workflow.as_ref().unwrap_or(&entry.point.workflow);
    match state.make_task_of(webhook.sender, entry.workspace, &message, workflow, attributes).await {
        Ok(_) | Err(Obstacle::Wrong) => no_content(),
        Err(Obstacle::Busy) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// `/voice/cb/recording/{WT}`: a message of a caller who has left the queue for it. The task of the call, which is
/// canceled, tells of it too.
pub(super) async fn of_task(Shared(state): Shared<Arc<State>>, Path(task): Path<String>, request: Request) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let (Ok(task), Some(message)) = (task.parse::<TaskSid>(), Message::of(&webhook)) else { return no_content() };
    let workspace = match state.workspace_of(webhook.sender, task).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return no_content(),
        Err(Unreadable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let record = match state.voice_task(task).await {
        Ok(Some((_, record))) if record.leaves_message => record,
        Ok(_) => return no_content(),
        Err(Unreadable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let row = match state.read(state.store.task(workspace, task)).await {
        Ok(row) => row,
        Err(error) => {
            tracing::error!(task.sid = %task, %error, "cannot read the task of a caller who left a message");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let mut of_callers: Map<String, Value> =
        row.as_ref().and_then(|row| serde_json::from_str(&row.attributes).ok()).unwrap_or_default();
    of_callers.retain(|key, _| !OF_THE_CALL.contains(&key.as_str()));
    let attributes = message.attributes(of_callers, &record.from, &record.to);
    let entry = state.entry_of(&webhook, &record).await;
    let workflow = entry.and_then(|entry| entry.point.voicemail_workflow).or(row.and_then(|row| row.workflow_sid));
    let mut noted = json!({
        "recording_sid": message.recording,
        "recording_url": message.url,
        "duration": message.duration,
    });
    let workflow = workflow.unwrap_or_default();
    match state.make_task_of(webhook.sender, workspace, &message, &workflow, attributes).await {
        Ok(made) => noted["task_sid"] = json!(made.to_string()),
        Err(Obstacle::Wrong) => {}
        Err(Obstacle::Busy) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
    let attributes = Map::from_iter([("voicemail".to_owned(), noted)]);
    let request = engine::Request::Routing(Command::MergeTaskAttributes { task, attributes });
    state.send_of_task(webhook.sender, task, request).await
}

impl State {
    /// The task of a message, made now or before.
    async fn make_task_of(
        &self,
        sender: Sender,
        workspace: WorkspaceSid,
        message: &Message<'_>,
        workflow: &str,
        attributes: String,
    ) -> Result<TaskSid, Obstacle> {
        let recording = message.recording.to_owned();
        let wrong = async |code: u32, why: String| {
            let text = format!("the voicemail {recording} has not become a task: {why}");
            self.complain(sender, Complaint::new(code, text).in_workspace(workspace)).await;
            Err(Obstacle::Wrong)
        };
        let Ok(named) = workflow.parse() else {
            return wrong(INVALID_WORKFLOW, format!("'{workflow}' is no workflow")).await;
        };
        let new = NewTask { workflow: Some(named), ..NewTask::with_attributes(attributes) };
        match self.tell_workspace(workspace, engine::Request::Voicemail { recording: recording.clone(), new }).await {
            Ok(Reply::Task(task)) => Ok(task),
            Err(engine::Error::Overloaded | engine::Error::Unavailable) => Err(Obstacle::Busy),
            Ok(_) => wrong(CANNOT_CREATE_TASK, "the answer names no task".to_owned()).await,
            Err(error) => wrong(CANNOT_CREATE_TASK, error.to_string()).await,
        }
    }
}
