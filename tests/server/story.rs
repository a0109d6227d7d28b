//! The main job over real HTTP, with `serve` and `phone` as two processes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// The parameters of an inbound call's first webhook.
fn call_parameters(call: &str) -> Vec<(&str, &str)> {
    vec![
        ("CallSid", call),
        ("AccountSid", crate::programs::PHONE_ACCOUNT),
        ("From", "+15551110000"),
        ("To", NUMBER),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("ApiVersion", "2010-04-01"),
    ]
}

async fn pending_reservation(programs: &Programs, floor: &Floor) -> Value {
    let path = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let list = programs.get(&path).await;
            list["reservations"].as_array().and_then(|items| items.first().cloned())
        })
        .await
}

async fn until_task(programs: &Programs, floor: &Floor, task: &str, status: &str) -> Value {
    let path = format!("{}/Tasks/{task}", floor.base);
    programs
        .until(&format!("the task is {status}"), async |programs: &Programs| {
            let row = programs.get(&path).await;
            (row["assignment_status"] == status).then_some(row)
        })
        .await
}

#[tokio::test]
async fn a_caller_reaches_an_agent() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let behaviour = json!({ "answer_after_ms": 50 });
    programs.control(Method::PUT, "/addresses/client:alice", behaviour).await;
    let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let caller = text(&call, "call_sid");
    let task = programs
        .until("the call is a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().map(|task| text(task, "sid")))
        })
        .await;
    let attributes: Value =
        serde_json::from_str(&text(&programs.get(&format!("{}/Tasks/{task}", floor.base)).await, "attributes"))
            .unwrap();
    assert_eq!(attributes["call_sid"], caller.as_str());
    assert_eq!(attributes["from"], "+15551110000");
    assert_eq!(attributes["call_status"], "in-progress");

    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let reservation = text(&pending_reservation(&programs, &floor).await, "sid");
    let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
    let instruction = [
        ("Instruction", "conference"),
        ("EndConferenceOnExit", "true"),
        ("EndConferenceOnCustomerExit", "true"),
        ("Timeout", "20"),
    ];
    let answer = programs.post(&path, &instruction).await;
    assert_eq!(answer["reservation_status"], "pending", "accepted only when both legs are in the room");
    until_task(&programs, &floor, &task, "assigned").await;
    assert_eq!(programs.get(&path).await["reservation_status"], "accepted");

    let rooms = programs.phone_get(&format!("/Conferences.json?FriendlyName={task}&Status=in-progress")).await;
    let rooms = rooms["conferences"].as_array().unwrap();
    assert_eq!(rooms.len(), 1, "one conference for the task");
    let room = text(&rooms[0], "sid");
    let legs = programs.phone_get(&format!("/Conferences/{room}/Participants.json")).await;
    let mut labels: Vec<String> =
        legs["participants"].as_array().unwrap().iter().map(|leg| text(leg, "label")).collect();
    labels.sort();
    assert_eq!(labels, [reservation.clone(), "customer".to_owned()]);
    let view = programs.get(&format!("{path}/Conference")).await;
    assert_eq!(view["room_name"], task.as_str());
    assert_eq!(view["conference_sid"], room.as_str());
    assert_eq!(view["legs"].as_array().unwrap().len(), 2, "{view}");

    programs.hang_up(&caller).await;
    until_task(&programs, &floor, &task, "wrapping").await;
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "completed")]).await;
    let channel = programs.get(&format!("{}/Workers/{}/Channels/voice", floor.base, floor.worker)).await;
    assert_eq!((&channel["assigned_tasks"], &channel["available_capacity_percentage"]), (&json!(0), &json!(100)));

    let events = programs.get(&format!("{}/Events?TaskSid={task}&PageSize=1000", floor.base)).await;
    let kinds: Vec<String> =
        events["events"].as_array().unwrap().iter().map(|event| text(event, "event_type")).collect();
    let story: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| *kind != "task.updated").collect();
    let expected = [
        "task.created",
        "workflow.entered",
        "workflow.target-matched",
        "task-queue.entered",
        "reservation.created",
        "reservation.accepted",
        "task.wrapup",
        "reservation.wrapup",
        "task.completed",
        "reservation.completed",
    ];
    assert_eq!(story, expected, "{kinds:?}");
    let accepted = kinds.iter().position(|kind| kind == "reservation.accepted").unwrap();
    assert!(kinds[..accepted].contains(&"task.updated".to_owned()), "the room is known before the acceptance");
}

