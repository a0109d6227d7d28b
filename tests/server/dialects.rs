//! Phone systems that speak Twilio's dialect in part: the same conversation, by other means.

use reqwest::Method;
use serde_json::{Value, json};

use switchhook::signature::ed25519::SigningKey;

use crate::programs::{Floor, NUMBER, PHONE_TOKEN, Programs, text};

/// A setting of the server, as a variable.
type Setting<'a> = (&'static str, &'a str);

/// `POST Participants` does not exist.
fn no_new_participants() -> Value {
    json!({ "method": "POST", "contains": "/Participants.json", "status": 405, "times": 1_000_000 })
}

/// Nobody is told what happens in rooms.
fn no_room_callbacks() -> Value {
    json!({ "of": "callbacks", "contains": "/voice/cb/room/", "fate": "lost", "times": 1_000_000 })
}

/// Documents with these words end the call, and conferences are unknown; of calls that it dials by a document it tells
/// nothing.
fn neither_rooms_nor_queues() -> Vec<Value> {
    let words = ["<Enqueue", "<Leave", "<Conference", "<Pause"];
    let refused = words.map(|word| json!({ "of": "documents", "contains": word, "times": 1_000_000 }));
    let mut faults = Vec::from(refused);
    faults.push(json!({ "contains": "/Conferences", "status": 404, "times": 1_000_000 }));
    faults.push(json!({ "of": "callbacks", "contains": "/worker", "fate": "lost", "times": 1_000_000 }));
    faults
}

async fn hire(programs: &Programs, floor: &Floor, name: &str) -> String {
    let contact = format!("client:{name}");
    programs.control(Method::PUT, &format!("/addresses/{contact}"), json!({ "answer_after_ms": 50 })).await;
    let attributes = json!({ "contact_uri": contact }).to_string();
    let form = [("FriendlyName", name), ("Attributes", attributes.as_str())];
    text(&programs.post(&format!("{}/Workers", floor.base), &form).await, "sid")
}

/// Waits until a task is in a state, and returns it.
async fn task_in(programs: &Programs, path: &str, status: &str) -> Value {
    programs
        .until(&format!("the task is {status}"), async |programs: &Programs| {
            let task = programs.get(path).await;
            (task["assignment_status"] == status).then_some(task)
        })
        .await
}

/// The only reservation of a task, as soon as there is one, and its path.
async fn offer(programs: &Programs, task: &str) -> (String, String) {
    let path = format!("{task}/Reservations");
    let sid = programs
        .until("the task is offered", async |programs: &Programs| {
            let list = programs.get(&path).await;
            list["reservations"].as_array().and_then(|rows| rows.first()).map(|row| text(row, "sid"))
        })
        .await;
    (format!("{path}/{sid}"), sid)
}

/// Who is in the room of a task: each label and its participant, as the phone system itself knows, whatever it tells others.
async fn in_room(programs: &Programs, task: &str) -> Vec<(String, Value)> {
    let name = task.rsplit('/').next().unwrap();
    let snapshot = programs.control(Method::GET, "/snapshot", Value::Null).await;
    let mut rooms = snapshot["conferences"].as_array().unwrap().iter();
    let Some(room) = rooms.find(|room| room["name"] == name && room["status"] == "in-progress") else {
        return Vec::new();
    };
    let legs = room["participants"].as_array().unwrap().iter();
    legs.map(|leg| (leg["label"].as_str().unwrap_or_default().to_owned(), leg.clone())).collect()
}

/// The customer is put on hold by the ID of its call, and taken off it by its label.
async fn hold_and_go_on(programs: &Programs, task: &str, call: &str) {
    let customer = format!("{task}/Participants/customer");
    for (path, held) in [(format!("{task}/Participants/{call}"), true), (customer.clone(), false)] {
        programs.post(&path, &[("Hold", if held { "true" } else { "false" })]).await;
        programs
            .until("the customer is on hold, or off it again", async |programs: &Programs| {
                let legs = in_room(programs, task).await;
                let at_phone = legs.iter().any(|(label, leg)| label == "customer" && leg["hold"] == held);
                let told = programs.get(&customer).await["hold"] == held;
                (at_phone && told).then_some(())
            })
            .await;
    }
}

