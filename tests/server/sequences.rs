//! The worked sequences of `spec/voice.md` 8, one test each, over real HTTP: `serve`, `phone` and an application behind
//! the proxy. Every row that has a message or a state is asserted; `tests/scenarios/calls` plays the same in the core.

use reqwest::Method;
use serde_json::{Value, json};

use crate::conversation::{Office, call_of, quick};
use crate::instructions::{Application, Asked};
use crate::programs::{ACCOUNT, NUMBER, Programs, text};

const CALLER: &str = "+15551110000";
/// What each task goes through until somebody is reserved.
const ROUTED: [&str; 5] =
    ["task.created", "workflow.entered", "workflow.target-matched", "task-queue.entered", "reservation.created"];

/// An office whose number leads through the proxy to an application.
struct Stage {
    office: Office,
    application: Application,
}

impl Stage {
    async fn open() -> Self {
        Self::open_at(1.0).await
    }

    async fn open_at(speed: f64) -> Self {
        let office = Office::open_at(speed).await;
        let application = Application::start().await;
        let programs = &office.programs;
        application.document(
            "voice",
            &format!(
                "<Enqueue workflowSid=\"{}\" action=\"left\" waitUrl=\"wait\"><Task priority=\"5\">{{\"lang\":\"es\"}}\
                 </Task></Enqueue>",
                office.floor.workflow
            ),
        );
        application.document("wait", "<Say>Please hold the line</Say><Pause length=\"60\"/>");
        application.document("left", "<Hangup/>");
        // Decided over REST, unless a test says otherwise.
        application.answers("assignment", "application/json", "{}");
        let form = [("AssignmentCallbackUrl", application.url("assignment"))];
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        programs.post(&office.at(&format!("/Workflows/{}", office.floor.workflow)), &form).await;
        let target = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("target", &application.url("voice"))
            .finish();
        let number = json!({
            "voice_url": format!("http://{}/voice/proxy?{target}", programs.server),
            "status_callback": format!("http://{}/voice/cb/call/inbound", programs.server),
        });
        programs.control(Method::PUT, &format!("/numbers/{NUMBER}"), number).await;
        Self { office, application }
    }

    fn programs(&self) -> &Programs {
        &self.office.programs
    }

    /// Somebody calls and waits: the call and its task.
    async fn wait_in_line(&self, behaviour: Value) -> (String, String) {
        let order = json!({ "from": CALLER, "to": NUMBER, "behaviour": behaviour });
        let call = text(&self.programs().control(Method::POST, "/calls", order).await, "call_sid");
        let asked = self.application.until_asked(self.programs(), "wait", 1).await;
        assert_eq!(asked[0].get("CallSid"), call);
        (call, asked[0].get("TaskSid").to_owned())
    }

    /// Alice is reserved for a caller who waits: call, task and reservation.
    async fn reserve(&self) -> (String, String, String) {
        let (call, task) = self.wait_in_line(json!({})).await;
        self.office.make_available(&self.office.floor.worker).await;
        let (of, reservation) = self.office.offered(&self.office.floor.worker).await;
        assert_eq!(of, task);
        (call, task, reservation)
    }

    /// Types of the task's events but `task.updated`, in order.
    async fn events(&self, task: &str) -> Vec<String> {
        let list = self.programs().get(&self.office.at(&format!("/Events?TaskSid={task}&PageSize=1000"))).await;
        let types = list["events"].as_array().unwrap().iter().map(|event| text(event, "event_type"));
        types.filter(|kind| kind != "task.updated").collect()
    }

    async fn assert_events(&self, task: &str, after_routing: &[&str]) {
        let expected: Vec<&str> = ROUTED.iter().chain(after_routing).copied().collect();
        assert_eq!(self.events(task).await, expected, "{}", self.programs().logs());
    }

    /// The phone system's story of one call.
    async fn happened(&self, call: &str) -> Vec<String> {
        let path = format!("/events?call_sid={call}&limit=1000");
        let list = self.programs().control(Method::GET, &path, Value::Null).await;
        let line = |event: &Value| format!("{} {}", text(event, "kind"), event["detail"].as_str().unwrap_or_default());
        list["events"].as_array().unwrap().iter().map(line).collect()
    }

    async fn until_call(&self, call: &str, status: &str) -> Value {
        self.programs()
            .until(&format!("the call is {status}"), async |programs: &Programs| {
                let row = programs.phone_get(&format!("/Calls/{call}.json")).await;
                (row["status"] == status).then_some(row)
            })
            .await
    }

    /// The call placed to an address once it has this status.
    async fn leg_to(&self, address: &str, status: &str) -> String {
        self.programs()
            .until(&format!("{address} is {status}"), async |programs: &Programs| {
                let list = programs.phone_get(&format!("/Calls.json?To={address}&Status={status}")).await;
                list["calls"].as_array().and_then(|calls| calls.first().map(|call| text(call, "sid")))
            })
            .await
    }

