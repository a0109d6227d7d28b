//! Assignment callbacks over real HTTP: what is asked, what each answer does, and what a kill −9 in between changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use reqwest::Method;
use serde_json::{Value, json};
use switchhook::signature;

use crate::programs::{ACCOUNT, Floor, NUMBER, Programs, TOKEN, text};

/// An application that answers by the last part of the path, and notes what it was asked.
struct Application {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, (u16, &'static str, String)>>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Debug, Clone)]
struct Asked {
    kind: String,
    form: Vec<(String, String)>,
    signature: String,
    token: String,
}

impl Asked {
    fn parameter(&self, name: &str) -> &str {
        self.form.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

impl Application {
    async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new().route("/{kind}", axum::routing::post(answer)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    fn url(&self, kind: &str) -> String {
        format!("http://{}/{kind}?tenant=7", self.address)
    }

    /// From now on; what has no answer is left hanging.
    fn answers(&self, kind: &str, body: &Value) {
        self.answers_with(kind, 200, "application/json", &body.to_string());
    }

    fn answers_with(&self, kind: &str, status: u16, content_type: &'static str, body: &str) {
        self.shared.answers.lock().unwrap().insert(kind.to_owned(), (status, content_type, body.to_owned()));
    }

    fn asked(&self, kind: &str) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().iter().filter(|asked| asked.kind == kind).cloned().collect()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let asked = Asked {
        kind: kind.clone(),
        form,
        signature: header(signature::HEADER),
        token: header("I-Twilio-Idempotency-Token"),
    };
    shared.asked.lock().unwrap().push(asked);
    let answer = shared.answers.lock().unwrap().get(&kind).cloned();
    match answer {
        Some((status, content_type, body)) => {
            (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        None => std::future::pending().await,
    }
}

/// Has the floor's workflow ask these URLs, and the worker take tasks.
async fn ask(programs: &Programs, floor: &Floor, url: &str, fallback: &str) {
    let form = [("AssignmentCallbackUrl", url), ("FallbackAssignmentCallbackUrl", fallback)];
    programs.post(&format!("{}/Workflows/{}", floor.base, floor.workflow), &form).await;
    programs.post(&format!("{}/Workers/{}", floor.base, floor.worker), &[("ActivitySid", &floor.available)]).await;
}

async fn make_task(programs: &Programs, floor: &Floor) -> String {
    let form = [("Attributes", r#"{"lang":"es"}"#), ("WorkflowSid", floor.workflow.as_str()), ("Priority", "3")];
    text(&programs.post(&format!("{}/Tasks", floor.base), &form).await, "sid")
}

async fn until_task(programs: &Programs, floor: &Floor, task: &str, status: &str) {
    let path = format!("{}/Tasks/{task}", floor.base);
    programs
        .until(&format!("the task is {status}"), async |programs: &Programs| {
            (programs.get(&path).await["assignment_status"] == status).then_some(())
        })
        .await;
}

async fn reservations(programs: &Programs, floor: &Floor, task: &str) -> Vec<Value> {
    let list = programs.get(&format!("{}/Tasks/{task}/Reservations", floor.base)).await;
    list["reservations"].as_array().unwrap().clone()
}

async fn until_asked(programs: &Programs, application: &Application, kind: &str, times: usize) -> Vec<Asked> {
    programs
        .until(&format!("{kind} is asked {times} times"), async |_: &Programs| {
            Some(application.asked(kind)).filter(|asked| asked.len() >= times)
        })
        .await
}

#[tokio::test]
async fn the_application_is_told_who_and_what_and_its_answer_is_done() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    application.answers("accept", &json!({ "instruction": "accept" }));
    ask(&programs, &floor, &format!("{}#rc=2", application.url("accept")), "").await;
    let task = make_task(&programs, &floor).await;
    until_task(&programs, &floor, &task, "assigned").await;
    let reservation = &reservations(&programs, &floor, &task).await[0];
    assert_eq!(reservation["reservation_status"], "accepted");

    let asked = application.asked("accept");
    assert_eq!(asked.len(), 1, "once for each reservation");
    let asked = &asked[0];
    let workspace = floor.base.trim_start_matches("/Workspaces/");
    for (name, expected) in [
        ("AccountSid", ACCOUNT),
        ("WorkspaceSid", workspace),
        ("WorkflowSid", &floor.workflow),
        ("WorkflowName", "Inbound"),
        ("TaskQueueName", "All"),
        ("TaskSid", &task),
        ("TaskAttributes", r#"{"lang":"es"}"#),
        ("TaskAge", "0"),
        ("TaskPriority", "3"),
        ("TaskChannelUniqueName", "default"),
        ("WorkerSid", &floor.worker),
        ("WorkerName", "alice"),
        ("WorkerAttributes", r#"{"contact_uri":"client:alice"}"#),
        ("ReservationSid", &text(reservation, "sid")),
    ] {
        assert_eq!(asked.parameter(name), expected, "{name}");
    }
    assert!(asked.parameter("TaskQueueSid").starts_with("WQ"));
    assert!(asked.parameter("Timestamp").parse::<i64>().unwrap() > 1_700_000_000);
    assert_eq!(asked.token, asked.parameter("ReservationSid"));
    // The fragment is neither sent nor signed.
    let url = application.url("accept");
    assert!(signature::verify_form(TOKEN, &url, &asked.form, &asked.signature), "signed with the account's token");
}

#[tokio::test]
async fn an_application_that_fails_is_followed_by_its_fallback_and_then_by_another_offer() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    application.answers_with("broken", 500, "text/plain", "no");
    application.answers("second", &json!({ "instruction": "accept" }));
    ask(&programs, &floor, &application.url("broken"), &application.url("second")).await;
    let task = make_task(&programs, &floor).await;
    until_task(&programs, &floor, &task, "assigned").await;
    let (first, second) = (application.asked("broken"), application.asked("second"));
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(first[0].form, second[0].form, "the same request");
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "completed")]).await;

    // Neither answers well: the offer is canceled and the task is offered again.
    application.answers_with("second", 200, "text/html", "<html>");
    let task = make_task(&programs, &floor).await;
    until_asked(&programs, &application, "second", 3).await;
    let rows = reservations(&programs, &floor, &task).await;
    assert!(rows.len() >= 2, "{rows:?}");
    assert_eq!(rows[0]["reservation_status"], "canceled", "{rows:?}");
    // The alert log has each failure, newest first, in pages, and one by one.
    let first = text(&rows[0], "sid");
    let list = programs.get("/Alerts?LogLevel=error&PageSize=1000").await;
    let of_first: Vec<&Value> =
        list["alerts"].as_array().unwrap().iter().filter(|alert| alert["reservation_sid"] == first.as_str()).collect();
    let mut codes: Vec<String> = of_first.iter().map(|alert| text(alert, "error_code")).collect();
    codes.sort();
    assert_eq!(codes, ["11200", "40000"]);
    let alert = of_first[0];
    assert_eq!((&alert["task_sid"], &alert["worker_sid"]), (&json!(task), &json!(floor.worker)));
    assert_eq!((&alert["resource_sid"], &alert["account_sid"]), (&json!(first), &json!(ACCOUNT)));
    let one = programs.get(&format!("/Alerts/{}", text(alert, "sid"))).await;
    assert_eq!((&one["alert_text"], &one["request_variables"]), (&alert["alert_text"], &Value::Null));
    assert_eq!(programs.get("/Alerts?LogLevel=warning").await["alerts"], json!([]));
    let page = programs.get("/Alerts?PageSize=1").await;
    assert!(page["meta"]["next_page_url"].is_string(), "{page}");
    application.answers("broken", &json!({ "instruction": "accept" }));
    until_task(&programs, &floor, &task, "assigned").await;
}

#[tokio::test]
async fn an_application_may_decide_later_or_reject() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    application.answers("later", &json!({}));
    ask(&programs, &floor, &application.url("later"), "").await;
    let task = make_task(&programs, &floor).await;
    until_asked(&programs, &application, "later", 1).await;
    let path = format!("{}/Tasks/{task}/Reservations", floor.base);
    let reservation = &reservations(&programs, &floor, &task).await[0];
    assert_eq!(reservation["reservation_status"], "pending");
    let accepted =
        programs.post(&format!("{path}/{}", text(reservation, "sid")), &[("ReservationStatus", "accepted")]).await;
    assert_eq!(accepted["reservation_status"], "accepted");
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "completed")]).await;

    let activities = programs.get(&format!("{}/Activities?FriendlyName=Offline", floor.base)).await;
    let offline = text(&activities["activities"][0], "sid");
    application.answers("reject", &json!({ "instruction": "reject", "activity_sid": offline }));
    ask(&programs, &floor, &application.url("reject"), "").await;
    let task = make_task(&programs, &floor).await;
    until_task(&programs, &floor, &task, "pending").await;
    assert_eq!(reservations(&programs, &floor, &task).await[0]["reservation_status"], "rejected");
    let worker = programs.get(&format!("{}/Workers/{}", floor.base, floor.worker)).await;
    assert_eq!(worker["activity_sid"], offline.as_str());
}

#[tokio::test]
async fn an_application_connects_a_caller() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    let instruction = json!({
        "instruction": "conference", "timeout": 20, "end_conference_on_exit": true,
        "end_conference_on_customer_exit": "true", "conference_status_callback_event": ["start", "end"],
    });
    application.answers("conference", &instruction);
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    ask(&programs, &floor, &application.url("conference"), "").await;
    let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let task = until_asked(&programs, &application, "conference", 1).await[0].parameter("TaskSid").to_owned();
    until_task(&programs, &floor, &task, "assigned").await;
    let rooms = programs.phone_get(&format!("/Conferences.json?FriendlyName={task}&Status=in-progress")).await;
    assert_eq!(rooms["conferences"].as_array().unwrap().len(), 1);
    programs.hang_up(&text(&call, "call_sid")).await;
    until_task(&programs, &floor, &task, "wrapping").await;
}

#[tokio::test]
async fn an_application_takes_a_caller_out_of_the_queue() {
    let programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    application.answers("dequeue", &json!({ "instruction": "dequeue", "timeout": "20" }));
    programs.control(Method::PUT, "/addresses/client:alice", json!({ "answer_after_ms": 50 })).await;
    ask(&programs, &floor, &application.url("dequeue"), "").await;
    let call = programs.control(Method::POST, "/calls", json!({ "from": "+15551110000", "to": NUMBER })).await;
    let task = until_asked(&programs, &application, "dequeue", 1).await[0].parameter("TaskSid").to_owned();
    until_task(&programs, &floor, &task, "assigned").await;
    let row = programs.get(&format!("{}/Tasks/{task}", floor.base)).await;
    let attributes: Value = serde_json::from_str(&text(&row, "attributes")).unwrap();
    assert!(attributes["worker_call_sid"].is_string(), "{attributes}");
    assert_eq!(attributes.get("conference"), None, "the room is not the application's business");
    // The caller's end is the end of the call, without being told so.
    programs.hang_up(&text(&call, "call_sid")).await;
    until_task(&programs, &floor, &task, "wrapping").await;
    let worker = text(&attributes, "worker_call_sid");
    programs
        .until("the worker's leg ends too", async |programs: &Programs| {
            (programs.phone_get(&format!("/Calls/{worker}.json")).await["status"] == "completed").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_kill_between_the_reservation_and_the_answer_loses_and_doubles_nothing() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let application = Application::start().await;
    ask(&programs, &floor, &application.url("silent"), &application.url("silent-too")).await;
    let task = make_task(&programs, &floor).await;
    // The request is under way; its answer would come after the end of the server.
    until_asked(&programs, &application, "silent", 1).await;
    programs.kill_server().await;
    for kind in ["silent", "silent-too"] {
        application.answers(kind, &json!({ "instruction": "accept" }));
    }
    programs.start_server().await;
    until_task(&programs, &floor, &task, "assigned").await;
    let rows = reservations(&programs, &floor, &task).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let asked: Vec<Asked> = [application.asked("silent"), application.asked("silent-too")].concat();
    assert_eq!(asked.len(), 2, "once before and once after");
    assert!(asked.iter().all(|asked| asked.token == text(&rows[0], "sid")), "both name the same reservation");
    let events = programs.get(&format!("{}/Events?TaskSid={task}&PageSize=1000", floor.base)).await;
    let accepted = events["events"].as_array().unwrap().iter();
    assert_eq!(accepted.filter(|event| event["event_type"] == "reservation.accepted").count(), 1);

    // Once the answer has had its effect, a restart asks nobody again.
    programs.post(&format!("{}/Tasks/{task}", floor.base), &[("AssignmentStatus", "completed")]).await;
    programs.kill_server().await;
    programs.start_server().await;
    let next = make_task(&programs, &floor).await;
    until_task(&programs, &floor, &next, "assigned").await;
    let asked: Vec<Asked> = [application.asked("silent"), application.asked("silent-too")].concat();
    assert_eq!(asked.iter().filter(|asked| asked.parameter("TaskSid") == task).count(), 2);
}
