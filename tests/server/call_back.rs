//! A caller who is called back, over real HTTP, with `serve` and `phone` as two processes (`spec/voice.md` 8.11).

use reqwest::Method;
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

const CALLER: &str = "+15551110000";

async fn hire(programs: &Programs, floor: &Floor, name: &str) -> String {
    let attributes = json!({ "contact_uri": format!("client:{name}") }).to_string();
    let form = [("FriendlyName", name), ("Attributes", attributes.as_str()), ("ActivitySid", &floor.available)];
    text(&programs.post(&format!("{}/Workers", floor.base), &form).await, "sid")
}

async fn offer(programs: &Programs, floor: &Floor, worker: &str) -> String {
    let path = format!("{}/Workers/{worker}/Reservations?ReservationStatus=pending", floor.base);
    programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            let list = programs.get(&path).await;
            list["reservations"].as_array().and_then(|rows| rows.first().map(|row| text(row, "sid")))
        })
        .await
}

async fn until_task(programs: &Programs, path: &str, what: &str, holds: impl Fn(&Value, &Value) -> bool) -> Value {
    programs
        .until(what, async |programs: &Programs| {
            let task = programs.get(path).await;
            let attributes: Value = serde_json::from_str(&text(&task, "attributes")).unwrap();
            holds(&task, &attributes).then_some(task)
        })
        .await
}

#[tokio::test]
async fn a_caller_hangs_up_keeps_the_place_and_is_called_back_when_a_worker_has_time() {
    let settings = [("SWITCHHOOK_WAIT_CALLBACK_PREFIXES", "+1555"), ("SWITCHHOOK_WAIT_CALLBACK_PAUSE_SECS", "1")];
    let mut programs = Programs::start_with(4.0, &settings).await;
    let floor = programs.furnish().await;
    let behaviour = json!({ "digits": "11", "digits_after_ms": 50 });
    let order = json!({ "from": CALLER, "to": NUMBER, "behaviour": behaviour });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let task = programs
        .until("the call is a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().map(|task| text(task, "sid")))
        })
        .await;
    let path = format!("{}/Tasks/{task}", floor.base);
    until_task(&programs, &path, "the callback is promised", |_, attributes| attributes["callback"] == true).await;
    programs
        .until("the call is over", async |programs: &Programs| {
            (programs.phone_get(&format!("/Calls/{caller}.json")).await["status"] == "completed").then_some(())
        })
        .await;
    // Somebody who came later waits on the line, behind the one who hung up; and the server is started anew.
    programs.control(Method::POST, "/calls", json!({ "from": "+15551119999", "to": NUMBER })).await;
    programs
        .until("another call waits", async |programs: &Programs| {
            (programs.get(&format!("{path}/Position")).await["waiting_tasks"] == 2).then_some(())
        })
        .await;
    programs.kill_server().await;
    programs.start_server().await;
    let position = programs.get(&format!("{path}/Position")).await;
    assert_eq!((&position["assignment_status"], &position["position"]), (&json!("pending"), &json!(1)), "{position}");

    // Alice takes the task: she is dialled, then the caller, who is busy.
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    programs.control(Method::PUT, "/addresses/client:bob", json!({ "answer_after_ms": 50 })).await;
    programs.control(Method::PUT, &format!("/addresses/{CALLER}"), json!({ "busy": true, "calls": "next" })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let first = offer(&programs, &floor, &floor.worker).await;
    let instruction = [("Instruction", "conference"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&format!("{path}/Reservations/{first}"), &instruction).await;
    until_task(&programs, &path, "the attempt is counted", |_, attributes| attributes["callback_attempts"] == 1).await;
    let row = programs.get(&format!("{path}/Reservations/{first}")).await;
    assert_eq!(row["reservation_status"], "canceled", "{row}");

    // The task rests; then it is Bob's, and the caller answers.
    let bob = hire(&programs, &floor, "bob").await;
    let second = programs
        .until("the task is offered to Bob", async |programs: &Programs| {
            let reservation = offer(programs, &floor, &bob).await;
            let row = programs.get(&format!("{}/Workers/{bob}/Reservations/{reservation}", floor.base)).await;
            if row["task_sid"] == task.as_str() {
                return Some(reservation);
            }
            // The other caller's turn, which is not what this is about.
            let reject = [("ReservationStatus", "rejected")];
            programs.post(&format!("{}/Workers/{bob}/Reservations/{reservation}", floor.base), &reject).await;
            None
        })
        .await;
    programs.post(&format!("{path}/Reservations/{second}"), &instruction).await;
    until_task(&programs, &path, "they talk", |task, _| task["assignment_status"] == "assigned").await;
    let rooms = programs.phone_get(&format!("/Conferences.json?FriendlyName={task}&Status=in-progress")).await;
    let room = text(&rooms["conferences"][0], "sid");
    let legs = programs.phone_get(&format!("/Conferences/{room}/Participants.json")).await;
    let customer = legs["participants"].as_array().unwrap().iter().find(|leg| leg["label"] == "customer").unwrap();
    let called_back = text(customer, "call_sid");
    let call = programs.phone_get(&format!("/Calls/{called_back}.json")).await;
    assert_eq!((&call["to"], &call["from"]), (&json!(CALLER), &json!(NUMBER)), "{call}");

    programs.hang_up(&called_back).await;
    until_task(&programs, &path, "the call is over", |task, _| task["assignment_status"] == "wrapping").await;
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
        "reservation.canceled",
        "reservation.created",
        "reservation.accepted",
        "task.wrapup",
        "reservation.wrapup",
    ];
    assert_eq!(story, expected, "nobody gave up\n{}", programs.logs());
}

#[tokio::test]
async fn a_caller_leaves_the_queue_for_a_message_that_is_noted_on_the_task() {
    let programs = Programs::start_with(4.0, &[("SWITCHHOOK_WAIT_VOICEMAIL_KEY", "2")]).await;
    let floor = programs.furnish().await;
    let behaviour = json!({ "digits": "2", "digits_after_ms": 50, "speaks_ms": 2_000 });
    let order = json!({ "from": CALLER, "to": NUMBER, "behaviour": behaviour });
    programs.control(Method::POST, "/calls", order).await;
    let task = programs
        .until("the call is a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first().map(|task| text(task, "sid")))
        })
        .await;
    let path = format!("{}/Tasks/{task}", floor.base);
    let noted =
        until_task(&programs, &path, "the message is noted", |_, attributes| attributes["voicemail"].is_object());
    let row = noted.await;
    assert_eq!((&row["assignment_status"], &row["reason"]), (&json!("canceled"), &json!("voicemail")), "{row}");
    let attributes: Value = serde_json::from_str(&text(&row, "attributes")).unwrap();
    let message = &attributes["voicemail"];
    assert!(text(message, "recording_sid").starts_with("RE"), "{message}");
    assert!(text(message, "recording_url").starts_with("http") && message["duration"].is_u64(), "{message}");
}