    async fn attributes(&self, task: &str) -> Value {
        let row = self.programs().get(&self.office.at(&format!("/Tasks/{task}"))).await;
        serde_json::from_str(&text(&row, "attributes")).unwrap()
    }

    /// The caller gave up: the task and its reservation say so, and the application hears it once.
    async fn assert_abandoned(&self, task: &str, after_routing: Option<&[&str]>) {
        let row = self.office.until_task(task, "canceled").await;
        assert_eq!(row["reason"], "hangup");
        match after_routing {
            Some(events) => self.assert_events(task, events).await,
            None => assert_eq!(self.events(task).await, [&ROUTED[..4], &["task.canceled"]].concat()),
        }
        let left = self.application.until_asked(self.programs(), "left", 1).await;
        let found = (left[0].get("QueueResult"), left[0].get("CallStatus"), left[0].signed, left.len());
        assert_eq!(found, ("hangup", "completed", true, 1));
    }

    async fn activity_of(&self, worker: &str) -> String {
        text(&self.programs().get(&self.office.at(&format!("/Workers/{worker}"))).await, "activity_sid")
    }

    async fn offline(&self) -> String {
        let list = self.programs().get(&self.office.at("/Activities?FriendlyName=Offline")).await;
        text(&list["activities"][0], "sid")
    }
}

fn statuses(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.get("CallStatus")).collect()
}

#[tokio::test]
async fn sequence_8_1_inbound_call_conference_and_the_caller_hangs_up() {
    let stage = Stage::open().await;
    let (application, office) = (&stage.application, &stage.office);
    // Rows 8 and 9: what the application will answer.
    let instruction = json!({
        "instruction": "conference", "from": NUMBER, "timeout": 20, "end_conference_on_exit": true,
        "end_conference_on_customer_exit": true, "beep": "false",
        "status_callback": application.url("leg"),
        "status_callback_events": "initiated,ringing,answered,completed",
        "conference_status_callback": application.url("room"),
        "conference_status_callback_event": "start,end,join,leave",
    });
    application.answers("assignment", "application/json", &instruction.to_string());
    // Rows 1 to 6.
    let (call, task) = stage.wait_in_line(json!({})).await;
    let voice = application.asked("voice");
    assert_eq!(voice.len(), 1, "{voice:?}");
    for (name, value) in [
        ("CallSid", call.as_str()),
        ("From", CALLER),
        ("To", NUMBER),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
    ] {
        assert_eq!(voice[0].get(name), value, "{name}");
    }
    assert!(voice[0].signed && voice[0].get("AccountSid") == ACCOUNT, "{voice:?}");
    let row = office.until_task(&task, "pending").await;
    assert_eq!((&row["priority"], &row["task_channel_unique_name"]), (&json!(5), &json!("voice")));
    let attributes = stage.attributes(&task).await;
    assert_eq!((&attributes["lang"], &attributes["call_sid"]), (&json!("es"), &json!(call)));
    assert_eq!((&attributes["from"], &attributes["call_status"]), (&json!(CALLER), &json!("in-progress")));
    assert_eq!(attributes.as_object().unwrap().len(), 26, "25 keys of the call, and the application's: {attributes}");
    let wait = &application.asked("wait")[0];
    assert_eq!((wait.get("QueuePosition"), wait.get("CurrentQueueSize"), wait.signed), ("1", "1", true));
    assert!(wait.get("QueueSid").starts_with("QU") && wait.get("QueueTime") == "0", "{wait:?}");
    assert_eq!(stage.events(&task).await, ROUTED[..4]);
    // Rows 7 to 9.
    office.make_available(&office.floor.worker).await;
    let asked = application.until_asked(stage.programs(), "assignment", 1).await.remove(0);
    let reservation = asked.get("ReservationSid").to_owned();
    assert!(asked.signed && asked.get("TaskSid") == task, "{asked:?}");
    let of_worker: Value = serde_json::from_str(asked.get("WorkerAttributes")).unwrap();
    assert_eq!(of_worker["contact_uri"], "client:alice");
    let of_task: Value = serde_json::from_str(asked.get("TaskAttributes")).unwrap();
    assert_eq!(of_task["lang"], "es");
    // Rows 10 to 16.
    office.until_task(&task, "assigned").await;
    office.until_reservation(&task, &reservation, "accepted").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    let worker = call_of(&legs, &reservation);
    assert_eq!(call_of(&legs, "customer"), call);
    let dialled = stage.programs().phone_get(&format!("/Calls/{worker}.json")).await;
    assert_eq!((&dialled["to"], &dialled["from"]), (&json!("client:alice"), &json!(NUMBER)));
    let conference = &stage.attributes(&task).await["conference"];
    assert_eq!(conference["participants"], json!({ "worker": worker, "customer": call }), "{conference}");
    assert!(text(conference, "sid").starts_with("CF"));
    let of_caller = stage.happened(&call).await;
    assert!(of_caller.contains(&"queue.left redirected".to_owned()), "{of_caller:?}");
    assert!(application.asked("left").is_empty(), "not while they talk");
    // Rows 18 to 20.
    stage.programs().hang_up(&call).await;
    office.until_reservation(&task, &reservation, "wrapping").await;
    office.until_task(&task, "wrapping").await;
    let left = application.until_asked(stage.programs(), "left", 1).await;
    assert_eq!((left[0].get("QueueResult"), left[0].get("CallStatus"), left.len()), ("bridged", "completed", 1));
    stage.until_call(&worker, "completed").await;
    let leg = application.until_asked(stage.programs(), "leg", 4).await;
    assert_eq!(statuses(&leg), ["initiated", "ringing", "in-progress", "completed"]);
    let room = application.until_asked(stage.programs(), "room", 6).await;
    let seen: Vec<(&str, &str)> =
        room.iter().map(|asked| (asked.get("StatusCallbackEvent"), asked.get("ParticipantLabel"))).collect();
    let joins: Vec<&str> = seen.iter().filter(|(event, _)| *event == "participant-join").map(|(_, who)| *who).collect();
    assert_eq!(joins, [reservation.as_str(), "customer"], "the worker is there first");
    for event in ["conference-start", "conference-end"] {
        assert_eq!(seen.iter().filter(|(seen, _)| *seen == event).count(), 1, "{seen:?}");
    }
    let leaves = seen.iter().filter(|(event, _)| *event == "participant-leave").count();
    assert_eq!((leaves, room.len()), (2, 6), "{seen:?}");
    // Row 21.
    office.instruct(&task, &reservation, &[("ReservationStatus", "completed")]).await;
    office.until_task(&task, "completed").await;
    let ending =
        ["reservation.accepted", "task.wrapup", "reservation.wrapup", "reservation.completed", "task.completed"];
    stage.assert_events(&task, &ending).await;
    let channel = office.at(&format!("/Workers/{}/Channels/voice", office.floor.worker));
    assert_eq!(stage.programs().get(&channel).await["available_capacity_percentage"], 100);
}

