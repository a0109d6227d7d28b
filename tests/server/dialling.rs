//! Toll fraud: whatever asks for it, nobody is dialled whom the settings do not name (`quality.md` 2.7, S9).

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// Destinations and the code that a request to dial them is refused with.
const FORBIDDEN: [(&str, u64); 12] = [
    ("+4930123456", 21_215),
    ("+15550199", 21_215),
    ("+870776123456", 21_215),
    ("+1 (900) 555-0100", 21_215),
    ("0019005550100", 21_215),
    ("911", 21_215),
    ("sip:bob@example.org", 32_205),
    ("sips:bob@example.org;transport=tls", 32_205),
    ("sip:bob@evil.example?x=a@example.org", 21_211),
    ("tel:+4930123456", 21_211),
    ("*67+4930123456", 21_211),
    ("whatsapp:+4930123456", 21_211),
];

async fn refused(programs: &Programs, path: &str, form: &[(&str, &str)], code: u64) {
    let (status, body) = programs.try_api(Method::POST, path, form).await.unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{path} {form:?}: {body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("dial.allow") || message.contains("E.164"), "{message}");
}

/// Whom the phone system was asked to dial.
async fn dialled(programs: &Programs) -> Vec<String> {
    let calls = programs.phone_get("/Calls.json?PageSize=100").await;
    let outgoing = calls["calls"].as_array().unwrap().iter().filter(|call| call["direction"] != "inbound");
    outgoing.map(|call| text(call, "to")).collect()
}

/// Only one prefix may be dialled, and alice answers.
async fn with_one_prefix() -> (Programs, Floor) {
    let programs = Programs::start_with(1.0, &[("SWITCHHOOK_DIAL_ALLOW", "+4989")]).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    (programs, floor)
}

async fn offered(programs: &Programs, floor: &Floor) -> (String, String) {
    programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let path = format!("{}/Workers/{}/Reservations?ReservationStatus=pending", floor.base, floor.worker);
    let row: Value = programs
        .until("the worker gets a reservation", async |programs: &Programs| {
            programs.get(&path).await["reservations"].as_array().and_then(|rows| rows.first().cloned())
        })
        .await;
    (text(&row, "task_sid"), text(&row, "sid"))
}

#[tokio::test]
async fn nobody_is_dialled_whom_the_settings_do_not_name() {
    let (programs, floor) = with_one_prefix().await;
    let (task, reservation) = offered(&programs, &floor).await;
    let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
    let worker = format!("{}/Workers/{}", floor.base, floor.worker);
    for (address, code) in FORBIDDEN {
        let contact = json!({ "contact_uri": address }).to_string();
        refused(&programs, &worker, &[("Attributes", &contact)], code).await;
        let new = [("FriendlyName", "bob"), ("Attributes", contact.as_str())];
        refused(&programs, &format!("{}/Workers", floor.base), &new, code).await;
        refused(&programs, &path, &[("Instruction", "conference"), ("To", address)], code).await;
        refused(&programs, &path, &[("Instruction", "dequeue"), ("DequeueTo", address)], code).await;
    }
    assert_eq!(programs.get(&path).await["reservation_status"], "pending", "what is refused changes nothing");
    programs.post(&path, &[("Instruction", "conference"), ("Timeout", "20")]).await;
    programs
        .until("the caller is connected", async |programs: &Programs| {
            (programs.get(&path).await["reservation_status"] == "accepted").then_some(())
        })
        .await;
    for (address, code) in FORBIDDEN {
        let form = [("Instruction", "supervise"), ("Supervisor", floor.worker.as_str()), ("To", address)];
        refused(&programs, &path, &form, code).await;
        refused(&programs, &format!("{}/Tasks/{task}/Participants", floor.base), &[("To", address)], code).await;
    }
    assert_eq!(dialled(&programs).await, ["client:alice"]);
    let alerts = programs.get("/Alerts?PageSize=100").await;
    let codes: Vec<&Value> = alerts["alerts"].as_array().unwrap().iter().map(|alert| &alert["error_code"]).collect();
    assert_eq!(codes.len(), 4 * FORBIDDEN.len(), "one for each refused instruction: {alerts}");
}