/// A caller and an agent talk, the caller is held for a while, a supervisor whispers, the caller hangs up; then a customer is called.
async fn check(settings: &[Setting<'_>], faults: &[Value]) {
    check_with(&Programs::start_with(1.0, settings).await, faults).await;
}

async fn check_with(programs: &Programs, faults: &[Value]) {
    for fault in faults {
        programs.control(Method::POST, "/faults", fault.clone()).await;
    }
    let floor = programs.furnish().await;
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    let sue = hire(programs, &floor, "sue").await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    let caller = text(&programs.control(Method::POST, "/calls", call).await, "call_sid");
    let task = programs
        .until("the caller has a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks", floor.base)).await;
            list["tasks"].as_array().and_then(|tasks| tasks.first()).map(|task| text(task, "sid"))
        })
        .await;
    let task = format!("{}/Tasks/{task}", floor.base);
    let (reservation, sid) = offer(programs, &task).await;
    let form =
        [("Instruction", "conference"), ("EndConferenceOnExit", "true"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&reservation, &form).await;
    task_in(programs, &task, "assigned").await;
    assert_eq!(programs.get(&reservation).await["reservation_status"], "accepted");
    let agent = programs
        .until("both are in the room", async |programs: &Programs| {
            let legs = in_room(programs, &task).await;
            let customer = legs.iter().any(|(label, leg)| label == "customer" && leg["call_sid"] == caller.as_str());
            legs.iter().find(|(label, _)| *label == sid && customer).map(|(_, leg)| leg.clone())
        })
        .await;
    assert_eq!((&agent["end_conference_on_exit"], &agent["muted"]), (&json!(true), &json!(false)));
    hold_and_go_on(programs, &task, &caller).await;

    let form = [("Instruction", "supervise"), ("Supervisor", sue.as_str()), ("SupervisorMode", "whisper")];
    programs.post(&reservation, &form).await;
    let supervisor = programs
        .until("the supervisor is in the room", async |programs: &Programs| {
            let legs = in_room(programs, &task).await;
            legs.into_iter().find(|(label, _)| label.starts_with("supervisor-")).map(|(_, leg)| leg)
        })
        .await;
    assert_eq!(supervisor["call_sid_to_coach"], agent["call_sid"], "{supervisor}");
    assert_eq!(supervisor["end_conference_on_exit"], false);

    programs.hang_up(&caller).await;
    task_in(programs, &task, "wrapping").await;
    programs.post(&task, &[("AssignmentStatus", "completed")]).await;
    programs
        .until("nobody is on the line", async |programs: &Programs| {
            let live = programs.control(Method::GET, "/calls", Value::Null).await;
            live["calls"].as_array().unwrap().is_empty().then_some(())
        })
        .await;

    // The other way round: the worker first, then the customer.
    programs.control(Method::PUT, "/addresses/+15553330000", json!({ "answer_after_ms": 50 })).await;
    let attributes = json!({ "outbound_to": "+15553330000", "from": NUMBER }).to_string();
    let form = [("Attributes", attributes.as_str()), ("WorkflowSid", &floor.workflow), ("TaskChannel", "voice")];
    let task =
        format!("{}/Tasks/{}", floor.base, text(&programs.post(&format!("{}/Tasks", floor.base), &form).await, "sid"));
    let (reservation, _) = offer(programs, &task).await;
    let form = [("Instruction", "conference"), ("EndConferenceOnCustomerExit", "true")];
    programs.post(&reservation, &form).await;
    task_in(programs, &task, "assigned").await;
    let customer = programs
        .until("the customer is in the room", async |programs: &Programs| {
            let legs = in_room(programs, &task).await;
            legs.into_iter().find(|(label, _)| label == "customer").map(|(_, leg)| leg)
        })
        .await;
    assert_eq!(customer["end_conference_on_exit"], true);
    let answered = programs.phone_get("/Calls.json?To=%2B15553330000").await;
    assert_eq!(answered["calls"].as_array().unwrap().len(), 1, "called once: {answered}");
    assert_eq!(customer["call_sid"], answered["calls"][0]["sid"]);
    programs.hang_up(&text(&customer, "call_sid")).await;
    task_in(programs, &task, "wrapping").await;

    let alerts = programs.get("/Alerts?PageSize=100").await;
    assert!(alerts["alerts"].as_array().unwrap().is_empty(), "it went well by looking, or not at all: {alerts}");
}

#[tokio::test]
async fn legs_are_called_into_the_room_where_participants_cannot_be_made() {
    check(&[("SWITCHHOOK_PHONE_PARTICIPANTS_CREATE", "false")], &[no_new_participants()]).await;
}

#[tokio::test]
async fn answers_and_redirects_count_where_rooms_tell_nothing() {
    check(&[("SWITCHHOOK_PHONE_ROOM_CALLBACKS", "false")], &[no_room_callbacks()]).await;
}

#[tokio::test]
async fn a_dialect_says_what_a_phone_system_can_do() {
    check(&[("SWITCHHOOK_PHONE_DIALECT", "restcomm")], &[no_new_participants(), no_room_callbacks()]).await;
}

/// Where the worker is dialled, and how it behaves there.
const DESK: &str = "+15554440000";