/// The variant: the caller's call goes on at the application.
#[tokio::test]
async fn sequence_8_1_when_the_agent_ends_the_call_the_caller_is_asked_how_it_was() {
    let stage = Stage::open().await;
    stage.application.document("left", "<Gather action=\"rated\" numDigits=\"1\" timeout=\"60\"><Say>?</Say></Gather>");
    stage.application.document("rated", "<Say>Thank you</Say>");
    let (call, task, reservation) = stage.reserve().await;
    let form = [("Instruction", "conference"), ("EndConferenceOnExit", "true")];
    stage.office.instruct(&task, &reservation, &form).await;
    stage.office.until_task(&task, "assigned").await;
    let legs = stage.office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    stage.programs().hang_up(&call_of(&legs, &reservation)).await;
    let left = stage.application.until_asked(stage.programs(), "left", 1).await;
    assert_eq!((left[0].get("QueueResult"), left[0].get("CallStatus")), ("bridged", "in-progress"));
    let (worker, taken) = (left[0].get("WorkerSid"), left[0].get("ReservationSid"));
    assert_eq!((worker, taken), (stage.office.floor.worker.as_str(), reservation.as_str()));
    assert!(left[0].get("QueueSid").starts_with("QU") && !left[0].get("QueueTime").is_empty(), "{left:?}");
    assert!(left[0].get("ConferenceSid").starts_with("CF"), "{left:?}");
    stage.office.until_reservation(&task, &reservation, "wrapping").await;
    let press = json!({ "digits": "5" });
    stage.programs().control(Method::POST, &format!("/calls/{call}/digits"), press).await;
    let rated = stage.application.until_asked(stage.programs(), "rated", 1).await;
    assert_eq!((rated[0].get("Digits"), rated[0].get("CallSid"), rated[0].signed), ("5", call.as_str(), true));
    stage.until_call(&call, "completed").await;
    assert_eq!(stage.application.asked("left").len(), 1);
}

#[tokio::test]
async fn sequence_8_2_caller_abandons_while_nobody_is_reserved() {
    let stage = Stage::open().await;
    let (call, task) = stage.wait_in_line(json!({})).await;
    stage.programs().hang_up(&call).await;
    stage.assert_abandoned(&task, None).await;
}

#[tokio::test]
async fn sequence_8_2_caller_abandons_while_a_worker_is_reserved() {
    let stage = Stage::open().await;
    let (call, task, reservation) = stage.reserve().await;
    stage.programs().hang_up(&call).await;
    stage.assert_abandoned(&task, Some(&["task.canceled", "reservation.canceled"])).await;
    stage.office.until_reservation(&task, &reservation, "canceled").await;
    assert_eq!(stage.activity_of(&stage.office.floor.worker).await, stage.office.floor.available);
}