#[tokio::test]
async fn named_destinations_are_dialled_within_the_caps() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    programs.terminate_server().await;
    programs.environment = vec![
        ("SWITCHHOOK_DIAL_ALLOW", "+1555,sip:*.example.org".to_owned()),
        ("SWITCHHOOK_DIAL_PER_MINUTE_MAX", "1".to_owned()),
    ];
    programs.start_server().await;
    let contact = json!({ "contact_uri": "+15550777" }).to_string();
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("Attributes", &contact)]).await;
    let (task, reservation) = offered(&programs, &floor).await;
    let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
    programs.post(&path, &[("Instruction", "conference"), ("Timeout", "20")]).await;
    programs
        .until("the worker's phone rings", async |programs: &Programs| {
            (dialled(programs).await == ["+15550777"]).then_some(())
        })
        .await;
    // A second leg within the minute is refused until the minute is over.
    let contact = json!({ "contact_uri": "sip:bob@pbx.example.org" }).to_string();
    let new = [("FriendlyName", "bob"), ("Attributes", contact.as_str()), ("ActivitySid", floor.available.as_str())];
    programs.post(&format!("{}/Workers", floor.base), &new).await;
    let new =
        [("WorkflowSid", floor.workflow.as_str()), ("Attributes", r#"{"outbound_to":"client:x","from":"+1555"}"#)];
    let task = text(&programs.post(&format!("{}/Tasks", floor.base), &new).await, "sid");
    let rows = programs.get(&format!("{}/Tasks/{task}/Reservations", floor.base)).await;
    let reservation = text(&rows["reservations"][0], "sid");
    let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
    let form = [("Instruction", "conference"), ("Timeout", "20")];
    let (status, body) = programs.try_api(Method::POST, &path, &form).await.unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!(20_429)), "{body}");
    assert!(body["message"].as_str().unwrap().contains("dial.per_minute_max"), "{body}");
    assert_eq!(dialled(&programs).await.len(), 1);
}

#[tokio::test]
async fn a_customer_whom_the_settings_do_not_name_is_not_dialled_and_the_offer_is_canceled_with_the_code() {
    let (programs, floor) = with_one_prefix().await;
    for (address, code) in FORBIDDEN {
        let attributes = json!({ "outbound_to": address, "from": NUMBER }).to_string();
        let form = [
            ("WorkflowSid", floor.workflow.as_str()),
            ("RoutingTarget", floor.worker.as_str()),
            ("TaskChannel", "voice"),
            ("Attributes", attributes.as_str()),
        ];
        let task = text(&programs.post(&format!("{}/Tasks", floor.base), &form).await, "sid");
        let rows = programs.get(&format!("{}/Tasks/{task}/Reservations", floor.base)).await;
        let reservation = text(&rows["reservations"][0], "sid");
        let path = format!("{}/Tasks/{task}/Reservations/{reservation}", floor.base);
        programs.post(&path, &[("Instruction", "conference")]).await;
        programs
            .until("the offer is canceled", async |programs: &Programs| {
                (programs.get(&path).await["reservation_status"] == "canceled").then_some(())
            })
            .await;
        let query = format!("{}/Events?ReservationSid={reservation}&EventType=reservation.canceled", floor.base);
        let events = programs.get(&query).await;
        assert_eq!(events["events"][0]["event_data"]["reservation_reason_code"], code.to_string(), "{address}");
    }
    assert!(dialled(&programs).await.iter().all(|to| to == "client:alice"));
}

#[tokio::test]
async fn at_a_phone_system_for_tests_everybody_is_dialled_but_who_is_expensive() {
    let mut programs = Programs::start(1.0).await;
    programs.terminate_server().await;
    programs.environment.clear();
    programs.start_server().await;
    let floor = programs.furnish().await;
    let worker = format!("{}/Workers/{}", floor.base, floor.worker);
    for address in ["+4930123456", "+15550199", "sip:bob@example.org", "911"] {
        let contact = json!({ "contact_uri": address }).to_string();
        programs.post(&worker, &[("Attributes", &contact)]).await;
    }
    let contact = json!({ "contact_uri": "+870776123456" }).to_string();
    refused(&programs, &worker, &[("Attributes", &contact)], 21_215).await;
}

#[tokio::test]
async fn no_leg_lasts_longer_than_the_settings_allow() {
    // At this speed of the phone system a minute is over in half a second.
    let programs = Programs::start_with(120.0, &[("SWITCHHOOK_DIAL_LEG_SECS_MAX", "60")]).await;
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let (task, reservation) = offered(&programs, &floor).await;
    let path = format!("{}/Tasks/{task}", floor.base);
    let instruction = [("Instruction", "conference"), ("EndConferenceOnExit", "true")];
    programs.post(&format!("{path}/Reservations/{reservation}"), &instruction).await;
    programs
        .until("the worker's leg is over", async |programs: &Programs| {
            (programs.get(&path).await["assignment_status"] == "wrapping").then_some(())
        })
        .await;
    let legs = programs.phone_get("/Calls.json?To=client:alice").await;
    assert_eq!(legs["calls"][0]["status"], "completed", "{legs}");
}
