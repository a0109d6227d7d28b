//! Conversations over real HTTP: hold, mute, third parties, transfers, supervisors and outbound tasks, with `serve` and
//! `phone` as two processes. What is asserted of legs is what the phone system tells of them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::programs::{Floor, NUMBER, Programs, text};

/// A floor on which callers are talking to workers.
pub(crate) struct Office {
    pub(crate) programs: Programs,
    pub(crate) floor: Floor,
}

impl Office {
    pub(crate) async fn open() -> Self {
        Self::open_with(1.0, &[]).await
    }

    /// The same where the phone system's clock runs `speed` times as fast.
    pub(crate) async fn open_at(speed: f64) -> Self {
        Self::open_with(speed, &[]).await
    }

    /// With settings of the server.
    pub(crate) async fn open_with(speed: f64, settings: &[(&'static str, &'static str)]) -> Self {
        let programs = Programs::start_with(speed, settings).await;
        let floor = programs.furnish().await;
        for name in ["alice", "bob", "sue"] {
            programs.control(Method::PUT, &format!("/addresses/client:{name}"), quick()).await;
        }
        Self { programs, floor }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.floor.base)
    }

    /// Another worker, who is reached at `client:<name>`.
    pub(crate) async fn hire(&self, name: &str, available: bool) -> String {
        let attributes = json!({ "contact_uri": format!("client:{name}") }).to_string();
        let mut form = vec![("FriendlyName", name), ("Attributes", attributes.as_str())];
        if available {
            form.push(("ActivitySid", &self.floor.available));
        }
        text(&self.programs.post(&self.at("/Workers"), &form).await, "sid")
    }

    pub(crate) async fn make_available(&self, worker: &str) {
        let form = [("ActivitySid", self.floor.available.as_str())];
        self.programs.post(&self.at(&format!("/Workers/{worker}")), &form).await;
    }

    /// What the worker was offered: task and reservation.
    pub(crate) async fn offered(&self, worker: &str) -> (String, String) {
        let path = self.at(&format!("/Workers/{worker}/Reservations?ReservationStatus=pending"));
        let row = self
            .programs
            .until("the worker gets a reservation", async |programs: &Programs| {
                programs.get(&path).await["reservations"].as_array().and_then(|rows| rows.first().cloned())
            })
            .await;
        (text(&row, "task_sid"), text(&row, "sid"))
    }

    pub(crate) async fn instruct(&self, task: &str, reservation: &str, form: &[(&str, &str)]) -> Value {
        self.programs.post(&self.at(&format!("/Tasks/{task}/Reservations/{reservation}")), form).await
    }

    pub(crate) async fn until_reservation(&self, task: &str, reservation: &str, status: &str) -> Value {
        let path = self.at(&format!("/Tasks/{task}/Reservations/{reservation}"));
        self.until(&path, &format!("the reservation is {status}"), |row| row["reservation_status"] == status).await
    }

    pub(crate) async fn until_task(&self, task: &str, status: &str) -> Value {
        let path = self.at(&format!("/Tasks/{task}"));
        self.until(&path, &format!("the task is {status}"), |row| row["assignment_status"] == status).await
    }

    pub(crate) async fn until(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.programs
            .until(what, async |programs: &Programs| Some(programs.get(path).await).filter(|row| is(row)))
            .await
    }

    /// A caller talks to alice: caller's call, task, alice's reservation.
    pub(crate) async fn talk(&self, form: &[(&str, &str)]) -> (String, String, String) {
        let (programs, alice) = (&self.programs, &self.floor.worker);
        let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
        self.make_available(alice).await;
        let (task, reservation) = self.offered(alice).await;
        let form: Vec<_> = [("Instruction", "conference")].into_iter().chain(form.iter().copied()).collect();
        self.instruct(&task, &reservation, &form).await;
        self.until_task(&task, "assigned").await;
        (text(&call, "call_sid"), task, reservation)
    }

    /// The same while `bob`, who is hired for it and free afterwards, has no capacity: bob before what `talk` gives.
    pub(crate) async fn talk_beside_bob(&self, form: &[(&str, &str)]) -> (String, String, String, String) {
        let bob = self.hire("bob", true).await;
        let channel = self.at(&format!("/Workers/{bob}/Channels/voice"));
        self.programs.post(&channel, &[("Capacity", "0")]).await;
        let (caller, task, reservation) = self.talk(form).await;
        self.programs.post(&channel, &[("Capacity", "1")]).await;
        (bob, caller, task, reservation)
    }

    /// Hands alice's task on to a worker: the transfer.
    pub(crate) async fn hand_on(&self, task: &str, reservation: &str, to: &str, mode: &str) -> Value {
        let form = [("TaskSid", task), ("ReservationSid", reservation), ("To", to), ("Mode", mode)];
        self.programs.post(&self.at(&format!("/Workers/{}/Transfers", self.floor.worker)), &form).await
    }

    /// The legs of the task's room at the phone system, by label; empty when there is no room in progress.
    pub(crate) async fn legs(&self, task: &str) -> Vec<(String, Value)> {
        let rooms = self.programs.phone_get(&format!("/Conferences.json?FriendlyName={task}&Status=in-progress")).await;
        let Some(room) = rooms["conferences"].as_array().and_then(|rooms| rooms.first()) else { return Vec::new() };
        let path = format!("/Conferences/{}/Participants.json", text(room, "sid"));
        let list = self.programs.phone_get(&path).await;
        let mut legs: Vec<_> =
            list["participants"].as_array().unwrap().iter().map(|leg| (text(leg, "label"), leg.clone())).collect();
        legs.sort_by(|one, other| one.0.cmp(&other.0));
        legs
    }

    /// Waits until the room has exactly these legs and the phone system says this of each: words out of `hold`, `muted`
    /// and `coaching`.
    pub(crate) async fn until_legs(&self, task: &str, expected: &[(&str, &[&str])]) -> Vec<(String, Value)> {
        let mut wanted: Vec<_> = expected.iter().map(|(label, marks)| ((*label).to_owned(), marks.to_vec())).collect();
        wanted.sort();
        self.programs
            .until(&format!("the room of {task} has {wanted:?}"), async |_: &Programs| {
                let legs = self.legs(task).await;
                let marks =
                    |leg: &Value| ["hold", "muted", "coaching"].into_iter().filter(|mark| leg[mark] == true).collect();
                let seen: Vec<(String, Vec<&str>)> =
                    legs.iter().map(|(label, leg)| (label.clone(), marks(leg))).collect();
                (seen == wanted).then_some(legs)
            })
            .await
    }

    pub(crate) async fn until_call(&self, call: &str, status: &str) {
        let path = format!("/Calls/{call}.json");
        self.programs
            .until(&format!("the call is {status}"), async |programs: &Programs| {
                (programs.phone_get(&path).await["status"] == status).then_some(())
            })
            .await;
    }

    /// A request that is refused; its message.
    pub(crate) async fn refused(&self, method: Method, path: &str, form: &[(&str, &str)]) -> String {
        let (status, body) = self.programs.try_api(method, &self.at(path), form).await.unwrap();
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(20001)), "{path}: {body}");
        text(&body, "message")
    }
}