#[tokio::test]
async fn sequence_8_2_caller_abandons_while_the_worker_rings() {
    let stage = Stage::open().await;
    stage.programs().control(Method::PUT, "/addresses/client:alice", json!({ "no_answer": true })).await;
    let (call, task, reservation) = stage.reserve().await;
    stage.office.instruct(&task, &reservation, &[("Instruction", "conference")]).await;
    let leg = stage.leg_to("client:alice", "ringing").await;
    stage.programs().hang_up(&call).await;
    stage.assert_abandoned(&task, Some(&["task.canceled", "reservation.canceled"])).await;
    stage.office.until_reservation(&task, &reservation, "canceled").await;
    stage.until_call(&leg, "canceled").await;
    assert_eq!(stage.activity_of(&stage.office.floor.worker).await, stage.office.floor.available);
}

#[tokio::test]
async fn sequence_8_2_caller_abandons_before_the_park_document_runs() {
    let stage = Stage::open().await;
    let call = "CA00000000000000000000000000000001";
    let mut pairs = vec![("CallSid", call), ("From", CALLER), ("To", NUMBER), ("CallStatus", "ringing")];
    let workflow = format!("/voice/enqueue/{}", stage.office.floor.workflow);
    let (status, park) = stage.programs().voice(&workflow, &pairs).await;
    assert!(status.is_success() && park.contains("<Enqueue"), "{park}");
    let tasks = stage.programs().get(&stage.office.at("/Tasks")).await;
    let task = text(&tasks["tasks"][0], "sid");
    pairs[3].1 = "completed";
    let (status, _) = stage.programs().voice("/voice/cb/call/inbound", &pairs).await;
    assert_eq!(status.as_u16(), 204);
    let row = stage.office.until_task(&task, "canceled").await;
    assert_eq!(row["reason"], "hangup");
    assert_eq!(stage.events(&task).await, [&ROUTED[..4], &["task.canceled"]].concat());
}

#[tokio::test]
async fn sequence_8_3_agent_does_not_answer_and_another_is_offered_the_call() {
    let stage = Stage::open_at(4.0).await;
    let (application, office) = (&stage.application, &stage.office);
    stage.programs().control(Method::PUT, "/addresses/client:alice", json!({ "no_answer": true })).await;
    let (call, task, first) = stage.reserve().await;
    let bob = office.hire("bob", true).await;
    let leg = application.url("leg");
    let form = [
        ("Instruction", "conference"),
        ("Timeout", "5"),
        ("StatusCallback", leg.as_str()),
        ("StatusCallbackEvent", "initiated,ringing,answered,completed"),
    ];
    office.instruct(&task, &first, &form).await;
    office.until_reservation(&task, &first, "canceled").await;
    let leg = application.until_asked(stage.programs(), "leg", 3).await;
    assert_eq!(statuses(&leg), ["initiated", "ringing", "no-answer"]);
    let path = office.at(&format!("/Events?ReservationSid={first}&EventType=reservation.canceled"));
    let events = stage.programs().get(&path).await;
    assert_eq!(events["events"][0]["event_data"]["reservation_reason_code"], "31480", "{events}");
    let (again, second) = office.offered(&bob).await;
    assert_eq!(again, task);
    assert_ne!(second, first);
    stage.assert_events(&task, &["reservation.canceled", "reservation.created"]).await;
    // The caller has heard nothing of it.
    let of_caller = stage.happened(&call).await;
    assert!(!of_caller.iter().any(|line| line.starts_with("queue.left")), "{of_caller:?}");
    assert!(application.asked("left").is_empty());
}

#[tokio::test]
async fn sequence_8_3_an_agent_who_does_nothing_times_out() {
    let stage = Stage::open().await;
    let offline = stage.offline().await;
    let workflow = stage.office.at(&format!("/Workflows/{}", stage.office.floor.workflow));
    stage.programs().post(&workflow, &[("TaskReservationTimeout", "1")]).await;
    let (_, task, reservation) = stage.reserve().await;
    stage.office.until_reservation(&task, &reservation, "timeout").await;
    stage.office.until_task(&task, "pending").await;
    assert_eq!(stage.activity_of(&stage.office.floor.worker).await, offline);
    stage.assert_events(&task, &["reservation.timeout"]).await;
    let legs = stage.programs().phone_get("/Calls.json?To=client:alice").await;
    assert_eq!(legs["calls"], json!([]), "no telephony");
}

#[tokio::test]
async fn sequence_8_4_agent_rejects_before_any_instruction() {
    for by_application in [false, true] {
        let stage = Stage::open().await;
        let offline = stage.offline().await;
        if by_application {
            let answer = json!({ "instruction": "reject", "activity_sid": offline }).to_string();
            stage.application.answers("assignment", "application/json", &answer);
        }
        let (_, task) = stage.wait_in_line(json!({})).await;
        let worker = &stage.office.floor.worker;
        stage.office.make_available(worker).await;
        if !by_application {
            let (_, reservation) = stage.office.offered(worker).await;
            let form = [("ReservationStatus", "rejected"), ("WorkerActivitySid", offline.as_str())];
            stage.office.instruct(&task, &reservation, &form).await;
        }
        let list = stage.office.at(&format!("/Workers/{worker}/Reservations"));
        stage
            .office
            .until(&list, "it is rejected", |list| list["reservations"][0]["reservation_status"] == "rejected")
            .await;
        stage.office.until_task(&task, "pending").await;
        assert_eq!(stage.activity_of(worker).await, offline);
        stage.assert_events(&task, &["reservation.rejected"]).await;
    }
}