#[tokio::test]
async fn a_signed_webhook_with_a_document_makes_a_task_and_an_unsigned_one_does_not() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let document = format!(
        "<Response><Enqueue workflowSid=\"{}\"><Task priority=\"5\" timeout=\"600\">{{\"lang\":\"es\"}}</Task>\
         </Enqueue><Say>after</Say></Response>",
        floor.workflow
    );
    let mut pairs = call_parameters("CA00000000000000000000000000000001");
    pairs.push(("Twiml", &document));
    let (status, twiml) = programs.voice("/voice/enqueue", &pairs).await;
    assert_eq!(status, StatusCode::OK, "{twiml}");
    assert!(twiml.contains("<Enqueue") && twiml.contains("/wait"), "{twiml}");
    let tasks = programs.get(&format!("{}/Tasks", floor.base)).await;
    let task = &tasks["tasks"][0];
    assert_eq!((&task["priority"], &task["timeout"]), (&json!(5), &json!(600)));
    assert!(text(task, "attributes").contains("\"lang\":\"es\""));
    // The same webhook again, as after a time-out: the same answer, no second task.
    let (_, again) = programs.voice("/voice/enqueue", &pairs).await;
    assert_eq!(again, twiml);
    assert_eq!(programs.get(&format!("{}/Tasks", floor.base)).await["tasks"].as_array().unwrap().len(), 1);

    pairs[0].1 = "CA00000000000000000000000000000002";
    let url = format!("http://{}/voice/enqueue", programs.server);
    let unsigned = programs.http.post(&url).form(&pairs).send().await.unwrap();
    assert_eq!(unsigned.status(), StatusCode::FORBIDDEN);
    let forged = programs.http.post(&url).form(&pairs).header("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    assert_eq!(forged.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(programs.get(&format!("{}/Tasks", floor.base)).await["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_leg_of_the_workers_own_phone_accepts_and_gets_the_room() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let reservation = pending_reservation(&programs, &floor).await;
    let (task, reservation) = (text(&reservation, "task_sid"), text(&reservation, "sid"));
    // The worker dials a number of the phone system that leads to the reservation.
    let voice_url = format!("http://{}/voice/reservations/{reservation}", programs.server);
    programs.control(Method::PUT, "/numbers/+15550999", json!({ "voice_url": voice_url })).await;
    programs.control(Method::POST, "/calls", json!({ "from": "client:alice", "to": "+15550999" })).await;
    until_task(&programs, &floor, &task, "assigned").await;
    let legs = programs.phone_get(&format!("/Conferences.json?FriendlyName={task}&Status=in-progress")).await;
    assert_eq!(legs["conferences"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_who_gives_up_cancels_the_task() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let task = programs
        .until("the call is a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().map(|task| text(task, "sid")))
        })
        .await;
    programs.hang_up(&text(&call, "call_sid")).await;
    let row = until_task(&programs, &floor, &task, "canceled").await;
    assert_eq!(row["reason"], "hangup");
}

#[tokio::test]
async fn a_busy_agent_puts_the_caller_back_in_line() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "busy": true })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let reservation = pending_reservation(&programs, &floor).await;
    let (task, reservation) = (text(&reservation, "task_sid"), text(&reservation, "sid"));
    let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
    programs.post(&path, &[("Instruction", "conference")]).await;
    programs
        .until("the reservation is canceled", async |programs: &Programs| {
            (programs.get(&path).await["reservation_status"] == "canceled").then_some(())
        })
        .await;
    until_task(&programs, &floor, &task, "pending").await;
}

#[tokio::test]
async fn sigterm_ends_the_server_in_time_and_the_next_start_goes_on() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let body = programs.post(&format!("{}/Tasks", floor.base), &[("Attributes", r#"{"a":1}"#)]).await;
    assert!(programs.terminate_server().await, "exit code 0\n{}", programs.logs());
    programs.start_server().await;
    let task = programs.get(&format!("{}/Tasks/{}", floor.base, text(&body, "sid"))).await;
    assert_eq!(task["attributes"], r#"{"a":1}"#);
}