pub(crate) fn quick() -> Value {
    json!({ "ring_after_ms": 10, "answer_after_ms": 50 })
}

pub(crate) fn call_of(legs: &[(String, Value)], label: &str) -> String {
    let leg = legs.iter().find(|(found, _)| found == label).unwrap_or_else(|| panic!("no leg {label}: {legs:?}"));
    text(&leg.1, "call_sid")
}

#[tokio::test]
async fn an_application_holds_mutes_adds_and_removes_and_ends_for_all() {
    let office = Office::open().await;
    let programs = &office.programs;
    let (caller, task, reservation) = office.talk(&[]).await;
    let participants = office.at(&format!("/Tasks/{task}/Participants"));
    let customer = format!("{participants}/customer");

    programs.post(&customer, &[("Hold", "true")]).await;
    office.until_legs(&task, &[("customer", &["hold"]), (&reservation, &[])]).await;
    programs.post(&customer, &[("Hold", "false")]).await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    programs.post(&format!("{participants}/{reservation}"), &[("Muted", "true")]).await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &["muted"])]).await;
    let own = office.until(&format!("{participants}/{reservation}"), "it is known", |row| row["muted"] == true).await;
    assert_eq!((&own["role"], &own["reservation_sid"]), (&json!("worker"), &json!(reservation)));
    assert_eq!(programs.get(&format!("{participants}/{caller}")).await["label"], "customer", "by the call's SID");

    programs.control(Method::PUT, "/addresses/+15557770000", quick()).await;
    let third = programs.post(&participants, &[("To", "+15557770000")]).await;
    assert_eq!((&third["label"], &third["role"]), (&json!("external-1"), &json!("external")));
    let labels: [(&str, &[&str]); 3] = [("customer", &[]), ("external-1", &[]), (&reservation, &["muted"])];
    let legs = office.until_legs(&task, &labels).await;
    let dialled = programs.phone_get(&format!("/Calls/{}.json", call_of(&legs, "external-1"))).await;
    assert_eq!((&dialled["to"], &dialled["from"]), (&json!("+15557770000"), &json!(NUMBER)));
    let list = programs.get(&participants).await;
    assert_eq!(list["participants"].as_array().unwrap().len(), 3, "{list}");
    let of_task = format!("/Tasks/{task}/Participants");
    let taken = office.refused(Method::POST, &of_task, &[("To", "client:bob"), ("Label", "external-1")]).await;
    assert!(taken.contains("label is taken"), "{taken}");
    let ours = office.refused(Method::POST, &of_task, &[("To", "client:bob"), ("Label", "customer")]).await;
    assert!(ours.contains("Invalid Label"), "{ours}");
    let customer = office.refused(Method::DELETE, &format!("{of_task}/customer"), &[]).await;
    assert!(customer.contains("the customer leaves when the conference ends"), "{customer}");

    let third = format!("{participants}/external-1");
    let (status, _) = programs.try_api(Method::DELETE, &third, &[]).await.unwrap();
    assert_eq!(status, StatusCode::NO_CONTENT, "{}", programs.logs());
    office.until_legs(&task, &[("customer", &[]), (&reservation, &["muted"])]).await;
    assert_eq!(programs.try_api(Method::GET, &third, &[]).await.unwrap().0, StatusCode::NOT_FOUND);

    let room = office.at(&format!("/Tasks/{task}/Conference"));
    assert_eq!(programs.get(&room).await["state"], "bridged");
    programs.post(&room, &[("Status", "completed")]).await;
    office.until_reservation(&task, &reservation, "wrapping").await;
    office.until_task(&task, "wrapping").await;
    assert_eq!(office.legs(&task).await, []);
    let late = office.refused(Method::POST, &of_task, &[("To", "client:bob")]).await;
    assert!(late.contains("not in the task's conference"), "{late}");
    let metrics = programs.http.get(format!("http://{}/metrics", programs.server)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let held = |line: &&str| line.starts_with("taskrouter_handle_seconds_count") && line.contains(r#"phase="hold""#);
    let held: Vec<&str> = metrics.lines().filter(held).collect();
    assert!(matches!(held.as_slice(), [one] if one.ends_with(" 1")), "{held:?}");
}

#[tokio::test]
async fn a_third_party_is_hung_up_when_customer_and_worker_have_left() {
    let office = Office::open().await;
    let programs = &office.programs;
    let (caller, task, reservation) = office.talk(&[]).await;
    let of_task = format!("/Tasks/{task}/Participants");
    programs.control(Method::PUT, "/addresses/+15557770000", quick()).await;
    programs.post(&office.at(&of_task), &[("To", "+15557770000")]).await;
    let legs = office.until_legs(&task, &[("customer", &[]), ("external-1", &[]), (&reservation, &[])]).await;
    let third = call_of(&legs, "external-1");

    let third_row = office.at(&format!("/Tasks/{task}/Participants/external-1"));
    office.until(&third_row, "the third party is in the room", |row| row["state"] == "in_room").await;
    programs.hang_up(&caller).await;
    office.until_legs(&task, &[("external-1", &[]), (&reservation, &[])]).await;
    programs.hang_up(&call_of(&legs, &reservation)).await;
    office.until_task(&task, "wrapping").await;
    programs
        .until("the third party is hung up", async |programs: &Programs| {
            let call = programs.phone_get(&format!("/Calls/{third}.json")).await;
            (call["status"] == "completed").then_some(())
        })
        .await;
    let path = office.at(&format!("{of_task}/external-1"));
    let (status, body) = programs.try_api(Method::DELETE, &path, &[]).await.unwrap();
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!(20404)), "{body}");
    let room = format!("/Tasks/{task}/Conference");
    office.until(&office.at(&room), "its calls are over", |row| row["state"] == "closed").await;
    let ended = office.refused(Method::POST, &room, &[("Status", "completed")]).await;
    assert!(ended.contains("nobody is in the task's conference"), "{ended}");
}