#[tokio::test]
async fn sequence_8_4_a_softphone_that_declines_cancels_the_reservation() {
    let stage = Stage::open().await;
    stage.programs().control(Method::PUT, "/addresses/client:alice", json!({ "no_answer": true })).await;
    let (_, task, reservation) = stage.reserve().await;
    stage.office.instruct(&task, &reservation, &[("Instruction", "conference")]).await;
    let leg = stage.leg_to("client:alice", "ringing").await;
    stage.programs().hang_up(&leg).await;
    stage.office.until_reservation(&task, &reservation, "canceled").await;
    stage.office.until_task(&task, "pending").await;
    stage.until_call(&leg, "busy").await;
    assert_eq!(stage.events(&task).await[4..6], ["reservation.created", "reservation.canceled"]);
}

#[tokio::test]
async fn sequence_8_4_agent_rejects_over_rest_while_the_leg_rings() {
    let stage = Stage::open().await;
    stage.programs().control(Method::PUT, "/addresses/client:alice", json!({ "no_answer": true })).await;
    let (_, task, reservation) = stage.reserve().await;
    stage.office.instruct(&task, &reservation, &[("Instruction", "conference")]).await;
    let leg = stage.leg_to("client:alice", "ringing").await;
    let offline = stage.offline().await;
    let form = [("ReservationStatus", "rejected"), ("WorkerActivitySid", offline.as_str())];
    let row = stage.office.instruct(&task, &reservation, &form).await;
    assert_eq!(row["reservation_status"], "rejected");
    stage.until_call(&leg, "canceled").await;
    stage.office.until_task(&task, "pending").await;
    stage.assert_events(&task, &["reservation.rejected"]).await;
}

#[tokio::test]
async fn sequence_8_5_caller_hangs_up_between_answer_and_join() {
    let stage = Stage::open().await;
    let (call, task, reservation) = stage.reserve().await;
    // The caller is moved late, and is gone by then.
    let late = json!({ "method": "POST", "contains": format!("/Calls/{call}"), "delay_ms": 20_000, "times": 5 });
    stage.programs().control(Method::POST, "/faults", late).await;
    stage.office.instruct(&task, &reservation, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    let leg = stage.leg_to("client:alice", "in-progress").await;
    stage
        .programs()
        .until("the worker is in the room", async |_: &Programs| {
            stage.happened(&leg).await.iter().any(|line| line.starts_with("room.joined")).then_some(())
        })
        .await;
    stage.programs().hang_up(&call).await;
    stage.assert_abandoned(&task, Some(&["task.canceled", "reservation.canceled"])).await;
    stage.office.until_reservation(&task, &reservation, "canceled").await;
    stage.until_call(&leg, "completed").await;
    assert_eq!(stage.office.legs(&task).await, []);
    stage.assert_events(&task, &["task.canceled", "reservation.canceled"]).await;
}

#[tokio::test]
async fn sequence_8_6_warm_transfer() {
    let stage = Stage::open().await;
    let (office, programs) = (&stage.office, stage.programs());
    let form = [("EndConferenceOnExit", "true"), ("EndConferenceOnCustomerExit", "true")];
    let (bob, caller, task, first) = office.talk_beside_bob(&form).await;
    let transfer = office.hand_on(&task, &first, &bob, "WARM").await;
    assert_eq!(transfer["transfer_status"], "initiated");
    office.until_legs(&task, &[("customer", &["hold"]), (&first, &[])]).await;
    let (same, second) = office.offered(&bob).await;
    assert_eq!(same, task);
    office.until_task(&task, "reserved").await;
    office.instruct(&task, &second, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    office.until_reservation(&task, &second, "accepted").await;
    office.until_task(&task, "assigned").await;
    let three = office.until_legs(&task, &[("customer", &["hold"]), (&first, &[]), (&second, &[])]).await;
    let exit = |label: &str| {
        three.iter().find(|(found, _)| found == label).map(|(_, leg)| leg["end_conference_on_exit"].clone())
    };
    assert_eq!((exit(&first), exit(&second)), (Some(json!(false)), Some(json!(true))));
    let customer = office.at(&format!("/Tasks/{task}/Participants/customer"));
    programs.post(&customer, &[("Hold", "false")]).await;
    office.until_legs(&task, &[("customer", &[]), (&first, &[]), (&second, &[])]).await;
    programs.hang_up(&call_of(&three, &first)).await;
    office.until_reservation(&task, &first, "wrapping").await;
    office.until_legs(&task, &[("customer", &[]), (&second, &[])]).await;
    assert_eq!(programs.get(&office.at(&format!("/Tasks/{task}"))).await["assignment_status"], "assigned");
    programs.hang_up(&caller).await;
    office.until_reservation(&task, &second, "wrapping").await;
    office.until_task(&task, "wrapping").await;
    office.instruct(&task, &first, &[("ReservationStatus", "completed")]).await;
    office.until_task(&task, "wrapping").await;
    office.instruct(&task, &second, &[("ReservationStatus", "completed")]).await;
    office.until_task(&task, "completed").await;
    let events = stage.events(&task).await;
    let of_transfer: Vec<&str> =
        events.iter().map(String::as_str).filter(|kind| kind.starts_with("task.transfer")).collect();
    assert_eq!(of_transfer, ["task.transfer-initiated", "task.transfer-completed"], "{events:?}");
    let count = |kind: &str| events.iter().filter(|event| *event == kind).count();
    for (kind, times) in [
        ("reservation.created", 2),
        ("reservation.accepted", 2),
        ("reservation.wrapup", 2),
        ("reservation.completed", 2),
        ("task.wrapup", 1),
        ("task.completed", 1),
    ] {
        assert_eq!(count(kind), times, "{kind}: {events:?}");
    }
    assert_eq!(events.last().map(String::as_str), Some("task.completed"));
}

#[tokio::test]
async fn sequence_8_6_a_transfer_that_is_declined_leaves_the_customer_on_hold() {
    let stage = Stage::open().await;
    let office = &stage.office;
    let (bob, _, task, first) = office.talk_beside_bob(&[]).await;
    let transfer = office.hand_on(&task, &first, &bob, "WARM").await;
    let (_, second) = office.offered(&bob).await;
    office.instruct(&task, &second, &[("ReservationStatus", "rejected")]).await;
    let path = office.at(&format!("/Workers/{}/Transfers/{}", office.floor.worker, text(&transfer, "sid")));
    office.until(&path, "the transfer failed", |row| row["transfer_status"] == "failed").await;
    office.until_task(&task, "assigned").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&first, &[])]).await;
}

