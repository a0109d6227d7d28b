//! Codes of instructions (`spec/voice.md` 3.11) that it takes a call to see: what the sender is told, and the alert.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// A worker's offer of a call.
struct Offer {
    caller: String,
    /// Paths.
    task: String,
    reservation: String,
}

/// A workspace whose worker is available and lets the phone ring.
async fn furnish(programs: &Programs, multi_task: &str) -> Floor {
    let floor = programs.furnish_in(&[("FriendlyName", "Floor"), ("MultiTaskEnabled", multi_task)]).await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "no_answer": true })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    floor
}

async fn offer_of(programs: &Programs, floor: &Floor, caller: String) -> Offer {
    let path = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let row = programs
        .until("the worker has an offer", async |programs: &Programs| {
            let list = programs.get(&path).await;
            list["reservations"].as_array().and_then(|reservations| reservations.first().cloned())
        })
        .await;
    let task = format!("{}/Tasks/{}", floor.base, text(&row, "task_sid"));
    let reservation = format!("{task}/Reservations/{}", text(&row, "sid"));
    Offer { caller, task, reservation }
}

async fn offer(programs: &Programs, floor: &Floor) -> Offer {
    let order = json!({ "from": "+15551110000", "to": NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    offer_of(programs, floor, caller).await
}

/// The offer of a call that tells no number of ours.
async fn offer_without_number(programs: &Programs, floor: &Floor) -> Offer {
    let call = [("CallSid", "CAunknown"), ("From", "+15551110000"), ("CallStatus", "ringing")];
    programs.voice(&format!("/voice/enqueue/{}", floor.workflow), &call).await;
    offer_of(programs, floor, "CAunknown".to_owned()).await
}

/// The alert with this code about a reservation or task, once there is one.
async fn until_alert(programs: &Programs, code: &str) -> Value {
    programs
        .until(&format!("there is an alert {code}"), async |programs: &Programs| {
            let list = programs.get("/Alerts").await;
            list["alerts"].as_array().unwrap().iter().find(|alert| alert["error_code"] == code).cloned()
        })
        .await
}

/// The instruction is refused, changes nothing, and leaves the alert.
async fn refused(programs: &Programs, offer: &Offer, form: &[(&str, &str)], code: &str, status: &str) {
    let (given, body) = programs.try_api(Method::POST, &offer.reservation, form).await.unwrap();
    assert_eq!((given, &body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{form:?}: {body}");
    let alert = until_alert(programs, code).await;
    assert!(offer.reservation.ends_with(&text(&alert, "resource_sid")), "{form:?}: {alert}");
    assert_eq!(programs.get(&offer.reservation).await["reservation_status"], status, "{form:?}");
}

#[tokio::test]
async fn without_a_caller_id_nobody_is_dialled() {
    let programs = Programs::start(4.0).await;
    let floor = furnish(&programs, "true").await;
    let offer = offer_without_number(&programs, &floor).await;
    refused(&programs, &offer, &[("Instruction", "dequeue")], "40132", "pending").await;
    refused(&programs, &offer, &[("Instruction", "conference")], "40138", "pending").await;
    let call = [("Instruction", "call"), ("CallUrl", "https://app.example/")];
    refused(&programs, &offer, &call, "40111", "pending").await;
    // The same with one is begun.
    programs.post(&offer.reservation, &[("Instruction", "dequeue"), ("DequeueFrom", NUMBER)]).await;
    until_ringing(&programs).await;
}

async fn until_ringing(programs: &Programs) {
    programs
        .until("the worker's phone rings", async |programs: &Programs| {
            let list = programs.phone_get("/Calls.json?To=client:alice&Status=ringing").await;
            list["calls"].as_array().is_some_and(|calls| !calls.is_empty()).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_caller_id_that_the_phone_system_does_not_take_has_a_code_of_its_own() {
    let programs = Programs::start(4.0).await;
    let floor = furnish(&programs, "true").await;
    for (instruction, from, path, refusal, code) in [
        ("dequeue", "DequeueFrom", "/Participants", 21212, "40132"),
        ("conference", "From", "/Participants", 21210, "40141"),
        ("call", "CallFrom", "/Calls.json", 21212, "40111"),
    ] {
        let offer = offer(&programs, &floor).await;
        let fault = json!({ "method": "POST", "contains": path, "status": 400, "code": refusal });
        programs.control(Method::POST, "/faults", fault).await;
        let form = [("Instruction", instruction), (from, "nonsense"), ("CallUrl", "https://app.example/")];
        let begun = programs.post(&offer.reservation, &form).await;
        assert_eq!(begun["reservation_status"], "pending", "it turns out later: {begun}");
        let alert = until_alert(&programs, code).await;
        assert!(text(&alert, "alert_text").contains(&refusal.to_string()), "{alert}");
        assert!(offer.reservation.ends_with(&text(&alert, "resource_sid")), "{alert}");
        assert_eq!(programs.get(&offer.reservation).await["reservation_status"], "canceled", "{instruction}");
        programs.hang_up(&offer.caller).await;
        programs
            .until("the task is over", async |programs: &Programs| {
                (programs.get(&offer.task).await["assignment_status"] == "canceled").then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn an_activity_after_the_conference_has_to_be_one_of_the_workspace() {
    let programs = Programs::start(4.0).await;
    let floor = furnish(&programs, "false").await;
    let offer = offer(&programs, &floor).await;
    for activity in ["WA0123456789abcdef0123456789abcdef", "nonsense"] {
        let form = [("Instruction", "conference"), ("PostWorkActivitySid", activity)];
        refused(&programs, &offer, &form, "40139", "pending").await;
    }
    let alerts = programs.get("/Alerts").await;
    let codes: Vec<&Value> = alerts["alerts"].as_array().unwrap().iter().map(|alert| &alert["error_code"]).collect();
    assert_eq!(codes, ["40139", "40139"]);
    programs
        .post(&offer.reservation, &[("Instruction", "conference"), ("PostWorkActivitySid", &floor.available)])
        .await;
    until_ringing(&programs).await;
}

#[tokio::test]
async fn a_conference_whose_caller_hangs_up_or_whose_task_is_canceled_is_told_of() {
    let programs = Programs::start(4.0).await;
    let floor = furnish(&programs, "true").await;
    for cancels in [false, true] {
        let offer = offer(&programs, &floor).await;
        programs.post(&offer.reservation, &[("Instruction", "conference")]).await;
        until_ringing(&programs).await;
        if cancels {
            programs.post(&offer.task, &[("AssignmentStatus", "canceled")]).await;
        } else {
            programs.hang_up(&offer.caller).await;
        }
        let sid = offer.reservation.rsplit('/').next().unwrap();
        let about = async |programs: &Programs| -> Vec<Value> {
            let list = programs.get("/Alerts?LogLevel=warning").await;
            let alerts = list["alerts"].as_array().unwrap().iter();
            alerts.filter(|alert| alert["resource_sid"] == sid && alert["error_code"] == "40144").cloned().collect()
        };
        let told = programs
            .until("the end is told", async |programs: &Programs| {
                Some(about(programs).await).filter(|all| !all.is_empty())
            })
            .await;
        let why = if cancels { "the task was canceled" } else { "the caller is gone" };
        assert!(told.len() == 1 && text(&told[0], "alert_text").contains(why), "{told:?}");
        // Whoever asks too late is told the same.
        refused(&programs, &offer, &[("Instruction", "conference")], "40144", "canceled").await;
        assert_eq!(about(&programs).await.len(), 2);
    }
    // A worker who says no is not a caller who is gone.
    let offer = offer(&programs, &floor).await;
    programs.post(&offer.reservation, &[("ReservationStatus", "rejected")]).await;
    refused(&programs, &offer, &[("Instruction", "conference")], "40136", "rejected").await;
}

#[tokio::test]
async fn a_known_worker_who_is_not_in_the_queue_leaves_an_alert_and_the_task_waits() {
    let programs = Programs::start(4.0).await;
    let floor = furnish(&programs, "true").await;
    let form = [("FriendlyName", "Nobody"), ("TargetWorkers", "1==2")];
    let queue = text(&programs.post(&format!("{}/TaskQueues", floor.base), &form).await, "sid");
    let target = json!({ "queue": queue, "known_worker_sid": "task.agent" });
    let configuration = json!({ "task_routing": { "default_filter": target } }).to_string();
    let form = [("FriendlyName", "Known"), ("Configuration", configuration.as_str())];
    let workflow = text(&programs.post(&format!("{}/Workflows", floor.base), &form).await, "sid");
    let attributes = json!({ "agent": floor.worker }).to_string();
    let form = [("WorkflowSid", workflow.as_str()), ("Attributes", &attributes)];
    let (status, task) =
        programs.try_api(Method::POST, &format!("{}/Tasks", floor.base), &form).await.expect("the server is there");
    assert_eq!((status, &task["assignment_status"]), (StatusCode::CREATED, &json!("pending")), "{task}");
    let alert = until_alert(&programs, "40152").await;
    assert_eq!((&alert["resource_sid"], &alert["log_level"]), (&task["sid"], &json!("error")), "{alert}");
    assert!(text(&alert, "alert_text").contains(&queue), "{alert}");
}

#[tokio::test]
async fn without_a_caller_id_the_settings_have_one_and_further_facts_of_the_call_are_attributes() {
    let settings = [
        ("SWITCHHOOK_DEFAULT_CALLER_ID", "+15550177"),
        ("SWITCHHOOK_EXTRA_CALL_ATTRIBUTES", "forwarded_from,caller_name"),
    ];
    let programs = Programs::start_with(4.0, &settings).await;
    let floor = furnish(&programs, "true").await;
    let call =
        [("CallSid", "CAunknown"), ("From", "+15551110000"), ("ForwardedFrom", "+15550188"), ("CallStatus", "ringing")];
    programs.voice(&format!("/voice/enqueue/{}", floor.workflow), &call).await;
    let offer = offer_of(&programs, &floor, "CAunknown".to_owned()).await;
    let row = programs.get(&offer.task).await;
    let attributes: Value = serde_json::from_str(&text(&row, "attributes")).unwrap();
    let found = (&attributes["forwarded_from"], &attributes["caller_name"]);
    assert_eq!(found, (&json!("+15550188"), &json!("")), "{attributes}");
    programs.post(&offer.reservation, &[("Instruction", "conference")]).await;
    until_ringing(&programs).await;
    let calls = programs.phone_get("/Calls.json?To=client:alice").await;
    assert_eq!(calls["calls"][0]["from"], "+15550177", "{calls}");
}