#[tokio::test]
async fn worker_and_third_party_who_talk_without_the_customer_are_ended_for_all() {
    let office = Office::open().await;
    let programs = &office.programs;
    let (caller, task, reservation) = office.talk(&[]).await;
    programs.control(Method::PUT, "/addresses/+15557770000", quick()).await;
    programs.post(&office.at(&format!("/Tasks/{task}/Participants")), &[("To", "+15557770000")]).await;
    office.until_legs(&task, &[("customer", &[]), ("external-1", &[]), (&reservation, &[])]).await;
    let third_row = office.at(&format!("/Tasks/{task}/Participants/external-1"));
    office.until(&third_row, "the third party is in the room", |row| row["state"] == "in_room").await;
    programs.hang_up(&caller).await;
    let customer = office.at(&format!("/Tasks/{task}/Participants/customer"));
    programs
        .until("the customer is gone", async |programs: &Programs| {
            let (status, _) = programs.try_api(Method::GET, &customer, &[]).await.unwrap();
            (status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    programs.post(&office.at(&format!("/Tasks/{task}/Conference")), &[("Status", "completed")]).await;
    office.until_legs(&task, &[]).await;
    office.until_task(&task, "wrapping").await;
}

#[tokio::test]
async fn a_warm_transfer_keeps_everybody_in_the_room_until_they_leave() {
    let office = Office::open().await;
    let (bob, caller, task, first) = office.talk_beside_bob(&[("EndConferenceOnExit", "true")]).await;

    let transfer = office.hand_on(&task, &first, &bob, "WARM").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&first, &[])]).await;
    let (same, second) = office.offered(&bob).await;
    assert_eq!(same, task);
    office.instruct(&task, &second, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    office.until_reservation(&task, &second, "accepted").await;
    let three = office.until_legs(&task, &[("customer", &["hold"]), (&first, &[]), (&second, &[])]).await;
    let row = office
        .programs
        .get(&office.at(&format!("/Workers/{}/Transfers/{}", office.floor.worker, text(&transfer, "sid"))))
        .await;
    assert_eq!(row["transfer_status"], "complete");
    let customer = office.at(&format!("/Tasks/{task}/Participants/customer"));
    office.programs.post(&customer, &[("Hold", "false")]).await;
    office.until_legs(&task, &[("customer", &[]), (&first, &[]), (&second, &[])]).await;

    office.programs.hang_up(&call_of(&three, &first)).await;
    office.until_reservation(&task, &first, "wrapping").await;
    office.until_legs(&task, &[("customer", &[]), (&second, &[])]).await;
    assert_eq!(office.programs.get(&office.at(&format!("/Tasks/{task}"))).await["assignment_status"], "assigned");
    office.programs.hang_up(&caller).await;
    office.until_reservation(&task, &second, "wrapping").await;
    office.until_task(&task, "wrapping").await;
}

#[tokio::test]
async fn a_cold_transfer_leaves_the_customer_on_hold_until_somebody_takes_over() {
    let office = Office::open().await;
    let (bob, caller, task, first) = office.talk_beside_bob(&[("EndConferenceOnExit", "true")]).await;

    office.hand_on(&task, &first, &bob, "COLD").await;
    office.until_reservation(&task, &first, "wrapping").await;
    office.until_legs(&task, &[("customer", &["hold"])]).await;
    let (_, second) = office.offered(&bob).await;
    office.instruct(&task, &second, &[("Instruction", "conference")]).await;
    office.until_reservation(&task, &second, "accepted").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&second, &[])]).await;
    let customer = office.at(&format!("/Tasks/{task}/Participants/customer"));
    office.programs.post(&customer, &[("Hold", "false")]).await;
    office.until_legs(&task, &[("customer", &[]), (&second, &[])]).await;
    office.programs.hang_up(&caller).await;
    office.until_task(&task, "wrapping").await;
}