#[tokio::test]
async fn sequence_8_7_cold_transfer() {
    let stage = Stage::open().await;
    let (office, programs) = (&stage.office, stage.programs());
    let form = [("EndConferenceOnExit", "true"), ("EndConferenceOnCustomerExit", "true")];
    let (bob, caller, task, first) = office.talk_beside_bob(&form).await;
    let leg = stage.leg_to("client:alice", "in-progress").await;
    office.hand_on(&task, &first, &bob, "COLD").await;
    office.until_reservation(&task, &first, "wrapping").await;
    office.until_legs(&task, &[("customer", &["hold"])]).await;
    stage.until_call(&leg, "completed").await;
    // The room did not end with whoever handed on.
    let changes: Vec<String> =
        stage.happened(&caller).await.into_iter().filter(|line| line.starts_with("room.")).collect();
    assert!(!changes.iter().any(|line| line.starts_with("room.left")), "{changes:?}");
    let (same, second) = office.offered(&bob).await;
    assert_eq!(same, task);
    office.instruct(&task, &second, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    office.until_reservation(&task, &second, "accepted").await;
    office.until_legs(&task, &[("customer", &["hold"]), (&second, &[])]).await;
    let customer = office.at(&format!("/Tasks/{task}/Participants/customer"));
    programs.post(&customer, &[("Hold", "false")]).await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&second, &[])]).await;
    assert_eq!(call_of(&legs, "customer"), caller, "the same call all the time");
    programs.hang_up(&caller).await;
    office.until_task(&task, "wrapping").await;
}

#[tokio::test]
async fn sequence_8_8_supervisor() {
    let stage = Stage::open().await;
    let (office, programs) = (&stage.office, stage.programs());
    let sue = office.hire("sue", false).await;
    let (caller, task, reservation) = office.talk(&[("EndConferenceOnCustomerExit", "true")]).await;
    let label = format!("supervisor-{sue}");
    let before = stage.events(&task).await;
    let supervise = async |mode: &str| {
        let form = [("Instruction", "supervise"), ("Supervisor", sue.as_str()), ("SupervisorMode", mode)];
        let row = office.instruct(&task, &reservation, &form).await;
        assert_eq!((&row["sid"], &row["reservation_status"]), (&json!(reservation), &json!("accepted")), "unchanged");
    };
    supervise("monitor").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &["muted"])]).await;
    let leg = legs.iter().find(|(found, _)| *found == label).map(|(_, leg)| leg.clone()).unwrap();
    assert_eq!(leg["end_conference_on_exit"], json!(false));
    let call = stage.programs().phone_get(&format!("/Calls/{}.json", text(&leg, "call_sid"))).await;
    assert_eq!((&call["to"], &call["from"]), (&json!("client:sue"), &json!(CALLER)), "from the task's from");
    supervise("barge").await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &[])]).await;
    supervise("whisper").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &["coaching"])]).await;
    let coached = legs.iter().find(|(found, _)| *found == label).map(|(_, leg)| text(leg, "call_sid_to_coach"));
    assert_eq!(coached, Some(call_of(&legs, &reservation)));
    assert_eq!(stage.events(&task).await, before, "a supervisor is no matter of the task");
    programs.hang_up(&call_of(&legs, &label)).await;
    office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    assert_eq!(stage.events(&task).await, before);
    // Again, and the task ends first.
    supervise("monitor").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[]), (&label, &["muted"])]).await;
    let again = stage.leg_to("client:sue", "in-progress").await;
    assert_eq!(again, call_of(&legs, &label));
    programs.hang_up(&caller).await;
    office.until_task(&task, "wrapping").await;
    stage.until_call(&again, "completed").await;
}