/// A caller comes in; its call and the path of its task.
async fn call_in(programs: &Programs, floor: &Floor) -> (String, String) {
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    let call = text(&programs.control(Method::POST, "/calls", call).await, "call_sid");
    let sought = call.clone();
    let task = programs
        .until("the caller has a task", async |programs: &Programs| {
            let list = programs.get(&format!("{}/Tasks?PageSize=100", floor.base)).await;
            let tasks = list["tasks"].as_array()?.iter();
            let mut own = tasks.filter(|task| task["attributes"].as_str().is_some_and(|text| text.contains(&sought)));
            own.next().map(|task| text(task, "sid"))
        })
        .await;
    (call, format!("{}/Tasks/{task}", floor.base))
}

/// The pending reservation of a task, as soon as there is one, and its path.
async fn pending(programs: &Programs, task: &str) -> String {
    let path = format!("{task}/Reservations");
    let sid = programs
        .until("the task is offered", async |programs: &Programs| {
            let list = programs.get(&format!("{path}?ReservationStatus=pending")).await;
            list["reservations"].as_array().and_then(|rows| rows.first()).map(|row| text(row, "sid"))
        })
        .await;
    format!("{path}/{sid}")
}

async fn no_longer_on_the_line(programs: &Programs) {
    programs
        .until("nobody is on the line", async |programs: &Programs| {
            let live = programs.control(Method::GET, "/calls", Value::Null).await;
            live["calls"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
}

async fn refused(programs: &Programs, path: &str, form: &[(&str, &str)]) {
    let (status, body) = programs.try_api(Method::POST, path, form).await.unwrap();
    assert_eq!((status.as_u16(), &body["code"]), (400, &json!(20001)), "{path}: {body}");
    assert!(body["message"].as_str().unwrap().contains("has no conferences"), "{path}: {body}");
}

#[tokio::test]
async fn the_caller_waits_in_a_loop_and_dials_the_worker_where_there_are_neither_queues_nor_rooms() {
    let programs = Programs::start_with(1.0, &[("SWITCHHOOK_PHONE_DIALECT", "somleng")]).await;
    for fault in neither_rooms_nor_queues() {
        programs.control(Method::POST, "/faults", fault).await;
    }
    let floor = programs.furnish().await;
    let worker = format!("{}/Workers/{}", floor.base, floor.worker);
    let attributes = json!({ "contact_uri": DESK }).to_string();
    programs.post(&worker, &[("Attributes", &attributes), ("ActivitySid", &floor.available)]).await;
    programs.control(Method::PUT, &format!("/addresses/{DESK}"), json!({ "answer_after_ms": 50 })).await;
    programs.control(Method::PUT, &format!("/addresses/{DESK}"), json!({ "busy": true, "calls": "next" })).await;

    // The worker is busy: the caller waits on, and gets the worker the next time.
    let (caller, task) = call_in(&programs, &floor).await;
    let first = pending(&programs, &task).await;
    programs.post(&first, &[("Instruction", "conference"), ("Timeout", "20")]).await;
    programs
        .until("the first attempt has failed", async |programs: &Programs| {
            let row = programs.get(&first).await;
            (row["reservation_status"] == "canceled").then_some(())
        })
        .await;
    let second = pending(&programs, &task).await;
    let own = [("CallSid", "11111111-2222-4333-8444-555555555555"), ("CallStatus", "in-progress")];
    let place = format!("/voice/reservations/{}", second.rsplit('/').next().unwrap());
    let (_, turned_away) = programs.voice(&place, &own).await;
    assert!(turned_away.contains("no longer waiting"), "two calls cannot be brought together: {turned_away}");
    assert_ne!(first, second);
    let events = programs.get(&format!("{}/Events?EventType=reservation.canceled", floor.base)).await;
    assert!(events.to_string().contains("31486"), "{events}");

    // Nothing tells that the worker has answered: it counts as answered when it could ring no longer.
    programs.post(&second, &[("Instruction", "dequeue"), ("DequeueTimeout", "1")]).await;
    let assigned = task_in(&programs, &task, "assigned").await;
    assert!(!assigned["attributes"].as_str().unwrap().contains("conference"), "{assigned}");
    assert_eq!(programs.get(&second).await["reservation_status"], "accepted");
    let live = programs.control(Method::GET, "/calls", Value::Null).await;
    assert_eq!(live["calls"].as_array().unwrap().len(), 2, "{live}");

    let supervise =
        [("Instruction", "supervise"), ("Supervisor", floor.worker.as_str()), ("SupervisorMode", "monitor")];
    refused(&programs, &second, &supervise).await;
    refused(&programs, &format!("{task}/Participants"), &[("Label", "x"), ("To", "+15550199")]).await;
    refused(&programs, &format!("{task}/Participants/customer"), &[("Hold", "true")]).await;
    refused(&programs, &format!("{task}/Conference"), &[("Status", "completed")]).await;

    let form = [("TaskSid", task.rsplit('/').next().unwrap()), ("ReservationSid", second.rsplit('/').next().unwrap())];
    refused(&programs, &format!("{worker}/Transfers"), &[form[0], form[1], ("To", &floor.worker)]).await;

    programs.hang_up(&caller).await;
    task_in(&programs, &task, "wrapping").await;
    programs.post(&task, &[("AssignmentStatus", "completed")]).await;
    no_longer_on_the_line(&programs).await;

    // A short conversation is told by its end alone.
    let behaviour = json!({ "answer_after_ms": 50, "hang_up_after_talking_ms": 200 });
    programs.control(Method::PUT, &format!("/addresses/{DESK}"), behaviour).await;
    let (_, task) = call_in(&programs, &floor).await;
    let reservation = pending(&programs, &task).await;
    let form = [("Instruction", "call"), ("CallFrom", NUMBER), ("CallUrl", "https://example.org/unused")];
    programs.post(&reservation, &form).await;
    task_in(&programs, &task, "wrapping").await;
    programs.post(&task, &[("AssignmentStatus", "completed")]).await;
    no_longer_on_the_line(&programs).await;

    // Nobody takes the call: the caller is told so, and is not kept.
    programs.post(&worker, &[("Attributes", r#"{"contact_uri":"client:alice"}"#)]).await;
    let (_, task) = call_in(&programs, &floor).await;
    let reservation = pending(&programs, &task).await;
    let (status, body) = programs.try_api(Method::POST, &reservation, &[("Instruction", "conference")]).await.unwrap();
    assert_eq!(status, 400, "a document dials no clients: {body}");
    programs.post(&task, &[("AssignmentStatus", "canceled"), ("Reason", "too late")]).await;
    no_longer_on_the_line(&programs).await;

    // A customer cannot be called.
    let attributes = json!({ "outbound_to": "+15553330000", "from": NUMBER }).to_string();
    programs.post(&worker, &[("Attributes", &json!({ "contact_uri": DESK }).to_string())]).await;
    let form = [("Attributes", attributes.as_str()), ("WorkflowSid", &floor.workflow), ("TaskChannel", "voice")];
    let task = text(&programs.post(&format!("{}/Tasks", floor.base), &form).await, "sid");
    let reservation = pending(&programs, &format!("{}/Tasks/{task}", floor.base)).await;
    refused(&programs, &reservation, &[("Instruction", "conference")]).await;

    let alerts = programs.get("/Alerts?PageSize=100").await;
    let codes: Vec<&str> =
        alerts["alerts"].as_array().unwrap().iter().filter_map(|row| row["error_code"].as_str()).collect();
    assert_eq!(codes, ["40145", "40137", "40149", "40146", "14217"], "{alerts}");
}

#[tokio::test]
async fn a_document_with_a_queue_ends_the_call_where_there_are_none() {
    let programs = Programs::start_with(1.0, &[]).await;
    for fault in neither_rooms_nor_queues() {
        programs.control(Method::POST, "/faults", fault).await;
    }
    let floor = programs.furnish().await;
    let call = json!({ "from": "+15551110000", "to": NUMBER });
    programs.control(Method::POST, "/calls", call).await;
    no_longer_on_the_line(&programs).await;
    let list = programs.get(&format!("{}/Tasks", floor.base)).await;
    assert_eq!(list["tasks"].as_array().unwrap().len(), 1, "what the other test shows is no matter of course: {list}");
}

#[tokio::test]
async fn telnyx_is_spoken_with_its_paths_ids_words_and_signatures() {
    let key = SigningKey::of(PHONE_TOKEN).public_key().to_string();
    let settings = [
        ("SWITCHHOOK_PHONE_DIALECT", "telnyx"),
        ("SWITCHHOOK_PHONE_PUBLIC_KEY", key.as_str()),
        ("SWITCHHOOK_PHONE_APPLICATION_SID", "2570131338"),
    ];
    let programs = Programs::start_speaking("telnyx", 1.0, &settings).await;
    check_with(&programs, &[]).await;
    let calls = programs.phone_get("/Calls.json").await;
    let calls: Vec<String> = calls["calls"].as_array().unwrap().iter().map(|call| text(call, "sid")).collect();
    assert!(calls.len() >= 5 && calls.iter().all(|sid| sid.starts_with("v3:")), "{calls:?}");
    let rooms = programs.phone_get("/Conferences.json").await;
    let rooms: Vec<String> = rooms["conferences"].as_array().unwrap().iter().map(|room| text(room, "sid")).collect();
    assert!(rooms.len() == 2 && rooms.iter().all(|sid| sid.len() == 36), "{rooms:?}");
}