#[tokio::test]
async fn a_transferee_who_cannot_be_reached_fails_the_transfer_and_the_customer_stays_on_hold() {
    let office = Office::open().await;
    let (bob, _, task, first) = office.talk_beside_bob(&[]).await;
    let transfer = office.hand_on(&task, &first, &bob, "WARM").await;
    let (_, second) = office.offered(&bob).await;
    office.programs.control(Method::PUT, "/addresses/+1999", json!({ "refuse": 13223 })).await;
    office.instruct(&task, &second, &[("Instruction", "conference"), ("To", "+1999")]).await;
    office.until_reservation(&task, &second, "canceled").await;
    let path = office.at(&format!("/Workers/{}/Transfers/{}", office.floor.worker, text(&transfer, "sid")));
    office.until(&path, "the transfer failed", |row| row["transfer_status"] == "failed").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&first, &[])]).await;
    let events = office
        .programs
        .get(&office.at(&format!("/Events?ReservationSid={second}&EventType=reservation.canceled")))
        .await;
    assert_eq!(events["events"][0]["event_data"]["reservation_reason_code"], "13223", "{events}");
}

/// Alice has handed her caller on to bob, who is busy: the caller's call, the task, alice's reservation.
async fn a_cold_transfer_fails(office: &Office) -> (String, String, String) {
    let (bob, caller, task, first) = office.talk_beside_bob(&[]).await;
    office.programs.control(Method::PUT, "/addresses/client:bob", json!({ "busy": true })).await;
    office.hand_on(&task, &first, &bob, "COLD").await;
    office.until_legs(&task, &[("customer", &["hold"])]).await;
    let away = office.programs.get(&office.at("/Activities?FriendlyName=Offline")).await;
    let away = text(&away["activities"][0], "sid");
    let (_, second) = office.offered(&bob).await;
    // Nobody is free when it fails.
    for worker in [office.floor.worker.as_str(), &bob] {
        office.programs.post(&office.at(&format!("/Workers/{worker}")), &[("ActivitySid", &away)]).await;
    }
    office.instruct(&task, &second, &[("Instruction", "conference")]).await;
    office.until_reservation(&task, &second, "canceled").await;
    (caller, task, first)
}