#[tokio::test]
async fn sequence_8_9_call_instruction_with_press_1() {
    let stage = Stage::open().await;
    let (application, office) = (&stage.application, &stage.office);
    let (call, task, reservation) = stage.reserve().await;
    application.document("whisper", "<Gather action=\"ok\" numDigits=\"1\" timeout=\"60\"><Say>1?</Say></Gather>");
    application.document("ok", &format!("<Dial><Queue reservationSid=\"{reservation}\"/></Dial>"));
    let whisper = application.url("whisper");
    let form = [("Instruction", "call"), ("CallFrom", NUMBER), ("CallUrl", whisper.as_str()), ("CallTimeout", "20")];
    let row = office.instruct(&task, &reservation, &form).await;
    assert_eq!(row["reservation_status"], "pending");
    let asked = application.until_asked(stage.programs(), "whisper", 1).await.remove(0);
    let leg = asked.get("CallSid").to_owned();
    assert!(asked.signed && asked.get("tenant") == "7" && asked.get("CallStatus") == "in-progress", "{asked:?}");
    assert_eq!(stage.attributes(&task).await["worker_call_sid"], leg.as_str());
    // Answered is not accepted.
    let row = stage.programs().get(&office.at(&format!("/Tasks/{task}/Reservations/{reservation}"))).await;
    assert_eq!(row["reservation_status"], "pending", "nobody has pressed a key");
    let press = json!({ "digits": "1" });
    stage.programs().control(Method::POST, &format!("/calls/{leg}/digits"), press).await;
    let pressed = application.until_asked(stage.programs(), "ok", 1).await;
    assert_eq!((pressed[0].get("Digits"), pressed[0].get("CallSid"), pressed[0].signed), ("1", leg.as_str(), true));
    office.until_reservation(&task, &reservation, "accepted").await;
    office.until_task(&task, "assigned").await;
    let legs = office.until_legs(&task, &[("customer", &[]), (&reservation, &[])]).await;
    assert_eq!((call_of(&legs, "customer"), call_of(&legs, &reservation)), (call, leg));
    let exit = legs.iter().find(|(label, _)| *label == reservation).map(|(_, leg)| &leg["end_conference_on_exit"]);
    assert_eq!(exit, Some(&json!(true)));
    stage.assert_events(&task, &["reservation.accepted"]).await;
}

#[tokio::test]
async fn sequence_8_9_without_a_key_the_task_waits_again() {
    let stage = Stage::open().await;
    let (application, office) = (&stage.application, &stage.office);
    let (call, task, reservation) = stage.reserve().await;
    application.document("whisper", "<Gather action=\"ok\" numDigits=\"1\" timeout=\"1\"/>");
    let whisper = application.url("whisper");
    let form = [("Instruction", "call"), ("CallFrom", NUMBER), ("CallUrl", whisper.as_str())];
    office.instruct(&task, &reservation, &form).await;
    let leg = application.until_asked(stage.programs(), "whisper", 1).await[0].get("CallSid").to_owned();
    office.until_reservation(&task, &reservation, "canceled").await;
    stage.until_call(&leg, "completed").await;
    assert_eq!(stage.events(&task).await[4..6], ["reservation.created", "reservation.canceled"]);
    assert!(application.asked("ok").is_empty());
    stage.until_call(&call, "in-progress").await;
}

