//! The room of a task's call: what the phone system and we know of it, and its end for all (own addition).
//!
//! Who is in it is changed in `participants`. Start with [`of_task`]; [`fetch`] is the same under a reservation.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::form::Form;
use super::json::answer;
use super::links::Place;
use super::reservations::{collection, existing_parent};
use super::scope::Scope;
use crate::calls::VoiceTask;
use crate::engine::{LegWish, Request};
use crate::routing::{ReservationSid, TaskSid};

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let sid: ReservationSid = scope.path_sid("Sid")?;
    let reservation = scope.found(scope.state.store.reservation(scope.sid(), parent, sid).await?)?;
    let task = reservation.task_sid.parse().map_err(|_| scope.not_found())?;
    let voice_task = read(&scope, task).await?;
    let collection = collection(parent);
    let mut body = render(&scope.place, &voice_task);
    body["reservation_sid"] = json!(sid);
    body["url"] = scope.place.url(&format!("{collection}/{sid}/Conference")).into();
    body["links"] = json!({ "reservation": scope.place.url(&format!("{collection}/{sid}")) });
    Ok(answer(StatusCode::OK, &body))
}

pub(super) async fn of_task(scope: Scope) -> Result<Response, ApiError> {
    let voice_task = voice_task(&scope).await?;
    Ok(answer(StatusCode::OK, &render_for_task(&scope.place, &voice_task)))
}

/// Ends the conversation for all who are in it: `Status=completed`, as at a phone system.
pub(super) async fn end(scope: Scope, form: Form) -> Result<Response, ApiError> {
    let task = voice_task(&scope).await?.task;
    form.word("Status", &["completed"])?.ok_or_else(|| ApiError::missing("Status"))?;
    scope.send(Request::Leg { task, by: None, wish: LegWish::EndConversation }).await?;
    Ok(answer(StatusCode::OK, &render_for_task(&scope.place, &read(&scope, task).await?)))
}

/// The call of the task that the path names; not found when the task has none.
pub(super) async fn voice_task(scope: &Scope) -> Result<VoiceTask, ApiError> {
    let task: TaskSid = scope.path_sid("TaskSid")?;
    scope.found(scope.state.store.task(scope.sid(), task).await?)?;
    read(scope, task).await
}

async fn read(scope: &Scope, task: TaskSid) -> Result<VoiceTask, ApiError> {
    let row = scope.found(scope.state.store.voice_task(task).await?)?;
    serde_json::from_str(&row.state.json()).map_err(|error| {
        tracing::error!(task.sid = %task, %error, "the state of a voice task cannot be read");
        ApiError::internal()
    })
}

fn render_for_task(place: &Place, voice_task: &VoiceTask) -> Value {
    let task = place.url(&format!("/Tasks/{}", voice_task.task));
    let mut body = render(place, voice_task);
    body["url"] = format!("{task}/Conference").into();
    body["links"] = json!({ "task": task, "participants": format!("{task}/Participants") });
    body
}

fn render(place: &Place, voice_task: &VoiceTask) -> Value {
    let legs: Vec<_> = voice_task
        .legs
        .iter()
        .map(|leg| {
            json!({
                "role": leg.role,
                "label": leg.label,
                "call_sid": leg.call,
                "reservation_sid": leg.reservation,
                "state": leg.state,
                "hold": leg.held,
                "muted": leg.muted,
            })
        })
        .collect();
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "task_sid": voice_task.task,
        "room_name": voice_task.room,
        "conference_sid": voice_task.conference,
        "state": voice_task.state,
        "legs": legs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{CallSid, Calls, ConferenceOptions, Input, Park};
    use crate::routing::{Timestamp, WorkerSid};

    #[test]
    fn a_room_shows_its_legs_and_their_states() {
        let (task, reservation) = (TaskSid::from_bits(1), ReservationSid::from_bits(2));
        let mut calls = Calls::default();
        let enqueued = Input::Enqueued {
            call: CallSid("CA1".to_owned()),
            from: "+15550100".to_owned(),
            to: "+15550199".to_owned(),
            park: Park::default(),
        };
        let instruct = Input::Instruct {
            reservation,
            worker: WorkerSid::from_bits(3),
            contact_uri: Some("client:dana".to_owned()),
            options: ConferenceOptions::default(),
        };
        for input in [enqueued, Input::WaitRequested, instruct] {
            calls.handle(task, &input, Timestamp(1_000));
        }
        let place = Place {
            base: "https://calls.example/v1".to_owned(),
            account: "AC00000000000000000000000000000004".parse().unwrap(),
            workspace: "WS00000000000000000000000000000005".parse().unwrap(),
        };
        let url = format!("https://calls.example/v1/Workspaces/{}/Tasks/{task}", place.workspace);
        let rendered = render_for_task(&place, calls.task(task).unwrap());
        let expected = json!({
            "account_sid": place.account,
            "workspace_sid": place.workspace,
            "task_sid": task,
            "room_name": task,
            "conference_sid": null,
            "state": "offering",
            "legs": [
                { "role": "customer", "label": "customer", "call_sid": "CA1", "reservation_sid": null, "state": "answered", "hold": false, "muted": false },
                { "role": "worker", "label": reservation, "call_sid": null, "reservation_sid": reservation, "state": "requested", "hold": false, "muted": false },
            ],
            "url": format!("{url}/Conference"),
            "links": { "task": url, "participants": format!("{url}/Participants") },
        });
        assert_eq!(rendered, expected);
    }
}
