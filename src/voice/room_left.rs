//! A leg left the room: `action` of our `<Dial>` (`spec/voice.md` 2.8).
//!
//! Start with [`answer`].

use std::sync::Arc;

use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::State;
use super::document::Document;
use super::next::{Context, room_left_by_worker};
use super::owner::Unheard;
use super::request::{self, Unreadable, Webhook};
use crate::calls::{CallStatus, Input, Role};
use crate::engine;
use crate::routing::TaskSid;

/// `/voice/tasks/{WT}/room-left/{role}`; a worker's leg names its `Reservation`, and so does a caller who has dialled the worker
/// where there are no rooms.
pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Path((task, role)): Path<(String, String)>,
    request: Request,
) -> Response {
    let webhook = match request::read(&state, request).await {
        Ok(webhook) => webhook,
        Err(refused) => return refused,
    };
    let (Ok(task), Some(role)) = (task.parse::<TaskSid>(), Role::from_text(&role)) else {
        return state.answer(&Document::Empty);
    };
    let workspace = match state.workspace_of(webhook.sender, task).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return state.answer(&Document::Empty),
        Err(Unreadable) => return state.come_again(&webhook),
    };
    let reservation = webhook.text("Reservation").parse().ok();
    let call_ended = webhook.call_ended();
    let call = webhook.call();
    let input = match reservation.filter(|_| role == Role::Customer) {
        Some(reservation) => Input::Dialed { reservation, call, status: dial_status(&webhook), call_ended },
        None => Input::RoomLeft { role, reservation, call, call_ended },
    };
    match state.tell_workspace(workspace, engine::Request::Call { task, input }).await {
        Ok(_) => {}
        Err(engine::Error::Overloaded | engine::Error::Unavailable) => {
            return state.come_again(&webhook);
        }
        Err(error) => tracing::info!(task.sid = %task, %error, "a leg left the room of a task that takes no news"),
    }
    if role == Role::Worker {
        match state.vouched_for(&webhook, &room_left_by_worker(task)).await {
            Ok(spoken) => {
                if let Some(onward) = state.after_dial(&spoken, Some(workspace), &[]).await {
                    return onward;
                }
            }
            Err(Unheard::Forged) => return StatusCode::FORBIDDEN.into_response(),
            Err(Unheard::Unreadable) => return state.come_again(&webhook),
        }
    }
    let record = match state.voice_task(task).await {
        Ok(Some((_, record))) => record,
        Ok(None) => return state.answer(&Document::Empty),
        Err(Unreadable) => return state.come_again(&webhook),
    };
    let next = record.document_after_room(role);
    state.go_on(next, &Context { webhook: &webhook, workspace, record: &record }).await
}

/// How a caller's `<Dial>` of a worker ended.
pub(super) fn dial_status(webhook: &Webhook) -> Option<CallStatus> {
    match webhook.text("DialCallStatus") {
        "answered" => Some(CallStatus::Completed),
        other => CallStatus::from_text(other),
    }
}