#[tokio::test]
async fn sequence_8_10_voicemail_overflow() {
    let stage = Stage::open().await;
    let (application, office, programs) = (&stage.application, &stage.office, stage.programs());
    let queues = programs.get(&office.at("/TaskQueues")).await;
    let queue = text(&queues["task_queues"][0], "sid");
    let targets = json!([{ "queue": queue, "timeout": 1 }]);
    let configuration =
        json!({ "task_routing": { "filters": [{ "expression": "lang == 'es'", "targets": targets }] } }).to_string();
    let workflow = office.at(&format!("/Workflows/{}", office.floor.workflow));
    programs.post(&workflow, &[("Configuration", &configuration)]).await;
    application.document(
        "left",
        "<Say>Please leave a message</Say><Record action=\"recorded\" maxLength=\"30\" timeout=\"1\" \
         recordingStatusCallback=\"recording\"/>",
    );
    application.document("recorded", "<Say>Thank you</Say><Hangup/>");
    let (call, task) = stage.wait_in_line(json!({ "speaks_ms": 500 })).await;
    let row = office.until_task(&task, "canceled").await;
    assert_eq!(row["reason"], "Task canceled on Workflow timeout");
    let left = application.until_asked(programs, "left", 1).await;
    let found = (left[0].get("QueueResult"), left[0].get("TaskCancelReason"), left[0].get("CallStatus"));
    assert_eq!(found, ("leave", "Task canceled on Workflow timeout", "in-progress"));
    // It really was in the queue, and nobody took it.
    assert!(left[0].get("QueueSid").starts_with("QU") && left[0].get("WorkerSid").is_empty(), "{left:?}");
    assert!(left[0].get("QueueTime").parse::<u32>().is_ok(), "{left:?}");
    assert!(left[0].signed && left.len() == 1, "{left:?}");
    let recorded = application.until_asked(programs, "recorded", 1).await;
    let told = application.until_asked(programs, "recording", 1).await;
    assert_eq!((told[0].get("RecordingStatus"), told[0].get("CallSid")), ("completed", call.as_str()));
    assert_eq!(recorded[0].get("RecordingSid"), told[0].get("RecordingSid"));
    stage.until_call(&call, "completed").await;
    let events = stage.events(&task).await;
    assert_eq!(events.last().map(String::as_str), Some("task.canceled"), "{events:?}");
    assert!(!events.iter().any(|kind| kind.starts_with("reservation.")), "{events:?}");
    // The application makes a task of the message.
    let attributes = json!({
        "type": "voicemail", "lang": "es", "recording_url": told[0].get("RecordingUrl"), "from": CALLER,
    });
    let attributes = attributes.to_string();
    let form = [("WorkflowSid", office.floor.workflow.as_str()), ("Attributes", attributes.as_str())];
    let message = programs.post(&office.at("/Tasks"), &form).await;
    assert_eq!(
        (&message["task_channel_unique_name"], &message["assignment_status"]),
        (&json!("default"), &json!("pending"))
    );
}

#[tokio::test]
async fn sequence_8_11_queued_callback() {
    let stage = Stage::open().await;
    let (application, office, programs) = (&stage.application, &stage.office, stage.programs());
    programs.control(Method::PUT, &format!("/addresses/{CALLER}"), quick()).await;
    application.document("wait", "<Gather numDigits=\"1\" action=\"callback\" timeout=\"60\"/>");
    application.document("callback", "<Say>We call you back</Say><Pause length=\"60\"/>");
    application.document("left", "<Say>Good bye</Say><Hangup/>");
    let (call, task) = stage.wait_in_line(json!({ "digits": "1", "digits_after_ms": 50 })).await;
    let pressed = application.until_asked(programs, "callback", 1).await;
    assert_eq!((pressed[0].get("Digits"), pressed[0].signed), ("1", true));
    // The new task first, in the place of the old one, which is canceled then.
    let began = programs.get(&office.at(&format!("/Tasks/{task}"))).await;
    let attributes = json!({ "outbound_to": CALLER, "from": NUMBER, "callback": true }).to_string();
    let form = [
        ("WorkflowSid", office.floor.workflow.as_str()),
        ("TaskChannel", "voice"),
        ("Attributes", attributes.as_str()),
        ("VirtualStartTime", began["date_created"].as_str().unwrap()),
    ];
    let back = text(&programs.post(&office.at("/Tasks"), &form).await, "sid");
    let cancel = [("AssignmentStatus", "canceled"), ("Reason", "callback requested")];
    programs.post(&office.at(&format!("/Tasks/{task}")), &cancel).await;
    let left = application.until_asked(programs, "left", 1).await;
    let found = (left[0].get("TaskCancelReason"), left[0].get("CallStatus"), left.len());
    assert_eq!(found, ("callback requested", "in-progress", 1));
    stage.until_call(&call, "completed").await;
    let row = office.until_task(&task, "canceled").await;
    assert_eq!(row["reason"], "callback requested", "the end of the call changes nothing");
    assert_eq!(stage.events(&task).await, [&ROUTED[..4], &["task.canceled"]].concat());
    // The worker is dialled first, then the customer.
    office.make_available(&office.floor.worker).await;
    let (of, reservation) = office.offered(&office.floor.worker).await;
    assert_eq!(of, back);
    office.instruct(&back, &reservation, &[("Instruction", "conference"), ("EndConferenceOnExit", "true")]).await;
    office.until_reservation(&back, &reservation, "accepted").await;
    let legs = office.until_legs(&back, &[("customer", &[]), (&reservation, &[])]).await;
    let (worker, customer) = (call_of(&legs, &reservation), call_of(&legs, "customer"));
    let dialled = programs.phone_get(&format!("/Calls/{customer}.json")).await;
    assert_eq!((&dialled["to"], &dialled["from"]), (&json!(CALLER), &json!(NUMBER)));
    let began = async |call: &str| {
        let events = programs.control(Method::GET, &format!("/events?call_sid={call}"), Value::Null).await;
        events["events"][0]["sequence"].as_u64().unwrap_or_else(|| panic!("no events of {call}: {events}"))
    };
    assert!(began(&worker).await < began(&customer).await, "the worker's phone rings first");
    office.until_task(&back, "assigned").await;
    stage.assert_events(&back, &["reservation.accepted"]).await;
    programs.hang_up(&worker).await;
    office.until_task(&back, "wrapping").await;
}
