//! The room of a reservation: what the phone system and we know of the call, for agents' applications (own addition).
//!
//! Start with [`fetch`].

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::json::answer;
use super::links::Place;
use super::reservations::{collection, existing_parent};
use super::scope::Scope;
use crate::calls::VoiceTask;
use crate::routing::ReservationSid;
use crate::routing::command::ReservationParent;

pub(super) async fn fetch(scope: Scope) -> Result<Response, ApiError> {
    let parent = existing_parent(&scope).await?;
    let sid: ReservationSid = scope.path_sid("Sid")?;
    let reservation = scope.found(scope.state.store.reservation(scope.sid(), parent, sid).await?)?;
    let task = reservation.task_sid.parse().map_err(|_| scope.not_found())?;
    let row = scope.found(scope.state.store.voice_task(task).await?)?;
    let voice_task: VoiceTask = serde_json::from_str(&row.state.json()).map_err(|error| {
        tracing::error!(task.sid = %task, %error, "the state of a voice task cannot be read");
        ApiError::internal()
    })?;
    Ok(answer(StatusCode::OK, &render(&scope.place, parent, sid, &voice_task)))
}

fn render(place: &Place, parent: ReservationParent, reservation: ReservationSid, voice_task: &VoiceTask) -> Value {
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
            })
        })
        .collect();
    json!({
        "account_sid": place.account,
        "workspace_sid": place.workspace,
        "task_sid": voice_task.task,
        "reservation_sid": reservation,
        "room_name": voice_task.room,
        "conference_sid": voice_task.conference,
        "state": voice_task.state,
        "legs": legs,
        "url": place.url(&format!("{}/{reservation}/Conference", collection(parent))),
        "links": { "reservation": place.url(&format!("{}/{reservation}", collection(parent))) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{CallSid, Calls, ConferenceOptions, Input, Park};
    use crate::routing::{TaskSid, Timestamp, WorkerSid};

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
        let url =
            format!("https://calls.example/v1/Workspaces/{}/Tasks/{task}/Reservations/{reservation}", place.workspace);
        let rendered = render(&place, ReservationParent::Task(task), reservation, calls.task(task).unwrap());
        let expected = json!({
            "account_sid": place.account,
            "workspace_sid": place.workspace,
            "task_sid": task,
            "reservation_sid": reservation,
            "room_name": task,
            "conference_sid": null,
            "state": "offering",
            "legs": [
                { "role": "customer", "label": "customer", "call_sid": "CA1", "reservation_sid": null, "state": "answered" },
                { "role": "worker", "label": reservation, "call_sid": null, "reservation_sid": reservation, "state": "requested" },
            ],
            "url": format!("{url}/Conference"),
            "links": { "reservation": url },
        });
        assert_eq!(rendered, expected);
    }
}