#[tokio::test]
async fn somebody_else_of_the_queue_takes_a_customer_whose_cold_transfer_failed() {
    let office = Office::open_with(1.0, &[("SWITCHHOOK_COLD_TRANSFER_FAILURE", "requeue")]).await;
    let (caller, task, _) = a_cold_transfer_fails(&office).await;
    let sue = office.hire("sue", true).await;
    let (offered, third) = office.offered(&sue).await;
    assert_eq!(offered, task);
    office.instruct(&task, &third, &[("Instruction", "conference")]).await;
    office.until_reservation(&task, &third, "accepted").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&third, &[])]).await;
    let transfers = office.programs.get(&office.at(&format!("/Workers/{}/Transfers", office.floor.worker))).await;
    let mut statuses: Vec<&Value> =
        transfers["transfers"].as_array().unwrap().iter().map(|row| &row["transfer_status"]).collect();
    statuses.sort_by_key(ToString::to_string);
    assert_eq!(statuses, ["complete", "failed"], "{transfers}");
    office.programs.hang_up(&caller).await;
    office.until_reservation(&task, &third, "wrapping").await;
}

#[tokio::test]
async fn a_customer_whose_cold_transfer_failed_leaves_a_message_that_becomes_a_task() {
    let office = Office::open_with(1.0, &[("SWITCHHOOK_COLD_TRANSFER_FAILURE", "voicemail")]).await;
    let (caller, task, _) = a_cold_transfer_fails(&office).await;
    office.until_legs(&task, &[]).await;
    office
        .programs
        .until("the customer speaks", async |programs: &Programs| {
            let list = programs.phone_get(&format!("/Recordings.json?CallSid={caller}")).await;
            list["recordings"].as_array().is_some_and(|rows| !rows.is_empty()).then_some(())
        })
        .await;
    office.programs.hang_up(&caller).await;
    let path = office.at("/Tasks?EvaluateTaskAttributes=type%20%3D%3D%20%22voicemail%22");
    let list = office.until(&path, "the message is a task", |list| list["tasks"][0].is_object()).await;
    let attributes: Value = serde_json::from_str(&text(&list["tasks"][0], "attributes")).unwrap();
    assert_eq!((&attributes["recorded_call_sid"], &attributes["from"]), (&json!(caller), &json!("+15551110000")));
    assert!(attributes["conference"].is_null() && attributes["call_sid"].is_null(), "{attributes}");
    office.until_task(&task, "wrapping").await;
}

#[tokio::test]
async fn a_supervisor_listens_then_whispers_then_takes_part_and_leaves_unnoticed() {
    let office = Office::open().await;
    let sue = office.hire("sue", false).await;
    let (_, task, reservation) = office.talk(&[]).await;
    let label = format!("supervisor-{sue}");
    let supervise = async |mode: &str| {
        let form = [("Instruction", "supervise"), ("Supervisor", sue.as_str()), ("SupervisorMode", mode)];
        office.instruct(&task, &reservation, &form).await
    };
    supervise("monitor").await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &["muted"])]).await;
    supervise("whisper").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &["coaching"])]).await;
    let coached = legs.iter().find(|(found, _)| *found == label).map(|(_, leg)| text(leg, "call_sid_to_coach"));
    assert_eq!(coached, Some(call_of(&legs, &reservation)));
    supervise("barge").await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &[])]).await;
    office.programs.hang_up(&call_of(&legs, &label)).await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    assert_eq!(office.programs.get(&office.at(&format!("/Tasks/{task}"))).await["assignment_status"], "assigned");
}

#[tokio::test]
async fn an_outbound_task_dials_the_worker_first_and_then_the_customer() {
    let office = Office::open().await;
    let alice = office.floor.worker.clone();
    office.programs.control(Method::PUT, "/addresses/+15558880000", quick()).await;
    let attributes = json!({ "outbound_to": "+15558880000", "from": NUMBER }).to_string();
    let form = [
        ("WorkflowSid", office.floor.workflow.as_str()),
        ("RoutingTarget", &alice),
        ("TaskChannel", "voice"),
        ("Attributes", &attributes),
    ];
    // The worker is offline and gets it all the same.
    office.programs.post(&office.at("/Tasks"), &form).await;
    let (task, reservation) = office.offered(&alice).await;
    office.instruct(&task, &reservation, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    office.until_reservation(&task, &reservation, "accepted").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    let (worker, customer) = (call_of(&legs, &reservation), call_of(&legs, "customer"));
    let began = async |call: &str| {
        let events = office.programs.control(Method::GET, &format!("/events?call_sid={call}"), Value::Null).await;
        events["events"][0]["sequence"].as_u64().unwrap_or_else(|| panic!("no events of {call}: {events}"))
    };
    assert!(began(&worker).await < began(&customer).await, "the worker's phone rings first");
    let dialled = office.programs.phone_get(&format!("/Calls/{customer}.json")).await;
    assert_eq!((&dialled["to"], &dialled["from"]), (&json!("+15558880000"), &json!(NUMBER)));
    office.programs.hang_up(&worker).await;
    office.until_reservation(&task, &reservation, "wrapping").await;
    office.until_task(&task, "wrapping").await;
    assert_eq!(office.legs(&task).await, []);
}

#[tokio::test]
async fn a_customer_who_cannot_be_dialled_cancels_an_outbound_task_with_the_phone_systems_code() {
    let office = Office::open().await;
    let alice = office.floor.worker.clone();
    for (number, code) in [("+15558880001", 13223), ("+15558880002", 21215)] {
        office.programs.control(Method::PUT, &format!("/addresses/{number}"), json!({ "refuse": code })).await;
        let attributes = json!({ "outbound_to": number, "from": NUMBER }).to_string();
        let form = [
            ("WorkflowSid", office.floor.workflow.as_str()),
            ("RoutingTarget", &alice),
            ("TaskChannel", "voice"),
            ("Attributes", &attributes),
        ];
        office.programs.post(&office.at("/Tasks"), &form).await;
        let (task, reservation) = office.offered(&alice).await;
        office.instruct(&task, &reservation, &[("Instruction", "conference")]).await;
        office.until_reservation(&task, &reservation, "canceled").await;
        let path = office.at(&format!("/Events?ReservationSid={reservation}&EventType=reservation.canceled"));
        let events = office.programs.get(&path).await;
        assert_eq!(events["events"][0]["event_data"]["reservation_reason_code"], code.to_string(), "{events}");
        let row = office.until_task(&task, "canceled").await;
        let expected = format!("RoutingTarget not available for Reservation acceptance: {alice}");
        assert_eq!(row["reason"], expected.as_str());
        assert_eq!(office.legs(&task).await, [], "nobody is left in a room");
    }
}

#[tokio::test]
async fn a_workspace_is_deleted_when_its_calls_are_over_and_not_before() {
    let office = Office::open().await;
    let programs = &office.programs;
    let (talks, task, _) = office.talk(&[]).await;
    let order = json!({ "from": "+15551110001", "to": NUMBER });
    let waits = text(&programs.control(Method::POST, "/calls", order).await, "call_sid");
    let pending = office.at("/Tasks?AssignmentStatus=pending");
    let list = office.until(&pending, "the second caller waits", |list| list["tasks"][0]["sid"].is_string()).await;
    let waiting = text(&list["tasks"][0], "sid");

    let both = office.refused(Method::DELETE, "", &[]).await;
    assert!(both.contains("calls are not over in 2 of its tasks"), "{both}");
    programs.post(&office.at(&format!("/Tasks/{waiting}")), &[("AssignmentStatus", "canceled")]).await;
    office.until_call(&waits, "completed").await;
    let one = office.refused(Method::DELETE, "", &[]).await;
    assert!(one.contains(&format!("in 1 of its tasks, {task}")), "{one}");
    assert_eq!(programs.phone_get(&format!("/Calls/{talks}.json")).await["status"], "in-progress");
    assert_eq!(programs.get(&office.at(&format!("/Tasks/{task}"))).await["assignment_status"], "assigned");

    programs.post(&office.at(&format!("/Tasks/{task}/Conference")), &[("Status", "completed")]).await;
    office.until_call(&talks, "completed").await;
    let base = office.at("");
    programs
        .until("the workspace can be deleted", async |programs: &Programs| {
            let (status, _) = programs.try_api(Method::DELETE, &base, &[]).await?;
            (status == StatusCode::NO_CONTENT).then_some(())
        })
        .await;
    assert_eq!(programs.try_api(Method::GET, &base, &[]).await.unwrap().0, StatusCode::NOT_FOUND);
    assert_eq!(office.legs(&task).await, []);
}
